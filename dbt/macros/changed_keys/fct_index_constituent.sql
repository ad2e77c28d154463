{% macro fct_index_constituent__changed_keys(state) -%}
select
    constituent.index_id,
    constituent.session,
    constituent.symbol
from {{ source('indices', 'index_constituent') }} as constituent
where {{ is_changed('constituent', state) }}
{%- endmacro %}
