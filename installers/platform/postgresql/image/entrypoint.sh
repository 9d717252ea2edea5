#!/bin/sh
# Creates the database cluster once, complete or not at all, then becomes the server.
# Mounted: the superuser's password at /run/secrets/postgres/password, a volume at /var/lib/postgresql.
set -eu
data=/var/lib/postgresql/16
if [ ! -e "$data" ]; then
    rm -rf "$data.new"
    initdb --pgdata="$data.new" --username=postgres --pwfile=/run/secrets/postgres/password \
        --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums
    echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
    sync
    mv "$data.new" "$data"
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/run/postgresql "$@"
