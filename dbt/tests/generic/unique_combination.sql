{# No two rows share the values of `columns`. For views; a table has a primary key, see primary_key. #}
{% test unique_combination(model, columns) %}
{{ config(severity='error') }}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
