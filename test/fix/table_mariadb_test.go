package fix_test

import "strings"

const (
	// outside gives the copy an address that is not loopback, as other hosts would reach it.
	outside = "ip link add outer type dummy 2>/dev/null || ip link add outer type veth peer name other; ip addr add 192.0.2.10/24 dev outer; ip link set outer up; ip link set other up 2>/dev/null\n"
	here    = "mariadb --no-defaults --socket=/run/mysqld/mysqld.sock --connect-timeout=3 "
	away    = "mariadb --no-defaults --host=192.0.2.10 --protocol=tcp --skip-ssl --connect-timeout=3 "
)

// mariadbKind is MariaDB as its option files in /etc/mysql say, with i-doit's database. What rows do to its data is forgotten with
// the file /etc/mysql/dirty, when the server starts again from a copy.
func mariadbKind() kind {
	return kind{
		name: "mariadb", programs: []string{"/usr/sbin/mariadbd", "/usr/bin/mariadb", "/usr/bin/mariadb-install-db"},
		folders: "/etc/mysql /srv/www",
		setup: outside + `mkdir -p /run/mysqld /srv/db /srv/www/i-doit/src; chown mysql /run/mysqld /srv/db
cat >/etc/mysql/mariadb.conf.d/10-table.cnf <<'E'
[mysqld]
datadir = /srv/db
user = mysql
innodb_log_file_size = 8M
E
mariadb-install-db --user=mysql --datadir=/srv/db --skip-test-db >/dev/null 2>&1
cat >/srv/www/i-doit/src/config.inc.php <<'E'
<?php
$g_db_system = array('type' => 'mysqli', 'host' => 'localhost', 'port' => '3306', 'user' => 'idoit', 'pass' => 'kT9-vLq2-xWz8-hRb4', 'name' => 'idoit_system');
E
chown -R www-data:www-data /srv/www; chmod 0440 /srv/www/i-doit/src/config.inc.php
cat >/usr/local/bin/end-server <<'E'
#!/bin/sh
pid=$(cat /run/mysqld/mysqld.pid 2>/dev/null) && kill "$pid" && while [ -e /run/mysqld/mysqld.pid ]; do sleep 0.1; done
exit 0
E
cat >/usr/local/bin/begin-server <<'E'
#!/bin/sh
end-server
[ -e /etc/mysql/dirty ] || [ ! -d /srv/golden ] || { rm -rf /srv/db; cp -a /srv/golden /srv/db; }
setsid mariadbd >/root/db.log 2>&1 &
for i in $(seq 200); do ` + here + `-e 'SELECT 1' >/dev/null 2>&1 && exit; sleep 0.1; done
cat /root/db.log; exit 1
E
chmod 755 /usr/local/bin/end-server /usr/local/bin/begin-server; begin-server
` + here + `<<'E'
CREATE DATABASE idoit_system; CREATE TABLE idoit_system.isys_mandator (isys_mandator__db_user TEXT, isys_mandator__db_pass TEXT);
INSERT INTO idoit_system.isys_mandator VALUES ('idoit', 'kT9-vLq2-xWz8-hRb4');
CREATE USER 'idoit'@'localhost' IDENTIFIED BY 'kT9-vLq2-xWz8-hRb4'; GRANT ALL ON idoit_system.* TO 'idoit'@'localhost';
CREATE USER 'plain'@'localhost' IDENTIFIED BY 'pW4-mNc7-tYv9';
E
end-server; cp -a /srv/db /srv/golden; begin-server`,
		config:  "audit:\n  apps:\n  - {name: cmdb, kind: idoit, root: /srv/www/i-doit, web_user: www-data}\n",
		restart: "begin-server",
		up:      here + "-e 'SELECT 1'",
		state: here + `-N <<'E'
SELECT User, Host, Priv FROM mysql.global_priv ORDER BY 1, 2; SELECT * FROM mysql.db ORDER BY Db, User, Host;
SELECT * FROM idoit_system.isys_mandator ORDER BY 1; SELECT * FROM information_schema.SCHEMATA ORDER BY 2;
E`,
		rows: mariadbRows(),
	}
}

// statements make a script of SQL, after which the data are no longer those of the copy.
func statements(text string) string {
	return "touch /etc/mysql/dirty\n" + here + "<<'E'\n" + text + ";\nE\n"
}

func mariadbRows() []row {
	options := func(name, text string) string {
		return "cat >/etc/mysql/" + name + " <<'E'\n" + text + "\nE\n"
	}
	idoit := func(password string) string {
		return statements("ALTER USER 'idoit'@'localhost' IDENTIFIED BY '"+password+"'; UPDATE idoit_system.isys_mandator SET isys_mandator__db_pass = '"+password+"'") +
			"sed -i 's/kT9-vLq2-xWz8-hRb4/" + password + "/' /srv/www/i-doit/src/config.inc.php"
	}
	const (
		noBind   = "sed -i '/^bind-address/d' /etc/mysql/mariadb.conf.d/50-server.cnf\n"
		anyBind  = "sed -i 's/^bind-address.*/bind-address = 0.0.0.0/' /etc/mysql/mariadb.conf.d/50-server.cnf\n"
		closed   = "! timeout 3 bash -c '</dev/tcp/192.0.2.10/3306' 2>/dev/null && timeout 3 bash -c '</dev/tcp/127.0.0.1/3306'"
		stranger = "setpriv --reuid=nobody --regid=nogroup --clear-groups "
		works    = here + "-u idoit -p$(sed -n \"s/.*'pass' => '\\([^']*\\)'.*/\\1/p\" /srv/www/i-doit/src/config.inc.php) idoit_system -N -e 'SELECT COUNT(*) FROM isys_mandator'"
		noRights = works + " && ! " + here + "-u idoit -pkT9-vLq2-xWz8-hRb4 -N -e "
		testDB   = "INSERT INTO mysql.db (User, Select_priv, Insert_priv, Update_priv, Create_priv, Drop_priv, Host, Db) VALUES ('', 'Y', 'Y', 'Y', 'Y', 'Y', '%', "
	)
	rows := []row{
		{name: "the server listens everywhere", control: "I-23", variant: "bad", breaks: anyBind, good: closed},
		{name: "a later file with another group and spelling", control: "I-23", variant: "tricky", breaks: options("mariadb.conf.d/zzz-own.cnf", "[client]\nuser = x\n[mariadb]\nloose_bind_address=*"), good: closed},
		{name: "a line after the last include", control: "I-23", variant: "tricky", breaks: "printf '[mariadb-10.11]\\nbind-address=127.0.0.1\\n[mysqld]\\nbind-address = ::\\n' >>/etc/mysql/mariadb.cnf", good: closed},
		{name: "the default listens everywhere", control: "I-23", variant: "tricky", breaks: noBind, good: closed},
		{name: "a group that no server reads says 127.0.0.1", control: "M-37", variant: "tricky", breaks: noBind + options("conf.d/zz.cnf", "[mysqld_safe]\nbind-address=127.0.0.1"), good: closed, alone: true},
		{name: "the server listens at loopback", control: "I-23", variant: "good", breaks: ":", good: closed},

		{name: "an account without a name", control: "I-21", variant: "bad", breaks: statements("CREATE USER ''@'localhost' IDENTIFIED BY 'x'"), good: "! " + here + "-u whoever -px -e 'SELECT 1'"},
		{name: "an account without a password", control: "I-21", variant: "bad", breaks: statements("CREATE USER 'app'@'localhost'"), good: "! " + here + "-u app -e 'SELECT 1'"},
		{name: "a second way in with an empty password", control: "I-21", variant: "tricky",
			breaks: statements("CREATE USER 'app'@'localhost' IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('')"), good: "! " + here + "-u app -e 'SELECT 1'"},
		{name: "root by an empty password", control: "I-21", variant: "tricky", breaks: statements("ALTER USER 'root'@'localhost' IDENTIFIED VIA mysql_native_password USING PASSWORD('')"),
			good: "! " + stranger + here + "-u root -e 'SELECT 1'"},
		{name: "root from another host", control: "I-21", variant: "bad", breaks: anyBind + statements("CREATE USER 'root'@'192.0.2.%' IDENTIFIED BY 'x'; GRANT ALL ON *.* TO 'root'@'192.0.2.%'"),
			good: "! " + away + "-u root -px -e 'SELECT 1'", alone: true},
		{name: "the test database is everybody's", control: "I-21", variant: "bad",
			breaks: statements("CREATE DATABASE test CHARACTER SET latin1 COLLATE latin1_general_ci; " + testDB + "'test'); FLUSH PRIVILEGES"),
			good:   "! " + here + "-u plain -ppW4-mNc7-tYv9 test -e 'CREATE TABLE t (a INT); DROP TABLE t'"},
		{name: "no test database, and rights to make one", control: "I-21", variant: "tricky",
			breaks: statements(testDB + `'test\\_%'); FLUSH PRIVILEGES`),
			good:   "! " + here + "-u plain -ppW4-mNc7-tYv9 -e 'CREATE DATABASE test_mine; DROP DATABASE test_mine'"},
		{name: "everybody has a password or a socket", control: "I-21", variant: "good", breaks: ":", good: "! " + here + "-u whoever -e 'SELECT 1'"},

		{name: "an account of every host", control: "I-22", variant: "bad", breaks: anyBind + statements("CREATE USER 'far'@'%' IDENTIFIED BY 'x'"), good: "! " + away + "-u far -px -e 'SELECT 1'", alone: true},
		{name: "a second account of the same name", control: "I-22", variant: "tricky", breaks: anyBind + statements("CREATE USER 'plain'@'192.0.2.0/255.255.255.0' IDENTIFIED BY 'x'"),
			good: "! " + away + "-u plain -px -e 'SELECT 1' && " + here + "-u plain -ppW4-mNc7-tYv9 -e 'SELECT 1'", alone: true},
		{name: "accounts of this host", control: "I-22", variant: "good", breaks: ":", good: "! " + away + "-u plain -ppW4-mNc7-tYv9 -e 'SELECT 1'"},

		{name: "the application's password is its name", control: "I-76", variant: "bad", breaks: idoit("idoit"), good: works + " && ! " + here + "-u idoit -pidoit -e 'SELECT 1'", alone: true},
		{name: "everybody may read a good password", control: "I-76", variant: "tricky", breaks: "chmod 0444 /srv/www/i-doit/src/config.inc.php\ntouch /etc/mysql/dirty",
			good: works + " && ! " + stranger + "cat /srv/www/i-doit/src/config.inc.php", alone: true},

		{name: "the application may do everything", control: "D-29", variant: "bad", breaks: statements("GRANT ALL ON *.* TO 'idoit'@'localhost' WITH GRANT OPTION"), good: noRights + "'SELECT 1 FROM mysql.user'", alone: true},
		{name: "rights on the server's own database", control: "D-29", variant: "tricky", breaks: statements("GRANT SELECT, UPDATE ON mysql.* TO 'idoit'@'localhost'"), good: noRights + "'SELECT 1 FROM mysql.user'", alone: true},
		{name: "its own database by a right on everything", control: "D-29", variant: "tricky", breaks: statements("REVOKE ALL ON idoit_system.* FROM 'idoit'@'localhost'; GRANT SELECT, FILE ON *.* TO 'idoit'@'localhost'"),
			good: noRights + "\"SELECT LOAD_FILE('/etc/passwd')\" | grep -q root:", alone: true},
		{name: "the application has its own database", control: "D-29", variant: "good", breaks: ":", good: noRights + "'SELECT 1 FROM mysql.user'"},
	}
	for i := range rows {
		rows[i].topic = "mariadb"
		rows[i].breaks = strings.TrimSpace(rows[i].breaks)
	}
	return rows
}
