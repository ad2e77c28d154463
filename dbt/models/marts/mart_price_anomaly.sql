{{ config(unique_key=['symbol', 'session']) }}

{# Also in the macro mart_price_anomaly__changed_keys: a return enters that many later windows. #}
{% set window = 60 %}
{% set fewest = 20 %}
{% set threshold = 3 %}

{% if is_incremental() %}
    with scope as (
        {{ with_rows_before('changed_keys', ref('fct_daily_bar'), window) }}
    ),

    bar as (
        select daily.*
        from {{ ref('fct_daily_bar') }} as daily
        inner join scope on daily.symbol = scope.symbol and daily.session = scope.session
    ),
{% else %}
    with bar as (
        select daily.*
        from {{ ref('fct_daily_bar') }} as daily
    ),
{% endif %}

-- The price falls by the amount paid and moves by the ratio split: no surprise on such a day, and no return here.
plain as (
    select
        symbol,
        session,
        close,
        case when split_ratio = 1 and dividend = 0 then price_return end as session_return
    from bar
),

-- A return of more than 9,000 % is a fault in the data; in a window it counts as 9,000 %.
bounded as (
    select
        *,
        case when session_return > 90 then 90 else session_return end as bounded_return
    from plain
),

-- A return counts as a whole number of 1e-12, its square of 1e-15. Whole numbers add up exactly, so PostgreSQL can
-- move a window on by one row instead of adding it up anew, and a window has the same sum wherever the scan began.
counted as (
    select
        symbol,
        session,
        close,
        session_return,
        cast(bounded_return * 1e12 as bigint) as return_units,
        cast(bounded_return * bounded_return * 1e15 as bigint) as square_units
    from bounded
),

summed as (
    select
        symbol,
        session,
        close,
        session_return,
        count(session_return) over window_before as trailing_sessions,
        cast(sum(return_units) over window_before as double precision) * 1e-12 as total,
        cast(sum(square_units) over window_before as double precision) * 1e-15 as total_of_squares
    from counted
    window window_before as (
        partition by symbol order by session rows between {{ window }} preceding and 1 preceding
    )
),

measured as (
    select
        symbol,
        session,
        close,
        session_return,
        cast(trailing_sessions as integer) as trailing_sessions,
        total / trailing_sessions as trailing_mean,
        sqrt(
            greatest(total_of_squares - total * total / trailing_sessions, 0) / (trailing_sessions - 1)
        ) as trailing_deviation
    from summed
    where session_return is not null and trailing_sessions >= {{ fewest }}
),

scored as (
    select
        *,
        (session_return - trailing_mean) / nullif(trailing_deviation, 0) as z_score
    from measured
)

select scored.*
from scored
{{ only_changed('scored', ['symbol', 'session']) }}
where abs(scored.z_score) > {{ threshold }}
