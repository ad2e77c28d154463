select
    exchange,
    session,
    opens_at,
    closes_at,
    known_from,
    run_id
from {{ source('market', 'trading_session') }}
where known_to is null
