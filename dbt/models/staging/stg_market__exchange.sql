select
    exchange,
    tick_size,
    known_from,
    run_id
from {{ source('market', 'exchange') }}
where known_to is null
