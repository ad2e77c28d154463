{# Rows of a daily series around given keys. A model that looks back n sessions reads the changed keys with the n rows
   before each; a change at a session reaches the n rows after it. Each macro gives a select of (group, session). #}


{% macro with_rows_before(keys, series, count, group='symbol') -%}
{{ _with_neighbours(keys, series, count, group, '<', 'desc') }}
{%- endmacro %}


{% macro with_rows_after(keys, series, count, group='symbol') -%}
{{ _with_neighbours(keys, series, count, group, '>', 'asc') }}
{%- endmacro %}


{% macro _with_neighbours(keys, series, count, group, side, order) -%}
select {{ group }}, session from {{ keys }}
union
select k.{{ group }}, near.session
from {{ keys }} as k
cross join lateral (
    select distinct s.session
    from {{ series }} as s
    where s.{{ group }} = k.{{ group }} and s.session {{ side }} k.session
    order by s.session {{ order }}
    limit {{ count }}
) as near
{%- endmacro %}
