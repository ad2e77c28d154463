{# Which rows of a mart its data tests still have to look at.

   A build notes the first session it changed, the tests of that build start there, and when all tests of the mart have
   passed it is noted that nothing is unchecked. Rows that fail stay unchecked: they are reported by every build until
   something corrects them. `dbt test` looks at whole tables. #}


{# First session that a build changes: -infinity when it writes the whole table or its rows belong to no session. #}
{% macro first_changed_session(incremental) -%}
    {%- if incremental and 'session' in config.get('unique_key') -%}
        coalesce((select min(session) from changed_keys), 'infinity')
    {%- else -%}
        date '-infinity'
    {%- endif -%}
{%- endmacro %}


{# In a data test: a further condition, that the row is unchecked. The session stands there as a literal, so that the
   planner sees how few rows that are. #}
{% macro and_unchecked(relation) -%}
    {%- if execute and flags.WHICH == 'build' -%}
        {%- for id in mart_ids() if graph.nodes[id].name == relation.identifier and 'session' in graph.nodes[id].config.unique_key -%}
            {%- set noted = run_query(
                "select unchecked_from::text from marts.build_watermark where model = '" ~ relation.identifier ~ "'"
            ) -%}
            and session >= date '{{ noted[0][0] if noted else '-infinity' }}'
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{# At the end of a build: marts all of whose tests have passed on what this build wrote are checked. #}
{% macro note_checked(results) %}
    {%- if execute and flags.WHICH == 'build' -%}
        {%- set passed = results | selectattr('status', 'equalto', 'pass') | map(attribute='node.unique_id') | list -%}
        {%- set checked = [] -%}
        {%- for id in mart_ids() -%}
            {%- set tests = graph.nodes.values() | selectattr('resource_type', 'equalto', 'test')
                | selectattr('attached_node', 'equalto', id) | map(attribute='unique_id') | list -%}
            {%- if tests and tests | reject('in', passed) | list | length == 0 -%}
                {%- do checked.append(graph.nodes[id].name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if checked -%}
update marts.build_watermark set unchecked_from = 'infinity'
where invocation = '{{ invocation_id }}' and model in ('{{ checked | join("', '") }}')
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
