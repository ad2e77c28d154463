{# In an incremental build, the join that leaves the rows of `relation` whose key has changed. #}
{% macro only_changed(relation, key) -%}
{%- if is_incremental() -%}
inner join changed_keys
    on
        {%- for column in key %}
        {{ relation }}.{{ column }} = changed_keys.{{ column }}{{ ' and' if not loop.last }}
        {%- endfor %}
{%- endif -%}
{%- endmacro %}
