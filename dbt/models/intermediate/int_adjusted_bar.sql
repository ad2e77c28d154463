{# The factors of a symbol are constant between two events, so they are looked up, not computed row by row: the events
   of a symbol become sorted arrays, and width_bucket finds a session's place among them by binary search. #}
with factors as (
    select
        symbol,
        array_agg(session order by session) as sessions,
        array_agg(split_factor_before order by session) || cast(1 as double precision) as split_factors,
        array_agg(dividend_factor_before order by session) || cast(1 as double precision) as dividend_factors,
        cast(1 as double precision) || array_agg(forward_split_factor order by session) as forward_split_factors,
        cast(1 as double precision) || array_agg(forward_dividend_factor order by session) as forward_dividend_factors
    from {{ ref('int_corporate_action_factor') }}
    group by symbol
),

factored as (
    select
        bar.*,
        coalesce(
            factors.split_factors[width_bucket(bar.session, factors.sessions) + 1], 1
        ) as split_factor,
        coalesce(
            factors.dividend_factors[width_bucket(bar.session, factors.sessions) + 1], 1
        ) as dividend_factor,
        coalesce(
            factors.forward_split_factors[width_bucket(bar.session, factors.sessions) + 1], 1
        ) as forward_split_factor,
        coalesce(
            factors.forward_dividend_factors[width_bucket(bar.session, factors.sessions) + 1], 1
        ) as forward_dividend_factor
    from {{ ref('int_golden_bar') }} as bar
    left join factors on bar.symbol = factors.symbol
)

select
    symbol,
    session,
    source,
    currency,
    open,
    high,
    low,
    close,
    volume,
    split_factor,
    dividend_factor,
    split_factor * dividend_factor as price_factor,
    1 / split_factor as volume_factor,
    open * (split_factor * dividend_factor) as adj_open,
    high * (split_factor * dividend_factor) as adj_high,
    low * (split_factor * dividend_factor) as adj_low,
    close * (split_factor * dividend_factor) as adj_close,
    volume / split_factor as adj_volume,
    forward_split_factor,
    forward_dividend_factor,
    forward_split_factor * forward_dividend_factor as forward_price_factor
from factored
