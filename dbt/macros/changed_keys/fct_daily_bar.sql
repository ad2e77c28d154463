{# The forward factors change from an event onwards: from a changed action, and from an action whose close before is a
   changed bar's. #}
{% macro fct_daily_bar__changed_keys(state) -%}
with {{ changed_prices(state) }},

changed_factor as (
    select
        symbol,
        min(session) as session
    from (
        select
            symbol,
            effective as session
        from changed_action
        union all
        select
            changed_bar.symbol,
            changed_bar.following as session
        from changed_bar
        inner join {{ source('market', 'corporate_action') }} as action
            on
                changed_bar.symbol = action.symbol
                and changed_bar.session < action.ex_date
                and changed_bar.following >= action.ex_date
        where action.known_to is null
    ) as event
    group by symbol
)

{{ changed_returns() }}
union
select
    bar.symbol,
    bar.session
from changed_factor
inner join {{ source('market', 'price_bar') }} as bar
    on changed_factor.symbol = bar.symbol and changed_factor.session <= bar.session
where bar.known_to is null
{%- endmacro %}
