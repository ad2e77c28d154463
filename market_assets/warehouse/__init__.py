"""PostgreSQL: where it runs, its schema, and the versioned writes. No market logic here."""
