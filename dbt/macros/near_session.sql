{# The first session with a bar of `symbol` on or after `day`, and the last one before it; null when there is none.

   An index scan reads a whole page of a symbol's sessions, unless it is told where to stop. So the few days in which the
   session nearly always lies are asked for first, and the rest only after a gap. #}


{% macro first_session_from(symbol, day) -%}
{{ _near_session('min', symbol, '= ' ~ day, '>= ' ~ day) }}
{%- endmacro %}


{% macro last_session_before(symbol, day) -%}
{{ _near_session('max', symbol, 'between ' ~ day ~ ' - 5 and ' ~ day ~ ' - 1', '< ' ~ day) }}
{%- endmacro %}


{% macro _near_session(nearest, symbol, nearby, anywhere) -%}
coalesce(
    {%- for place in (nearby, anywhere) %}
    (
        select {{ nearest }}(near.session)
        from {{ ref('stg_market__price_bar') }} as near
        where near.symbol = {{ symbol }} and near.session {{ place }}
    ){{ ',' if not loop.last }}
    {%- endfor %}
)
{%- endmacro %}
