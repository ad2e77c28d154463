select
    index_id,
    session,
    symbol,
    target_weight,
    shares,
    reference_price,
    reference_fx_rate,
    reference_size,
    known_from,
    run_id
from {{ source('indices', 'rebalance_target') }}
where known_to is null
