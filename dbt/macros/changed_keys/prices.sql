{# Two CTEs: what changed among bars and actions since the last build, with the session that feels it. Also every bar and
   action of a source whose rank changed.
     changed_bar     (symbol, session, following)   the next bar, whose return starts from this close; null after the last
     changed_action  (symbol, ex_date, effective)   the bar at which the action takes effect; null before there is one #}
{% macro changed_prices(state) -%}
changed_bar as (
    select
        bar.symbol,
        bar.session,
        (
            select min(near.session)
            from {{ source('market', 'price_bar') }} as near
            where near.known_to is null and near.symbol = bar.symbol and near.session > bar.session
        ) as following
    from (
        select
            bar.symbol,
            bar.session
        from {{ source('market', 'price_bar') }} as bar
        where {{ is_changed('bar', state) }}
        union
        select
            bar.symbol,
            bar.session
        from {{ source('market', 'source_priority') }} as ranking
        inner join {{ source('market', 'price_bar') }} as bar on ranking.source = bar.source
        where {{ is_changed('ranking', state) }}
    ) as bar
),

changed_action as (
    select
        action.symbol,
        action.ex_date,
        (
            select min(near.session)
            from {{ source('market', 'price_bar') }} as near
            where near.known_to is null and near.symbol = action.symbol and near.session >= action.ex_date
        ) as effective
    from (
        select
            action.symbol,
            action.ex_date
        from {{ source('market', 'corporate_action') }} as action
        where {{ is_changed('action', state) }}
        union
        select
            action.symbol,
            action.ex_date
        from {{ source('market', 'source_priority') }} as ranking
        inner join {{ source('market', 'corporate_action') }} as action on ranking.source = action.source
        where {{ is_changed('ranking', state) }}
    ) as action
)
{%- endmacro %}


{# Bars whose return over the session may have changed; reads the CTEs of changed_prices. #}
{% macro changed_returns() -%}
select
    symbol,
    session
from changed_bar
union
select
    symbol,
    following as session
from changed_bar
where following is not null
union
select
    symbol,
    effective as session
from changed_action
where effective is not null
{%- endmacro %}
