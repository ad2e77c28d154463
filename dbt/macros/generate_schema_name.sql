{# The schema of a model is the folder it lies in: models/marts/fct_daily_bar.sql is marts.fct_daily_bar. A configured
   schema would also become part of the Dagster asset key, which is the model's name alone. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ node.fqn[1] if node.resource_type == 'model' else (custom_schema_name or target.schema) }}
{%- endmacro %}
