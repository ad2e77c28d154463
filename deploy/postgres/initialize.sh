#!/bin/sh
# Runs once, when the container's data volume is empty: the platform's role owns its two databases and nothing else.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --set "password=${MARKET_DATABASE_PASSWORD:?}" \
    --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
create role market login password :'password';
create database market owner market;
create database dagster owner market;
revoke all on database market, dagster from public;
SQL
