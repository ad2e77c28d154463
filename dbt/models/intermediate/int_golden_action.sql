select
    stated.symbol,
    stated.ex_date,
    stated.kind,
    stated.source,
    stated.value,
    stated.currency,
    stated.detail,
    stated.known_from,
    stated.run_id
from {{ ref('stg_market__corporate_action') }} as stated
where
    not exists (
        select 1
        from {{ ref('stg_market__corporate_action') }} as better
        where
            better.symbol = stated.symbol
            and better.ex_date = stated.ex_date
            and better.source != stated.source
            and (better.kind = 'symbol_change') = (stated.kind = 'symbol_change')
            and {{ source_rank('better.symbol', 'better.source') }}
            < {{ source_rank('stated.symbol', 'stated.source') }}
    )
