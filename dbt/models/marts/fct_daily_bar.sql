{{ config(unique_key=['symbol', 'session'], indexes=[{'columns': ['session']}]) }}

{% if not execute %}
    {# What corporate_action_events reads, in an incremental build alone: dbt asks for it when it parses. #}
    {{ ref('int_golden_action') }} {{ ref('stg_market__price_bar') }}
{% endif %}

{% if is_incremental() %}
    with scope as (
        {{ with_rows_before('changed_keys', ref('int_golden_bar'), 1) }}
    ),

    bar as (
        select golden.*
        from {{ ref('int_golden_bar') }} as golden
        inner join scope on golden.symbol = scope.symbol and golden.session = scope.session
    ),

    -- The last row of each symbol before a changed one. It stays, and the factors go on from those it has: what a day
    -- costs does not grow with the actions there have been.
    kept as (
        select
            first_changed.symbol,
            coalesce(stored.session, '-infinity') as session,
            coalesce(stored.forward_split_factor, 1) as forward_split_factor,
            coalesce(stored.forward_dividend_factor, 1) as forward_dividend_factor
        from (
            select
                changed_keys.symbol,
                min(changed_keys.session) as session
            from changed_keys
            group by changed_keys.symbol
        ) as first_changed
        left join lateral (
            select earlier.*
            from {{ this }} as earlier
            where earlier.symbol = first_changed.symbol and earlier.session < first_changed.session
            order by earlier.session desc
            limit 1
        ) as stored on true
    ),

    {{ corporate_action_events(after='kept') }},

    step as (
        select
            kept.symbol,
            kept.session,
            1 as split_ratio,
            0 as cash_amount,
            1 as dividend_step,
            kept.forward_split_factor as split_growth,
            kept.forward_dividend_factor as dividend_growth
        from kept
        union all
        select
            stepped.symbol,
            stepped.session,
            stepped.split_ratio,
            stepped.cash_amount,
            stepped.dividend_step,
            stepped.split_ratio as split_growth,
            1 / stepped.dividend_step as dividend_growth
        from stepped
    ),

    effect as (
        select
            step.*,
            public.product(step.split_growth) over so_far as forward_split_factor,
            public.product(step.dividend_growth) over so_far as forward_dividend_factor
        from step
        window so_far as (partition by step.symbol order by step.session)
    ),
{% else %}
    with bar as (
        select golden.*
        from {{ ref('int_golden_bar') }} as golden
    ),

    effect as (
        select factor.*
        from {{ ref('int_corporate_action_factor') }} as factor
    ),
{% endif %}

-- Forward factors of a symbol as arrays in order of session: see int_adjusted_bar.
factors as (
    select
        effect.symbol,
        array_agg(effect.session order by effect.session) as sessions,
        array_agg(effect.forward_split_factor order by effect.session) as split_factors,
        array_agg(effect.forward_dividend_factor order by effect.session) as dividend_factors
    from effect
    group by effect.symbol
),

factored as (
    select
        bar.*,
        coalesce(effect.split_ratio, 1) as split_ratio,
        coalesce(effect.cash_amount, 0) as dividend,
        coalesce(effect.dividend_step, 1) as dividend_step,
        coalesce(
            factors.split_factors[width_bucket(bar.session, factors.sessions)], 1
        ) as forward_split_factor,
        coalesce(
            factors.dividend_factors[width_bucket(bar.session, factors.sessions)], 1
        ) as forward_dividend_factor,
        lag(bar.close) over (partition by bar.symbol order by bar.session) as previous_close
    from bar
    left join effect on bar.symbol = effect.symbol and bar.session = effect.session
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
