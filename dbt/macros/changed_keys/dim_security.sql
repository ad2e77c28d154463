{% macro dim_security__changed_keys(state) -%}
{% for table in ('security', 'universe_member', 'shares_outstanding') -%}
select {{ table }}.symbol
from {{ source('market', table) }} as {{ table }}
where {{ is_changed(table, state) }}
union
{% endfor %}
select renamed.symbol
from (
    select unnest(array[change.symbol, change.detail]) as symbol
    from {{ source('market', 'corporate_action') }} as change
    where change.kind = 'symbol_change' and {{ is_changed('change', state) }}
) as renamed
where renamed.symbol is not null
{%- endmacro %}
