{# `expression` holds in every row; unknown (null) counts as holding. #}
{% test expression_is_true(model, expression) %}
select *
from {{ model }}
where not ({{ expression }})
{% endtest %}
