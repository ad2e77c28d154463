select
    symbol,
    ex_date,
    kind,
    source,
    value,
    currency,
    detail,
    known_from,
    run_id
from {{ source('market', 'corporate_action') }}
where known_to is null
