select
    index_id,
    session,
    effective_close,
    reference_session,
    constituents,
    additions,
    deletions,
    turnover,
    known_from,
    run_id
from {{ source('indices', 'rebalance') }}
where known_to is null
