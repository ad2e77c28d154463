{# Place of a source in the order of preference of a symbol's exchange, for comparison only: a source without a priority
   there comes last, by name. The order is read once for a statement, and only if there are two sources to compare: not
   joined to each row. The exchange of a symbol is the one the universe named last, also after the symbol has left it. #}
{% macro source_rank(symbol, vendor) -%}
(
    coalesce(
        cast(
            (
                select jsonb_object_agg(listed.symbol, ranking.places order by listed.known_from)
                from {{ source('market', 'universe_member') }} as listed
                inner join (
                    select
                        exchange,
                        jsonb_object_agg(source, priority) as places
                    from {{ ref('stg_market__source_priority') }}
                    group by exchange
                ) as ranking on listed.exchange = ranking.exchange
            ) -> {{ symbol }} ->> {{ vendor }} as integer
        ),
        2147483647
    ),
    {{ vendor }}
)
{%- endmacro %}
