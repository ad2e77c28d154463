{# First statements of a mart's transaction: keep the watermark to note at the end, and in an incremental build collect
   the keys to be written anew into the temporary table changed_keys. Which keys these are says the macro
   <model>__changed_keys in macros/changed_keys. #}
{% macro begin_build() %}
    {%- if not execute -%}
        {{ return('') }}
    {%- endif -%}
    {%- set incremental = is_incremental() -%}
    {%- set state = build_state() -%}
    {%- if incremental %}
create temporary table changed_keys on commit drop as
select distinct {{ config.get('unique_key') | join(', ') }}
from ({{ context[model.name ~ '__changed_keys'](state) }}) as changed;
analyze changed_keys;
    {%- endif %}
create temporary table build_state on commit drop as
select
    '{{ state.watermark }}'::xid8 as watermark,
    {{ state.system_identifier }}::bigint as system_identifier,
    {{ '(select count(*) from changed_keys)' if incremental else 'null::bigint' }} as changed_keys,
    {{ first_changed_session(incremental) }} as unchecked_from;
{% endmacro %}


{# Last statements of the same transaction: note the watermark, and give a new table its statistics. #}
{% macro end_build() %}
    {%- if not execute -%}
        {{ return('') }}
    {%- endif -%}
insert into marts.build_watermark as noted (
    model, definition, watermark, system_identifier, changed_keys, unchecked_from, invocation, built_at
)
select
    '{{ model.name }}',
    '{{ model_definition(model.unique_id) }}',
    watermark,
    system_identifier,
    changed_keys,
    unchecked_from,
    '{{ invocation_id }}',
    now()
from build_state
on conflict (model) do update set
    definition = excluded.definition,
    watermark = excluded.watermark,
    system_identifier = excluded.system_identifier,
    changed_keys = excluded.changed_keys,
    unchecked_from = least(noted.unchecked_from, excluded.unchecked_from),
    invocation = excluded.invocation,
    built_at = excluded.built_at;
    {%- if not is_incremental() %}
{# Of the columns that readers look rows up by; autovacuum sees to the others. #}
analyze {{ this }} ({{ config.get('unique_key') | join(', ') }});
    {%- endif %}
{% endmacro %}


{# Condition: this version was written or closed by a transaction the mart has not read yet. #}
{% macro is_changed(alias, state) -%}
    {{ alias }}.changed_xid >= '{{ state.since }}' and {{ alias }}.changed_xid < '{{ state.until }}'
{%- endmacro %}


{# The incremental strategy `by_change`: every changed key is deleted, also one without a row any more, and the rows that
   the model has for the changed keys are inserted. #}
{% macro get_incremental_by_change_sql(arg_dict) %}
{%- set target = arg_dict['target_relation'] -%}
{%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) %}
delete from {{ target }} as old
using changed_keys as changed
where {% for key in arg_dict['unique_key'] -%}
    old.{{ key }} = changed.{{ key }}{{ ' and ' if not loop.last }}
{%- endfor %};
insert into {{ target }} ({{ columns }})
select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}


{# Pre-hook of a mart that joins long tables: a full build joins them at once. Row by row along an index, which is right
   for a few changed keys and looks cheap to the planner for all, takes three times as long. #}
{% macro join_at_once() %}
    {%- if execute and not is_incremental() -%}
set local enable_nestloop = off
    {%- endif -%}
{% endmacro %}
