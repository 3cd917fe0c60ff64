package fix_test

const asPostgres = "setpriv --reuid=postgres --regid=postgres --init-groups env -C / "

// postgresKind is the cluster 15/main as Debian configures it. What rows do to its roles is forgotten with the file
// /etc/postgresql/dirty, when the server starts again.
func postgresKind() kind {
	return kind{
		name: "postgresql", programs: []string{"pg_ctlcluster", "psql", "/etc/postgresql/15/main/postgresql.conf"},
		folders: "/etc/postgresql /var/lib/postgresql/15/main/postgresql.auto.conf /srv/helpdesk",
		setup: outside + `rm -rf /etc/mysql /usr/sbin/mariadbd /usr/sbin/mysqld; mkdir -p /run/postgresql /srv/helpdesk; chown postgres:postgres /run/postgresql; chmod 2775 /run/postgresql
printf 'APP_ENV=production\nDB_CONNECTION=pgsql\nDB_HOST=localhost\nDB_DATABASE=postgres\nDB_USERNAME=faveo\nDB_PASSWORD=kT9-vLq2-xWz8-hRb4\n' >/srv/helpdesk/.env
chmod 0440 /srv/helpdesk/.env; chown -R www-data:www-data /srv/helpdesk
cat >/usr/local/bin/begin-server <<'E'
#!/bin/sh
pg_ctlcluster 15 main stop -m fast 2>/dev/null
pg_ctlcluster 15 main start || { tail /var/log/postgresql/*; exit 1; }
[ -e /etc/postgresql/dirty ] || ` + asPostgres + `psql -qXc 'ALTER ROLE faveo NOSUPERUSER NOCREATEROLE NOBYPASSRLS' -c 'REVOKE pg_read_server_files FROM faveo' 2>/dev/null
exit 0
E
chmod 755 /usr/local/bin/begin-server; begin-server
` + asPostgres + `psql -qXc "CREATE ROLE faveo LOGIN PASSWORD 'kT9-vLq2-xWz8-hRb4'" -c 'CREATE ROLE open LOGIN'`,
		config:  "audit:\n  apps:\n  - {name: helpdesk, kind: faveo, root: /srv/helpdesk, web_user: www-data}\n",
		restart: "begin-server",
		up:      asPostgres + "psql -qXc 'SELECT 1'",
		state: asPostgres + `psql -qXtc "SELECT rolname, rolsuper, rolcreaterole, rolbypassrls, rolreplication, rolpassword FROM pg_authid ORDER BY 1" ` +
			`-c "SELECT roleid::regrole, member::regrole, grantor::regrole, admin_option FROM pg_auth_members ORDER BY 1, 2"`,
		rows: postgresRows(),
	}
}

func postgresRows() []row {
	top := func(line string) string {
		return "sed -i '1i " + line + "' /etc/postgresql/15/main/pg_hba.conf\n"
	}
	listen := func(file, value string) string {
		return "echo \"listen_addresses = '" + value + "'\" >>/etc/postgresql/15/main/" + file + "\n"
	}
	const (
		closed   = "! timeout 3 bash -c '</dev/tcp/192.0.2.10/5432' 2>/dev/null && timeout 3 bash -c '</dev/tcp/127.0.0.1/5432'"
		stranger = "setpriv --reuid=nobody --regid=nogroup --clear-groups env -C / PGCONNECT_TIMEOUT=3 "
		noTrust  = "! " + stranger + "psql -qXw -U open -d postgres -c 'SELECT 1'"
		noTCP    = "! " + stranger + "psql -qXw -h 127.0.0.1 -U open -d postgres -c 'SELECT 1' && " + stranger + "psql -qX 'host=127.0.0.1 user=faveo password=kT9-vLq2-xWz8-hRb4 dbname=postgres' -c 'SELECT 1'"
		noAway   = "! " + stranger + "psql -qX 'host=192.0.2.10 user=faveo password=kT9-vLq2-xWz8-hRb4 dbname=postgres' -c 'SELECT 1'"
		faveo    = stranger + "psql -qXt 'host=127.0.0.1 user=faveo password=kT9-vLq2-xWz8-hRb4 dbname=postgres' -c "
		dirty    = "touch /etc/postgresql/dirty\n" + asPostgres + "psql -qXc "
	)
	open := listen("postgresql.conf", "localhost,192.0.2.10")
	rows := []row{
		{name: "the server listens everywhere", control: "I-23", variant: "bad", breaks: listen("postgresql.conf", "*"), good: closed},
		{name: "a file of conf.d that is read later", control: "I-23", variant: "tricky", breaks: "sed -i \"s/^#listen_addresses.*/listen_addresses = 'localhost'/\" /etc/postgresql/15/main/postgresql.conf\n" + listen("conf.d/zzz.conf", "0.0.0.0"), good: closed},
		{name: "what ALTER SYSTEM wrote wins", control: "I-23", variant: "tricky", breaks: listen("postgresql.conf", "localhost") + asPostgres + "psql -qXc \"ALTER SYSTEM SET listen_addresses = 'localhost', '192.0.2.10'\"", good: closed},
		{name: "a file that is included at the end", control: "M-37", variant: "tricky", breaks: listen("own.conf", "*") + "echo \"include 'own.conf'\" >>/etc/postgresql/15/main/postgresql.conf", good: closed, alone: true},
		{name: "the server listens at localhost", control: "I-23", variant: "good", breaks: ":", good: closed},

		{name: "local connections are trusted", control: "I-21", variant: "bad", breaks: top("local all all trust"), good: noTrust},
		{name: "an earlier line trusts this host", control: "I-21", variant: "tricky", breaks: top("host all all 127.0.0.1/32 trust"), good: noTCP},
		{name: "a line with an address and a mask", control: "I-21", variant: "tricky", breaks: top("host  \"all\",postgres  all  127.0.0.0  255.0.0.0  trust  # for now"), good: noTCP},
		{name: "a line of trust that never decides", control: "I-21", variant: "good", breaks: "echo 'host all all 127.0.0.1/32 trust' >>/etc/postgresql/15/main/pg_hba.conf", good: noTCP},

		{name: "another host may sign in", control: "I-22", variant: "bad", breaks: open + top("host all all 0.0.0.0/0 scram-sha-256"), good: noAway, alone: true},
		{name: "a network by a word, above", control: "I-22", variant: "tricky", breaks: open + top("host all faveo samenet scram-sha-256"), good: noAway, alone: true},
		{name: "other hosts are refused above", control: "I-22", variant: "good", breaks: open + "echo 'host all all 192.0.2.0/24 scram-sha-256' >>/etc/postgresql/15/main/pg_hba.conf\n" + top("host all all 192.0.2.0/24 reject"), good: noAway, alone: true},

		{name: "the application is a superuser", control: "D-29", variant: "bad", breaks: dirty + "'ALTER ROLE faveo SUPERUSER CREATEROLE'", good: faveo + "'SELECT 1' && ! " + faveo + "'SELECT rolpassword FROM pg_authid'"},
		{name: "the application reads the server's files", control: "D-29", variant: "tricky", breaks: dirty + "'GRANT pg_read_server_files TO faveo'", good: faveo + "'SELECT 1' && ! " + faveo + "\"CREATE TEMP TABLE t (x text); COPY t FROM '/etc/passwd'\""},
		{name: "the application has no right of the server", control: "D-29", variant: "good", breaks: ":", good: "! " + faveo + "'SELECT rolpassword FROM pg_authid'"},
	}
	for i := range rows {
		rows[i].topic = "postgresql"
	}
	return rows
}
