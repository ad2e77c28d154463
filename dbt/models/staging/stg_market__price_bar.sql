select
    symbol,
    session,
    source,
    open,
    high,
    low,
    close,
    volume,
    currency,
    known_from,
    run_id
from {{ source('market', 'price_bar') }}
where known_to is null
