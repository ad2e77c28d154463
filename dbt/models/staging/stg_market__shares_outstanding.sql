select
    symbol,
    effective_date,
    shares,
    source,
    known_from,
    run_id
from {{ source('market', 'shares_outstanding') }}
where known_to is null
