{% macro fct_indicator__changed_keys(state) -%}
select
    indicator.symbol,
    indicator.session
from {{ source('analytics', 'indicator') }} as indicator
where {{ is_changed('indicator', state) }}
{%- endmacro %}
