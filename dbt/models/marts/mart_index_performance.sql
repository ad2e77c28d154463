{{ config(unique_key=['index_id', 'return_type', 'period']) }}

with levels as (
    select
        published.index_id,
        published.session,
        variant.return_type,
        variant.level,
        lag(variant.level) over (
            partition by published.index_id, variant.return_type order by published.session
        ) as previous_level
    from {{ ref('fct_index_value') }} as published
    inner join lateral (
        values
        ('price', published.price_return_level),
        ('total', published.total_return_level),
        ('net_total', published.net_total_return_level)
    ) as variant (return_type, level) on true
    {% if is_incremental() %}
        where published.index_id in (select changed_keys.index_id from changed_keys)
    {% endif %}
),

in_periods as (
    select
        levels.*,
        calendar.period,
        calendar.period_kind,
        levels.level / nullif(levels.previous_level, 0) - 1 as daily_return
    from levels
    inner join lateral (
        {{ calendar_periods('levels.session') }}
    ) as calendar (period_kind, period) on true
),

-- The highest level so far in the period, the level it started from included.
peaked as (
    select
        in_periods.*,
        max(greatest(in_periods.level, in_periods.previous_level)) over (
            partition by in_periods.index_id, in_periods.return_type, in_periods.period
            order by in_periods.session
        ) as peak
    from in_periods
    {{ only_changed('in_periods', ['index_id', 'return_type', 'period']) }}
),

summarised as (
    select
        index_id,
        return_type,
        period,
        period_kind,
        min(session) as first_session,
        max(session) as last_session,
        cast(count(daily_return) as integer) as daily_returns,
        (array_agg(level order by session desc))[1] as last_level,
        (array_agg(coalesce(previous_level, level) order by session))[1] as base_level,
        avg(daily_return) as mean_return,
        stddev_samp(daily_return) as deviation,
        min(level / nullif(peak, 0) - 1) as max_drawdown,
        (array_agg(session order by daily_return desc, session asc) filter (where daily_return is not null))[1]
            as best_session,
        max(daily_return) as best_return,
        (array_agg(session order by daily_return asc, session asc) filter (where daily_return is not null))[1]
            as worst_session,
        min(daily_return) as worst_return
    from peaked
    group by index_id, return_type, period, period_kind
)

select
    index_id,
    return_type,
    period,
    period_kind,
    first_session,
    last_session,
    daily_returns,
    last_level / nullif(base_level, 0) - 1 as period_return,
    deviation * sqrt(252) as volatility,
    mean_return / nullif(deviation, 0) * sqrt(252) as sharpe_ratio,
    max_drawdown,
    best_session,
    best_return,
    worst_session,
    worst_return
from summarised
