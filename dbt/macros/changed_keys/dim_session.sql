{# A session that appears or disappears renumbers those after it. #}
{% macro dim_session__changed_keys(state) -%}
with changed as (
    select
        trading_session.exchange,
        trading_session.session
    from {{ source('market', 'trading_session') }} as trading_session
    where {{ is_changed('trading_session', state) }}
)

select
    exchange,
    session
from changed
union
select
    following.exchange,
    following.session
from (
    select
        exchange,
        min(session) as session
    from changed
    group by exchange
) as earliest
inner join {{ ref('stg_market__trading_session') }} as following
    on earliest.exchange = following.exchange and earliest.session <= following.session
{%- endmacro %}
