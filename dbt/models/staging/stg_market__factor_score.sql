select
    score,
    symbol,
    effective_date,
    value,
    known_from,
    run_id
from {{ source('market', 'factor_score') }}
where known_to is null
