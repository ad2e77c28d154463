{# A return enters its own score and those of the sixty bars after it. #}
{% macro mart_price_anomaly__changed_keys(state) -%}
with {{ changed_prices(state) }},

changed as (
    {{ changed_returns() }}
)

{{ with_rows_after('changed', ref('fct_daily_bar'), 60) }}
{%- endmacro %}
