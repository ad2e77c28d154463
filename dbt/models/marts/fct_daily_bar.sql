{{ config(unique_key=['symbol', 'session'], indexes=[{'columns': ['session']}]) }}

{% if is_incremental() %}
    with scope as (
        {{ with_rows_before('changed_keys', ref('int_golden_bar'), 1) }}
    ),

    bar as (
        select golden.*
        from {{ ref('int_golden_bar') }} as golden
        inner join scope on golden.symbol = scope.symbol and golden.session = scope.session
    ),
{% else %}
    with bar as (
        select golden.*
        from {{ ref('int_golden_bar') }} as golden
    ),
{% endif %}

event as (
    select factor.*
    from {{ ref('int_corporate_action_factor') }} as factor
    {% if is_incremental() %}
        -- An array, since a join would not reach through the view to the index of the actions.
        where factor.symbol = any(array(select changed_keys.symbol from changed_keys))
    {% endif %}
),

-- Forward factors of a symbol as arrays in order of session: see int_adjusted_bar.
factors as (
    select
        event.symbol,
        array_agg(event.session order by event.session) as sessions,
        array_agg(event.forward_split_factor order by event.session) as split_factors,
        array_agg(event.forward_dividend_factor order by event.session) as dividend_factors
    from event
    group by event.symbol
),

factored as (
    select
        bar.*,
        coalesce(event.split_ratio, 1) as split_ratio,
        coalesce(event.cash_amount, 0) as dividend,
        coalesce(event.dividend_step, 1) as dividend_step,
        coalesce(
            factors.split_factors[width_bucket(bar.session, factors.sessions)], 1
        ) as forward_split_factor,
        coalesce(
            factors.dividend_factors[width_bucket(bar.session, factors.sessions)], 1
        ) as forward_dividend_factor,
        lag(bar.close) over (partition by bar.symbol order by bar.session) as previous_close
    from bar
    left join event on bar.symbol = event.symbol and bar.session = event.session
    left join factors on bar.symbol = factors.symbol
)

select
    factored.symbol,
    factored.session,
    factored.source,
    factored.currency,
    factored.open,
    factored.high,
    factored.low,
    factored.close,
    factored.volume,
    factored.split_ratio,
    factored.dividend,
    factored.close * factored.split_ratio / nullif(factored.previous_close, 0) - 1 as price_return,
    factored.close * factored.split_ratio
    / nullif(factored.previous_close * factored.dividend_step, 0) - 1 as total_return,
    factored.forward_split_factor,
    factored.forward_dividend_factor
from factored
{{ only_changed('factored', ['symbol', 'session']) }}
