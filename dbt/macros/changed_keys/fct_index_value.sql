{# A level enters the return of the next session and twenty moving averages; the first level enters every cumulative
   return. Levels are a chain, so what follows a changed level has changed with it: everything from there on. #}
{% macro fct_index_value__changed_keys(state) -%}
select
    index_id,
    session
from ({{ changed_index_values(state) }}) as changed
union
select
    following.index_id,
    following.session
from (
    select
        index_id,
        min(session) as session
    from ({{ changed_index_values(state) }}) as changed
    group by index_id
) as earliest
inner join {{ ref('stg_indices__index_value') }} as following
    on earliest.index_id = following.index_id and earliest.session <= following.session
{%- endmacro %}


{% macro changed_index_values(state) -%}
select
    level.index_id,
    level.session
from {{ source('indices', 'index_value') }} as level
where {{ is_changed('level', state) }}
{%- endmacro %}
