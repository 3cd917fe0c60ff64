package fix_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

const databaseApp = ` --app cmdb --app-kind idoit --app-root /srv/www/i-doit `

// mariadbHost is a copy with MariaDB, i-doit's account and its configuration.
func mariadbHost(t *testing.T) *host {
	h := newHost(t, "/usr/sbin/mariadbd", "/usr/bin/mariadb", "/usr/bin/mariadb-install-db")
	h.run(`mkdir -p /run/mysqld /root/db; chown mysql /run/mysqld /root/db; chmod 755 /root
mariadb-install-db --user=mysql --datadir=/root/db --skip-test-db >/dev/null 2>&1
setpriv --reuid=mysql --regid=mysql --clear-groups mariadbd --no-defaults --datadir=/root/db --socket=/run/mysqld/mysqld.sock --port=3306 --bind-address=127.0.0.1 >/root/db.log 2>&1 &`)
	real.Eventually(t, 60*time.Second, "MariaDB", func() bool { _, err := h.try("mariadb -e 'SELECT 1'"); return err == nil })
	h.run(`mariadb <<'E'
CREATE DATABASE idoit_system; CREATE TABLE idoit_system.isys_mandator (isys_mandator__db_user TEXT, isys_mandator__db_pass TEXT);
INSERT INTO idoit_system.isys_mandator VALUES ('idoit', 'idoit'), ('other', 'idoit');
CREATE USER 'idoit'@'localhost' IDENTIFIED BY 'idoit'; CREATE USER 'idoit'@'127.0.0.1' IDENTIFIED BY 'idoit';
GRANT ALL ON idoit_system.* TO 'idoit'@'localhost';
CREATE USER 'far'@'%' IDENTIFIED BY 'x'; CREATE USER 'it''s'@'192.0.2.1' IDENTIFIED BY 'x';
E`)
	h.write("/srv/www/i-doit/src/config.inc.php", "<?php\n$g_db_system = array('type' => 'mysqli', 'host' => 'localhost', 'user' => 'idoit', 'pass' => 'idoit', 'name' => 'idoit_system');\n$g_admin_auth = array('admin' => 'idoit');\n")
	return h
}

const (
	login  = "mariadb --no-defaults --socket=/run/mysqld/mysqld.sock -u idoit -p%s idoit_system -N -e 'SELECT 1'"
	stored = "mariadb -N -e \"SELECT User, Host, Priv FROM mysql.global_priv ORDER BY 1, 2; SELECT * FROM idoit_system.isys_mandator ORDER BY 1\""
)

// TestDatabasePassword: the password is another one in every place at once, and the old one again after undo (I-76).
func TestDatabasePassword(t *testing.T) {
	t.Parallel()
	h := mariadbHost(t)
	files, rows := h.snapshot("/srv/www"), h.run(stored)
	plan := h.run("doorward fix plan I-76" + databaseApp)
	h.has(plan, "(the content is secret and not shown)")
	h.has(plan, "UPDATE idoit_system.isys_mandator")
	out := h.run("doorward fix apply I-76 --yes" + databaseApp)
	h.has(out, "in force; to take it back")
	fresh := strings.TrimSpace(h.run(`sed -n "s/.*'pass' => '\([^']*\)'.*/\1/p" /srv/www/i-doit/src/config.inc.php`))
	if len(fresh) < 20 || strings.Contains(out, fresh) {
		t.Fatalf("the new password is %q, or was shown", fresh)
	}
	h.run(strings.Replace(login, "%s", fresh, 1))
	h.fails(strings.Replace(login, "%s", "idoit", 1), "Access denied")
	h.has(h.run(stored), "idoit\t"+fresh+"\nother\tidoit\n")
	h.has(h.run("cat /srv/www/i-doit/src/config.inc.php"), "'admin' => 'idoit'") // another password that happens to be the same
	h.run("doorward fix undo --all")
	if now := h.snapshot("/srv/www"); now != files {
		t.Errorf("the files are\n%s\nand were\n%s", now, files)
	}
	h.run(strings.Replace(login, "%s", "idoit", 1))
	if now := h.run(stored); withoutTime(now) != withoutTime(rows) {
		t.Errorf("the database has\n%s\nand had\n%s", now, rows)
	}
	// A password that somebody else changed since is not overwritten.
	h.run("doorward fix apply I-76 --yes" + databaseApp)
	h.run("mariadb -e \"SET PASSWORD FOR 'idoit'@'localhost' = PASSWORD('another')\"")
	h.fails("doorward fix undo --all", "is not as the fix left it")
	// One in the file that does not work is not replaced at all.
	h.write("/srv/www/i-doit/src/config.inc.php", "<?php\n$g_db_system = array('user' => 'idoit', 'pass' => 'wrong');\n")
	h.has(h.run("doorward fix plan I-76"+databaseApp), "nothing to do: no database account")
}

// withoutTime leaves out when a password was changed, which the server notes by itself.
func withoutTime(rows string) string {
	var all []string
	for line := range strings.Lines(rows) {
		if i := strings.Index(line, `"password_last_changed"`); i >= 0 {
			line = line[:i] + "…"
		}
		all = append(all, strings.ReplaceAll(strings.ReplaceAll(line, `,"account_locked":false`, ""), `{"access":0,`, "{"))
	}
	return strings.Join(all, "\n")
}

// TestDatabaseAccountsLock: accounts of other hosts are locked, not dropped (I-22).
func TestDatabaseAccountsLock(t *testing.T) {
	t.Parallel()
	h := mariadbHost(t)
	out := h.run("doorward fix apply I-22 --yes")
	h.has(out, `lock the database account 'it\'s'@'192.0.2.1'`)
	h.has(out, "I-22: pass")
	locked := h.run("mariadb -N -e \"SELECT User FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.account_locked') ORDER BY 1\"")
	if locked != "far\nit's\n" && locked != "far\nit's\nmariadb.sys\n" {
		t.Errorf("locked are %q", locked)
	}
	h.run("doorward fix undo --all")
	if left := h.run("mariadb -N -e \"SELECT User FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.account_locked') AND User <> 'mariadb.sys'\""); left != "" {
		t.Errorf("still locked: %q", left)
	}
}
