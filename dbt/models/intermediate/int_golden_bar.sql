{# Conditions on symbol and session, and joins on them, have to reach the index of raw.price_bar: a window, distinct or
   with clause here would make every reader of a few bars read them all. #}
select
    bar.symbol,
    bar.session,
    bar.source,
    bar.open,
    bar.high,
    bar.low,
    bar.close,
    bar.volume,
    bar.currency,
    bar.known_from,
    bar.run_id
from {{ ref('stg_market__price_bar') }} as bar
where
    not exists (
        select 1
        from {{ ref('stg_market__price_bar') }} as better
        where
            better.symbol = bar.symbol
            and better.session = bar.session
            and better.source != bar.source
            and {{ source_rank('better.source') }} < {{ source_rank('bar.source') }}
    )
