select
    index_id,
    session,
    reason,
    divisor_before,
    divisor_after,
    market_value_before,
    market_value_after,
    detail,
    known_from,
    run_id
from {{ source('indices', 'divisor_change') }}
where known_to is null
