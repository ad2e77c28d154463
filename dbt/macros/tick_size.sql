{# Price step of a symbol's exchange. Read once for a statement, and only if there are two closes to compare. #}
{% macro tick_size(symbol) -%}
coalesce(
    cast(
        (
            select jsonb_object_agg(listed.symbol, venue.tick_size order by listed.known_from)
            from {{ source('market', 'universe_member') }} as listed
            inner join {{ ref('stg_market__exchange') }} as venue on listed.exchange = venue.exchange
        ) ->> {{ symbol }} as double precision
    ),
    0.01
)
{%- endmacro %}
