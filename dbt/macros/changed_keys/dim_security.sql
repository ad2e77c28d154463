{% macro dim_security__changed_keys(state) -%}
{% for table in ('security', 'universe_member', 'shares_outstanding') -%}
select {{ table }}.symbol
from {{ source('market', table) }} as {{ table }}
where {{ is_changed(table, state) }}
{{ 'union' if not loop.last }}
{% endfor %}
{%- endmacro %}
