select
    symbol,
    member_from,
    member_to,
    exchange,
    name,
    currency,
    known_from,
    run_id
from {{ source('market', 'universe_member') }}
where known_to is null
