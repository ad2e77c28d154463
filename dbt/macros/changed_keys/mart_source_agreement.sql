{# A session enters its own window and those of the twenty after it. #}
{% macro mart_source_agreement__changed_keys(state) -%}
with changed as (
    select
        agreement.source,
        agreement.session
    from {{ source('quality', 'source_agreement') }} as agreement
    where {{ is_changed('agreement', state) }}
)

{{ with_rows_after('changed', ref('stg_quality__source_agreement'), 20, group='source') }}
{%- endmacro %}
