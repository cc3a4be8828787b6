#!/bin/sh
# Makes the databases and roles with the passwords of the secret files: once by itself, on an empty data volume, and by
# hand whenever a password has changed.
set -eu

PARLEY_AUTH_PASSWORD=$(cat /run/secrets/auth_password)
PARLEY_AUTH_OWNER_PASSWORD=$(cat /run/secrets/auth_owner_password)
PARLEY_CHAT_PASSWORD=$(cat /run/secrets/chat_password)
PARLEY_CHAT_OWNER_PASSWORD=$(cat /run/secrets/chat_owner_password)
export PARLEY_AUTH_PASSWORD PARLEY_AUTH_OWNER_PASSWORD PARLEY_CHAT_PASSWORD PARLEY_CHAT_OWNER_PASSWORD

psql --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres --file /etc/parley/bootstrap.sql
