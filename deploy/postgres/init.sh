#!/bin/sh
# Runs once, on an empty data volume: makes the databases and roles with the passwords of the secret files.
set -eu

PARLEY_AUTH_PASSWORD=$(cat /run/secrets/auth_password)
PARLEY_AUTH_OWNER_PASSWORD=$(cat /run/secrets/auth_owner_password)
PARLEY_CHAT_PASSWORD=$(cat /run/secrets/chat_password)
PARLEY_CHAT_OWNER_PASSWORD=$(cat /run/secrets/chat_owner_password)
export PARLEY_AUTH_PASSWORD PARLEY_AUTH_OWNER_PASSWORD PARLEY_CHAT_PASSWORD PARLEY_CHAT_OWNER_PASSWORD

psql --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file /etc/parley/bootstrap.sql
