#!/bin/sh
# Runs once in the image's root. npm packages carry no symbolic links: this one lists the libraries' instead.
# Nor has it a client: psql and pg_isready are taken out of Debian's, which would bring all of perl along.
set -eu
cd /usr/lib/postgresql
# The echo ends the last line, which read would otherwise drop.
{
    tr '{' '\n' <pg-symlinks.json
    echo
} |
    sed -n 's,.*"source":"native/\([^"]*\)"\,"target":"native/\([^"]*\)".*,\1 \2,p' |
    while read -r source target; do ln -s "/usr/lib/postgresql/$source" "$target"; done
install -m 755 15/bin/psql 15/bin/pg_isready bin/
apt-get -qq -y purge --auto-remove postgresql-client-15 >/dev/null
rm -rf pg-symlinks.json lib/pkgconfig lib/*.a 15
install -d -o 999 -g 999 -m 700 /var/lib/postgresql
# initdb and postgres want a name for their user.
echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' >>/etc/passwd
echo 'postgres:x:999:' >>/etc/group
LD_LIBRARY_PATH=/usr/lib/postgresql/lib bin/postgres --version
LD_LIBRARY_PATH=/usr/lib/postgresql/lib bin/psql --version
