{# Conditions on symbol and session, and joins on them, have to reach the index of raw.price_bar: a window, distinct or
   with clause here would make every reader of a few bars read them all. The join reads that index alone, so nothing but
   its columns may stand in it; the order of sources and the price steps are read only where a session has two bars, and
   a third one is looked up (by a function, since a subquery would keep the plan to one processor) only where the two
   disagree. With one source all of this costs nothing. #}
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
            -- Two that agree support each other; of two that do not, one that a third supports comes first.
            and (
                case
                    when public.same_close(better.close, bar.close, {{ tick_size('bar.symbol') }}) then 0
                    else
                        cast(public.close_is_supported(bar.symbol, bar.session, bar.source) as integer)
                        - cast(public.close_is_supported(better.symbol, better.session, better.source) as integer)
                end,
                {{ source_rank('better.symbol', 'better.source') }}
            ) < (0, {{ source_rank('bar.symbol', 'bar.source') }})
    )
