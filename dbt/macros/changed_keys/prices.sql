{# Two CTEs: what changed among bars and actions since the last build, with the session that feels it. Where the order of
   preference changed, every bar and action of the sources concerned counts as changed; where a price step did, which
   decides what agrees, those of every source.
     changed_bar     (symbol, session, following)   the next bar, whose return starts from this close; null after the last
     changed_action  (symbol, ex_date, effective)   the bar at which the action takes effect; null before there is one #}
{% macro changed_prices(state) -%}
{%- set reranked = run_query(
    'select distinct ranking.source from ' ~ source('market', 'source_priority') ~ ' as ranking where '
    ~ is_changed('ranking', state) ~ ' or exists (select 1 from ' ~ source('market', 'exchange') ~ ' as venue where '
    ~ is_changed('venue', state) ~ ')'
).columns[0].values() -%}
changed_bar as (
    select
        bar.symbol,
        bar.session,
        (
            select min(near.session)
            from {{ source('market', 'price_bar') }} as near
            where near.known_to is null and near.symbol = bar.symbol and near.session > bar.session
        ) as following
    from {{ source('market', 'price_bar') }} as bar
    where {{ is_changed('bar', state) }} {{ or_of_source('bar', reranked) }}
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
    from {{ source('market', 'corporate_action') }} as action
    where {{ is_changed('action', state) }} {{ or_of_source('action', reranked) }}
)
{%- endmacro %}


{# Said only when there are such sources: a condition that a planner cannot judge would cost every build its plan. #}
{% macro or_of_source(alias, sources) -%}
{%- if sources -%}
or {{ alias }}.source in (
    {%- for source in sources -%}
        '{{ source | replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
)
{%- endif -%}
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
