{{ config(unique_key=['session', 'source']) }}

{# Also in the macro mart_source_agreement__changed_keys: a session enters that many windows. #}
{% set window = 21 %}

{% if is_incremental() %}
    with scope as (
        {{ with_rows_before('changed_keys', ref('stg_quality__source_agreement'), window - 1, group='source') }}
    ),

    daily as (
        select agreement.*
        from {{ ref('stg_quality__source_agreement') }} as agreement
        inner join scope on agreement.source = scope.source and agreement.session = scope.session
    ),
{% else %}
    with daily as (
        select agreement.*
        from {{ ref('stg_quality__source_agreement') }} as agreement
    ),
{% endif %}

measured as (
    select
        session,
        source,
        compared,
        disagreed,
        rate,
        cast(sum(compared) over last_sessions as integer) as compared_21,
        cast(sum(disagreed) over last_sessions as integer) as disagreed_21
    from daily
    window last_sessions as (
        partition by source order by session rows between {{ window - 1 }} preceding and current row
    )
)

select
    measured.session,
    measured.source,
    measured.compared,
    measured.disagreed,
    measured.rate,
    measured.compared_21,
    measured.disagreed_21,
    cast(measured.disagreed_21 as double precision) / nullif(measured.compared_21, 0) as rate_21
from measured
{{ only_changed('measured', ['session', 'source']) }}
