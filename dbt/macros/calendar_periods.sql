{# The calendar periods that a session belongs to. #}
{% macro calendar_periods(session) -%}
values
('month', to_char({{ session }}, 'YYYY-MM')),
('quarter', to_char({{ session }}, 'YYYY-"Q"Q')),
('year', to_char({{ session }}, 'YYYY')),
('all', 'all')
{%- endmacro %}
