#!/bin/sh
# Runs once, when the volume is empty: the owner of the tables, and the application's role, which owns nothing.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -v owner_password="$OWNER_PASSWORD" -v app_password="$APP_PASSWORD" <<'SQL'
CREATE ROLE ballast_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE ballast_app LOGIN NOBYPASSRLS PASSWORD :'app_password';
CREATE DATABASE ballast OWNER ballast_owner ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
REVOKE TEMPORARY ON DATABASE ballast FROM PUBLIC;
SQL
