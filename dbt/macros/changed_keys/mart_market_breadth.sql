{# Sessions in which any bar, return or indicator changed. #}
{% macro mart_market_breadth__changed_keys(state) -%}
with {{ changed_prices(state) }}

select session from ({{ changed_returns() }}) as changed
union
select session from ({{ fct_indicator__changed_keys(state) }}) as changed
{%- endmacro %}
