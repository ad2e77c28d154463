{# `expression` holds in every row; unknown (null) counts as holding. In a build, rows seen to pass are left out. #}
{% test expression_is_true(model, expression) %}
select *
from {{ model }}
where not ({{ expression }}) {{ and_unchecked(model) }}
{% endtest %}
