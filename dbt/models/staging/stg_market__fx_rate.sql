select
    base,
    quote,
    session,
    rate,
    known_from,
    run_id
from {{ source('market', 'fx_rate') }}
where known_to is null
