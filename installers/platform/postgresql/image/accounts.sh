#!/bin/sh
# Keeps one role and one database per file in /run/secrets/accounts: the file's name, and the password in it.
# Runs beside the server and speaks to it over the shared socket as the superuser, which needs no password there.
set -eu
export PGHOST=/run/postgresql PGUSER=postgres PGDATABASE=postgres
seen=''
while :; do
    now=$(readlink /run/secrets/accounts/..data || true)
    if [ "$now" != "$seen" ] && pg_isready --quiet; then
        for file in /run/secrets/accounts/*; do
            [ -f "$file" ] || continue
            psql --quiet --set=ON_ERROR_STOP=1 --set=name="$(basename "$file")" --set=file="$file" \
                --file=/usr/local/share/account.sql
        done
        seen=$now
        echo "accounts are as wanted"
    fi
    sleep 2
done
