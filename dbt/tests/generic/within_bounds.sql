{# Many columns against their ranges in one pass: `bounds` maps a column to [smallest, largest], both included, null for
   an open side. In a build, rows seen to pass are left out. #}
{% test within_bounds(model, bounds) %}
select *
from {{ model }}
where (
    {% for column, limits in bounds.items() -%}
    {{ outside(column, limits[0], limits[1]) }}
    {{ 'or' if not loop.last }}
    {% endfor %}
) {{ and_unchecked(model) }}
{% endtest %}
