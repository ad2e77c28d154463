{# Place of a source in the configured order of preference, for comparison only: a source without a priority comes last,
   by name. The order is read once for a statement, not joined to each row. #}
{% macro source_rank(source) -%}
(
    coalesce(
        array_position(
            (
                select array_agg(ranking.source order by ranking.priority, ranking.source)
                from {{ ref('stg_market__source_priority') }} as ranking
            ),
            {{ source }}
        ),
        2147483647
    ),
    {{ source }}
)
{%- endmacro %}
