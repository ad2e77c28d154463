select
    exchange,
    source,
    priority,
    known_from,
    run_id
from {{ source('market', 'source_priority') }}
where known_to is null
