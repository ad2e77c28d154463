select
    index_id,
    session,
    symbol,
    shares,
    weight,
    price,
    contribution,
    fx_rate,
    carried_sessions,
    known_from,
    run_id
from {{ source('indices', 'index_constituent') }}
where known_to is null
