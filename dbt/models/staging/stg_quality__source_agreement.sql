select
    session,
    source,
    compared,
    disagreed,
    rate,
    known_from,
    run_id
from {{ source('quality', 'source_agreement') }}
where known_to is null
