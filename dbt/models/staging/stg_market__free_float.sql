select
    symbol,
    effective_date,
    factor,
    known_from,
    run_id
from {{ source('market', 'free_float') }}
where known_to is null
