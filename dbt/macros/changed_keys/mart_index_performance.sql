{# The periods of a changed level and of the level after it, whose return starts from it. #}
{% macro mart_index_performance__changed_keys(state) -%}
select
    near.index_id,
    kind.return_type,
    calendar.period
from (
    with changed as (
        {{ changed_index_values(state) }}
    )

    {{ with_rows_after('changed', ref('fct_index_value'), 1, group='index_id') }}
) as near
cross join (values ('price'), ('total'), ('net_total')) as kind (return_type)
cross join lateral ({{ calendar_periods('near.session') }}) as calendar (period_kind, period)
{%- endmacro %}
