{# Sessions in which any bar, return or indicator changed, and those of a symbol that was given up. #}
{% macro mart_market_breadth__changed_keys(state) -%}
with {{ changed_prices(state) }}

select session from ({{ changed_returns() }}) as changed
union
select session from ({{ fct_indicator__changed_keys(state) }}) as changed
union
select bar.session
from {{ source('market', 'corporate_action') }} as change
inner join {{ source('market', 'price_bar') }} as bar
    on change.symbol = bar.symbol and change.ex_date > bar.session
where change.kind = 'symbol_change' and bar.known_to is null and {{ is_changed('change', state) }}
{%- endmacro %}
