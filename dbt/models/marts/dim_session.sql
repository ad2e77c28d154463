{{ config(unique_key=['exchange', 'session']) }}

with numbered as (
    select
        trading.exchange,
        trading.session,
        trading.opens_at,
        trading.closes_at,
        row_number() over by_session as session_number,
        lag(trading.session) over by_session as previous_session
    from {{ ref('stg_market__trading_session') }} as trading
    {% if is_incremental() %}
        where trading.exchange in (select changed_keys.exchange from changed_keys)
    {% endif %}
    window by_session as (partition by trading.exchange order by trading.session)
)

select
    numbered.exchange,
    numbered.session,
    numbered.opens_at,
    numbered.closes_at,
    cast(extract(epoch from numbered.closes_at - numbered.opens_at) / 60 as integer) as session_minutes,
    cast(numbered.session_number as integer) as session_number,
    numbered.previous_session,
    cast(numbered.session - numbered.previous_session as integer) as days_since_previous,
    cast(extract(isodow from numbered.session) as integer) as iso_weekday,
    cast(extract(year from numbered.session) as integer) as calendar_year,
    cast(extract(quarter from numbered.session) as integer) as calendar_quarter,
    cast(extract(month from numbered.session) as integer) as calendar_month
from numbered
{{ only_changed('numbered', ['exchange', 'session']) }}
