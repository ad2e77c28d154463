{{ config(unique_key=['index_id', 'session']) }}

with levels as (
    select published.*
    from {{ ref('stg_indices__index_value') }} as published
    {% if is_incremental() %}
        where published.index_id in (select changed_keys.index_id from changed_keys)
    {% endif %}
),

measured as (
    select
        index_id,
        session,
        price_return_level,
        total_return_level,
        net_total_return_level,
        divisor,
        market_value,
        constituents,
        price_return_level / nullif(lag(price_return_level) over by_session, 0) - 1 as daily_return,
        total_return_level / nullif(lag(total_return_level) over by_session, 0) - 1 as daily_total_return,
        price_return_level / nullif(first_value(price_return_level) over by_session, 0) - 1
            as cumulative_return,
        total_return_level / nullif(first_value(total_return_level) over by_session, 0) - 1
            as cumulative_total_return,
        case
            when count(price_return_level) over last_20 = 20 then avg(price_return_level) over last_20
        end as moving_average_20
    from levels
    window
        by_session as (partition by index_id order by session),
        last_20 as (by_session rows between 19 preceding and current row)
)

select measured.*
from measured
{{ only_changed('measured', ['index_id', 'session']) }}
