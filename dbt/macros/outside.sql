{# Condition: a value is below `low` or above `high`; a side that is none is open. #}
{% macro outside(column, low, high) -%}
{%- set sides = [] -%}
{%- if low is not none -%}{%- do sides.append(column ~ ' < ' ~ low) -%}{%- endif -%}
{%- if high is not none -%}{%- do sides.append(column ~ ' > ' ~ high) -%}{%- endif -%}
{{ sides | join(' or ') }}
{%- endmacro %}
