{{ config(unique_key=['session'], pre_hook="{{ join_at_once() }}") }}

{# An indicator is stored in the session's own basis: rounding may put today's high a last bit beside the 252-session
   high that it sets. #}
{% set tie = '1e-9' %}

with traded as (
    select
        bar.session,
        bar.volume,
        bar.total_return,
        bar.high >= indicator.high_252 * (1 - {{ tie }}) as is_new_high,
        bar.low <= indicator.low_252 * (1 + {{ tie }}) as is_new_low,
        cast(bar.close > indicator.sma_50 as integer) as is_above_sma_50,
        cast(bar.close > indicator.sma_200 as integer) as is_above_sma_200
    from {{ ref('fct_daily_bar') }} as bar
    left join {{ ref('stg_analytics__indicator') }} as indicator
        on bar.symbol = indicator.symbol and bar.session = indicator.session
    {{ only_changed('bar', ['session']) }}
    where
        -- Before a change of symbol a security has bars under both symbols; it is counted once, under the new one.
        not exists (
            select 1
            from {{ ref('stg_market__corporate_action') }} as change
            where
                change.kind = 'symbol_change'
                and change.symbol = bar.symbol
                and change.detail != change.symbol
                and bar.session < change.ex_date
        )
)

select
    session,
    cast(count(*) as integer) as symbols,
    cast(count(*) filter (where total_return > 0) as integer) as advancers,
    cast(count(*) filter (where total_return < 0) as integer) as decliners,
    cast(count(*) filter (where total_return = 0) as integer) as unchanged,
    coalesce(sum(volume) filter (where total_return > 0), 0) as up_volume,
    coalesce(sum(volume) filter (where total_return < 0), 0) as down_volume,
    avg(total_return) as mean_return,
    stddev_samp(total_return) as return_dispersion,
    cast(count(*) filter (where is_new_high) as integer) as new_highs_252,
    cast(count(*) filter (where is_new_low) as integer) as new_lows_252,
    cast(avg(is_above_sma_50) as double precision) as share_above_sma_50,
    cast(avg(is_above_sma_200) as double precision) as share_above_sma_200
from traded
group by session
