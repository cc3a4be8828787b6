#!/bin/sh
# Makes the secrets that docker-compose.yml hands to the containers: each once, and what is there stays as it is.
# The folder is the owner's alone. The files in it are readable by all, because each container sees its own ones under
# a user of its own.
set -eu

folder=${1:-${PARLEY_SECRETS_DIR:-.parley-secrets}}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }
password() { random | tr '+/' '-_' | tr -d '='; }
value() { cat "$folder/$1"; }

# keep NAME VALUE: write a file whole or not at all, unless there is one.
keep() {
    [ -s "$folder/$1" ] && return
    printf '%s\n' "$2" > "$folder/$1.unfinished"
    chmod 444 "$folder/$1.unfinished"
    mv -f "$folder/$1.unfinished" "$folder/$1"
}

for name in postgres redis redis_chat grafana_admin auth auth_owner chat chat_owner; do
    keep "${name}_password" "$(password)"
done
for service in auth chat; do
    keep "${service}_master_key" "$(random)"
    at=@postgres:5432/parley_$service
    keep "${service}_database_url" "postgresql://parley_$service:$(value "${service}_password")$at"
    keep "${service}_migration_database_url" \
        "postgresql://parley_${service}_owner:$(value "${service}_owner_password")$at"
done
keep chat_service_key "$(random)"
keep auth_service_keys "$(value chat_service_key)"
keep redis_url "redis://parley:$(value redis_password)@redis:6379/0"
keep chat_redis_url "redis://parley_chat:$(value redis_chat_password)@redis:6379/0"
