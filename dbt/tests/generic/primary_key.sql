{# PostgreSQL enforces a primary key on exactly `columns`, so they are unique and not null in every row. Asked of the
   catalog, which costs the same for any size of table. #}
{% test primary_key(model, columns) %}
{{ config(severity='error') }}
select 'no primary key on ({{ columns | join(', ') }})' as problem
where
    not exists (
        select 1
        from pg_catalog.pg_constraint as key
        where
            key.conrelid = '{{ model }}'::regclass
            and key.contype = 'p'
            and array(
                select a.attname::text
                from pg_catalog.pg_attribute as a
                where a.attrelid = key.conrelid and a.attnum = any(key.conkey)
                order by a.attname
            ) = array['{{ columns | sort | join("', '") }}']
    )
{% endtest %}
