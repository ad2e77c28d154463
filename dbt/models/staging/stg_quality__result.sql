select
    asset,
    check_name,
    session,
    severity,
    passed,
    failed_rows,
    detail,
    known_from,
    run_id
from {{ source('quality', 'result') }}
where known_to is null
