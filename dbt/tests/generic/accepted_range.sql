{# Values of a column lie between min_value and max_value, both included; null is allowed. In a build, rows seen to pass are left out. #}
{% test accepted_range(model, column_name, min_value=none, max_value=none) %}
select {{ column_name }}
from {{ model }}
where ({{ outside(column_name, min_value, max_value) }}) {{ and_unchecked(model) }}
{% endtest %}
