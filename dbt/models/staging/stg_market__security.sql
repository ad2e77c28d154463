select
    symbol,
    exchange,
    name,
    currency,
    first_session,
    last_session,
    source,
    known_from,
    run_id
from {{ source('market', 'security') }}
where known_to is null
