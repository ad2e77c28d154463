{# Incremental by change: what a mart has read, and what has changed since.

   Every version of a source row carries changed_xid, the transaction that wrote or closed it. A build notes, in the
   transaction that writes the mart, the watermark up to which it has read: pg_snapshot_xmin, below which every
   transaction had ended. The next build takes up everything from there on, so a late commit is never lost and a
   crashed build leaves nothing. #}


{% macro create_build_watermark() %}
select pg_advisory_xact_lock(hashtextextended('marts.build_watermark', 0));
create table if not exists marts.build_watermark (
    model text primary key,
    definition text not null,          -- digest of the model and of every model it reads
    watermark xid8 not null,           -- every change by an earlier transaction is in the mart
    system_identifier bigint not null, -- the cluster whose transactions these are
    changed_keys bigint,               -- keys the last build rewrote; null when it built the whole table
    built_at timestamptz not null
);
{# Before unchecked.sql there were tables without these two. #}
alter table marts.build_watermark
add column if not exists unchecked_from date not null default '-infinity', -- see unchecked.sql
add column if not exists invocation text; -- of dbt, the last that built the mart
{% endmacro %}


{# What the build of this model starts from: `watermark` to note, the changes it has to take up (`since` to `until`) and
   `rebuild`, true when the mart cannot be brought up to date: another definition, or a database restored into another
   cluster, where old transaction numbers mean nothing. A mart that reads marts is no more up to date than they are. #}
{% macro build_state() %}
    {%- set parents = model.depends_on.nodes | select('in', mart_ids()) | list -%}
    {%- set query -%}
        select
            least(
                pg_snapshot_xmin(pg_current_snapshot())
                {%- for parent in parents -%}
                , coalesce(
                    (select w.watermark from marts.build_watermark as w where w.model = '{{ graph.nodes[parent].name }}'),
                    '0'
                )
                {%- endfor %}
            ) as watermark,
            mart.watermark as since,
            pg_snapshot_xmax(pg_current_snapshot()) as until,
            system.system_identifier,
            not coalesce(
                mart.definition = '{{ model_definition(model.unique_id) }}'
                and mart.system_identifier = system.system_identifier,
                false
            ) as rebuild
        from pg_control_system() as system
        left join marts.build_watermark as mart on mart.model = '{{ model.name }}'
    {%- endset -%}
    {{ return(run_query(query)[0]) }}
{% endmacro %}


{% macro mart_ids() %}
    {{ return(graph.nodes.values() | selectattr('config.incremental_strategy', 'equalto', 'by_change')
        | map(attribute='unique_id') | list) }}
{% endmacro %}


{# Digest of a model and of every model it is built from: a mart whose definition changed is built anew, without anyone
   having to think of it. Macros are not in it; after a change of one, build the marts that use it with --full-refresh. #}
{% macro model_definition(unique_id) %}
    {%- set ids = [unique_id] -%}
    {%- for id in ids -%}
        {%- for parent in graph.nodes[id].depends_on.nodes if parent in graph.nodes and parent not in ids -%}
            {%- do ids.append(parent) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set digests = [] -%}
    {%- for id in ids | sort -%}
        {%- do digests.append(graph.nodes[id].checksum.checksum) -%}
    {%- endfor -%}
    {{ return(local_md5(digests | join(' '))) }}
{% endmacro %}


{# dbt asks this before it decides between a full and an incremental build. The first question waits for any other build
   of the same mart, so that every answer in this transaction is the same. #}
{% macro should_full_refresh() %}
    {%- set configured = config.get('full_refresh') -%}
    {%- if configured is none -%}
        {%- set configured = flags.FULL_REFRESH -%}
    {%- endif -%}
    {%- if configured or not execute or model.config.get('incremental_strategy') != 'by_change' -%}
        {{ return(configured) }}
    {%- endif -%}
    {%- do run_query("select pg_advisory_xact_lock(hashtextextended('" ~ this ~ "', 0))") -%}
    {{ return(build_state().rebuild) }}
{% endmacro %}
