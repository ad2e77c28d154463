select
    index_id,
    session,
    price_return as price_return_level,
    total_return as total_return_level,
    net_total_return as net_total_return_level,
    divisor,
    market_value,
    constituents,
    reason,
    known_from,
    run_id
from {{ source('indices', 'index_recalculation') }}
where known_to is null
