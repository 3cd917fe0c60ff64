package audit_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/test/real"
)

// judgedBy judges what was read, by a profile and its choices.
func judgedBy(t *testing.T, profile string, f facts.Facts) map[string]audit.Finding {
	t.Helper()
	catalogue, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	p := audit.Profile{}
	if profile != "" {
		var ok bool
		if p, ok = catalogue.Profile(profile); !ok {
			t.Fatalf("there is no profile %q", profile)
		}
	}
	all := map[string]audit.Finding{}
	for _, finding := range catalogue.Judge(p, f, audit.Records{}) {
		all[finding.ID] = finding
	}
	return all
}

// judged reads this machine with what is declared, and judges it. The profile's choices of variants do not count.
func judged(t *testing.T, config facts.Config) (map[string]audit.Finding, facts.Facts) {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Target{Config: config, Now: time.Now()}, nil)
	return judgedBy(t, "", f), f
}

// wantVerdict fails unless the control came out so.
func wantVerdict(t *testing.T, all map[string]audit.Finding, id string, want audit.Status) {
	t.Helper()
	if f := all[id]; f.Status != want {
		t.Errorf("%s: got %q, want %q: %s %+v", id, f.Status, want, f.Reason, f.Evidence)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		real.Missing(t, "it needs root")
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestTreeWrites: the verdict of who may write a file is what the kernel answers when the web user tries.
func TestTreeWrites(t *testing.T) {
	needRoot(t)
	real.Require(t, "setpriv", "setfacl", "chattr")
	root := filepath.Join(openFolder(t), "app")
	files := map[string]string{ // name and what is done to it, as a shell says it with the file as $1
		"plain":              "chmod 0644 $1",
		"owned-sealed":       "chown www-data $1; chmod 0440 $1",
		"owned":              "chown www-data $1; chmod 0640 $1",
		"group":              "chgrp www-data $1; chmod 0660 $1",
		"group-denied":       "chgrp www-data $1; chmod 0606 $1", // others may, the web user's group may not
		"owner-denied":       "chown www-data:www-data $1; chmod 0066 $1",
		"world":              "chmod 0666 $1",
		"acl-user":           "setfacl -m u:www-data:rw $1",
		"acl-masked":         "setfacl -m u:www-data:rw,m::r $1",
		"acl-group":          "setfacl -m g:www-data:rw $1",
		"acl-user-denied":    "chmod 0666 $1; setfacl -m u:www-data:r $1",
		"acl-group-masked":   "chgrp www-data $1; chmod 0664 $1; setfacl -m u:nobody:r,g::r,m::rw $1",
		"acl-others":         "chmod 0666 $1; setfacl -m u:nobody:--- $1",
		"acl-mask-of-none":   "setfacl -m u:www-data:rw,m::--- $1; chmod o=rw $1",
		"immutable":          "chmod 0666 $1; chattr +i $1",
		"closed/world":       "chmod 0700 $(dirname $1); chmod 0666 $1",
		"opened/world":       "chmod 0700 $(dirname $1); setfacl -m u:www-data:x $(dirname $1); chmod 0666 $1",
		"search-denied/file": "chmod 0755 $(dirname $1); setfacl -m u:www-data:--- $(dirname $1); chmod 0666 $1",
	}
	for name, do := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, "sh", "-ec", do, "sh", path)
		t.Cleanup(func() { _ = exec.Command("chattr", "-i", path).Run() }) // most have no flag
	}
	folders := map[string]string{"dir-group": "chgrp www-data $1; chmod 0770 $1", "dir-no-x": "chgrp www-data $1; chmod 0760 $1", "dir-acl": "setfacl -m u:www-data:rwx $1", "dir-plain": "chmod 0755 $1"}
	for name, do := range folders {
		path := filepath.Join(root, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "sh", "-ec", do, "sh", path)
	}
	all, f := judged(t, facts.Config{Apps: []facts.App{{Name: "a", Root: root, Data: []string{"dir-group"}}}})
	trees := f.Values["trees"].(facts.Trees)
	said := map[string]bool{}
	for _, e := range trees.WebWritable {
		if e.Now {
			said[strings.TrimPrefix(e.Path, root+"/")] = true
		}
	}
	as := func(script, path string) bool {
		return exec.Command("setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups", "sh", "-c", script, "sh", path).Run() == nil
	}
	for name := range files {
		if does := as(`exec 3>>"$1"`, filepath.Join(root, name)); does != said[name] {
			t.Errorf("%s: the audit says that the web user may write it: %v; it does: %v", name, said[name], does)
		}
	}
	for name := range folders {
		does := as(`: >"$1/new"`, filepath.Join(root, name))
		if name == "dir-group" {
			if len(trees.Data) != 1 || trees.Data[0].Web != does {
				t.Errorf("%s: the audit says of the data folder %+v; a file can be made there: %v", name, trees.Data, does)
			}
		} else if does != said[name] {
			t.Errorf("%s: the audit says that the web user may make files in it: %v; it does: %v", name, said[name], does)
		}
	}
	wantVerdict(t, all, "D-24", audit.Fail)
	wantVerdict(t, all, "D-26", audit.Pass)

	// Sealed: all of it is the web user's, with modes that let nobody write, and immutable.
	run(t, "sh", "-ec", `chattr -R -i "$1"; setfacl -R -b "$1"; chown -R www-data:www-data "$1"; find "$1" -type f -exec chmod 440 {} +
		find "$1" -type d -exec chmod 550 {} + ; chmod 770 "$1/dir-group"; chmod 660 "$1/dir-group/new"; chattr -R +i "$1"; chattr -R -i "$1/dir-group"`, "sh", root)
	t.Cleanup(func() { _ = exec.Command("chattr", "-R", "-i", root).Run() }) // the flag may be gone already
	all, f = judged(t, facts.Config{Apps: []facts.App{{Name: "a", Root: root, Data: []string{"dir-group"}}}})
	for _, id := range []string{"D-23", "D-24", "D-25", "D-26", "I-68", "I-69", "I-71", "I-72", "I-73", "I-74"} {
		wantVerdict(t, all, id, audit.Pass)
	}
	// The profile of all guides asks for an owner that the web server is not; with the flag, an owner can change nothing.
	all = judgedBy(t, "all", f)
	for id, want := range map[string]audit.Status{"D-23": audit.Fail, "D-24": audit.Pass, "I-68": audit.Fail} {
		wantVerdict(t, all, id, want)
	}
	if err := os.WriteFile(filepath.Join(root, "plain"), []byte("x"), 0o644); err == nil {
		t.Error("root could write a sealed file; the test's folder keeps no flags")
	}
	// Without the flag, the owner may chmod and write: the literal reading passes, that of all guides does not.
	run(t, "chattr", "-R", "-i", root)
	all, f = judged(t, facts.Config{Apps: []facts.App{{Name: "a", Root: root, Data: []string{"dir-group"}}}})
	wantVerdict(t, all, "D-24", audit.Pass)
	wantVerdict(t, judgedBy(t, "all", f), "D-24", audit.Fail)
	if !as(`chmod u+w "$1" && echo x >>"$1" && chmod 440 "$1"`, filepath.Join(root, "plain")) {
		t.Error("the owner could not chmod and write, so the profile's choice shows nothing")
	}
	// Unsealed and forgotten, as the guide's update does it.
	run(t, "sh", "-ec", `find "$1" -type d -exec chmod 775 {} + ; find "$1" -type f -exec chmod 664 {} +`, "sh", root)
	all, _ = judged(t, facts.Config{Apps: []facts.App{{Name: "a", Root: root, Data: []string{"dir-group"}}}})
	for id, want := range map[string]audit.Status{"D-24": audit.Fail, "D-25": audit.Fail, "I-69": audit.Fail, "I-71": audit.Fail, "I-73": audit.Pass, "I-74": audit.Fail} {
		wantVerdict(t, all, id, want)
	}
}

// openFolder is a temporary folder that every account may look into.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "doorward-audit-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mariadb starts a MariaDB of the test's own and returns its socket and a connection of its root.
func mariadb(t *testing.T, options ...string) (string, *sql.DB) {
	t.Helper()
	needRoot(t)
	real.Require(t, "mariadbd", "mariadb-install-db", "setpriv")
	dir := openFolder(t)
	run(t, "chown", "mysql", dir)
	run(t, "mariadb-install-db", "--no-defaults", "--user=mysql", "--datadir="+dir+"/db", "--auth-root-authentication-method=normal")
	socket := dir + "/m.sock"
	args := append([]string{"--reuid=mysql", "--regid=mysql", "--clear-groups", "mariadbd", "--no-defaults", "--datadir=" + dir + "/db", "--socket=" + socket}, options...)
	real.Start(t, "mariadbd", exec.Command("setpriv", args...))
	db, err := sql.Open("mysql", "root@unix("+socket+")/?multiStatements=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	real.Eventually(t, time.Minute, "MariaDB", func() bool { return db.Ping() == nil })
	return socket, db
}

func execSQL(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestMariaDB(t *testing.T) {
	port := real.FreePort(t)
	socket, root := mariadb(t, "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", port))
	dir := openFolder(t)
	app := func(user, password string) facts.Config {
		text := fmt.Sprintf("<?php\n$DP_CONFIG['db'] = array('host' => 'localhost', 'user' => '%s', 'password' => '%s', 'dbname' => 'app');\n", user, password)
		if err := os.WriteFile(dir+"/config.php", []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		return facts.Config{MariaDB: facts.Database{Socket: socket}, Apps: []facts.App{{Name: "desk", Kind: "deskpro", Root: dir}}}
	}
	// signsIn says whether an account gets in over TCP, as a stranger on this host would try.
	signsIn := func(account string) bool {
		db, err := sql.Open("mysql", fmt.Sprintf("%s@tcp(127.0.0.1:%d)/", account, port))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		return db.Ping() == nil
	}
	const long = "kT9#vLq2!xWz"

	// As it is installed: root without a password, anonymous accounts, a test database.
	all, f := judged(t, app("root", ""))
	wantVerdict(t, all, "I-21", audit.Fail)
	wantVerdict(t, all, "D-29", audit.Fail)
	wantVerdict(t, all, "I-76", audit.Fail)
	if m := f.Values["mariadb"].(facts.MariaDB); !m.Listens || !m.Loopback || len(m.TestDatabases) == 0 || len(m.Users) == 0 {
		t.Errorf("got %+v, want a server on the loopback with a test database", m)
	}
	if !signsIn("stranger") {
		t.Error("no anonymous sign-in is possible, so the verdict shows nothing")
	}

	// As mysql_secure_installation leaves it, and an account for the application alone.
	execSQL(t, root, "DROP USER IF EXISTS ''@'localhost'", "DELETE FROM mysql.global_priv WHERE User = ''", "DROP DATABASE IF EXISTS test", "DELETE FROM mysql.db WHERE Db LIKE 'test%'",
		"CREATE DATABASE app", "CREATE USER app@localhost IDENTIFIED BY '"+long+"'", "GRANT ALL ON app.* TO app@localhost",
		"DELETE FROM mysql.global_priv WHERE User IN ('root', 'mysql') AND Host <> 'localhost'", "FLUSH PRIVILEGES", "ALTER USER root@localhost IDENTIFIED VIA unix_socket")
	good := app("app", long)
	all, _ = judged(t, good)
	for _, id := range []string{"I-21", "I-22", "D-29", "I-76"} {
		wantVerdict(t, all, id, audit.Pass)
	}
	if signsIn("stranger") || signsIn("root") || !signsIn("app:"+long) {
		t.Error("the server does not behave as the verdict says")
	}

	// Each tricky change by itself: what it breaks, and back.
	for name, c := range map[string]struct {
		do, undo string
		id       string
		want     audit.Status
	}{
		"root's rights under another name": {"GRANT ALL ON *.* TO app@localhost", "REVOKE ALL ON *.* FROM app@localhost", "D-29", audit.Fail},
		"rights by a role":                 {"CREATE ROLE helper; GRANT FILE ON *.* TO helper; GRANT helper TO app@localhost", "DROP ROLE helper", "D-29", audit.Fail},
		"the right to give rights":         {"GRANT SELECT ON app.* TO app@localhost WITH GRANT OPTION", "REVOKE GRANT OPTION ON app.* FROM app@localhost", "D-29", audit.Fail},
		"the server's own database":        {"GRANT UPDATE ON mysql.* TO app@localhost", "REVOKE UPDATE ON mysql.* FROM app@localhost", "D-29", audit.Fail},
		"rights of no harm":                {"GRANT PROCESS ON *.* TO app@localhost", "REVOKE PROCESS ON *.* FROM app@localhost", "D-29", audit.Pass},
		"another host's account":           {"CREATE USER far@'%' IDENTIFIED BY 'x'", "DROP USER far@'%'", "I-22", audit.Fail},
		"another host's, locked":           {"CREATE USER far@'%' IDENTIFIED BY 'x' ACCOUNT LOCK", "DROP USER far@'%'", "I-22", audit.Pass},
		"a role is no account":             {"CREATE ROLE idle", "DROP ROLE idle", "I-22", audit.Pass},
		"socket or an empty password":      {"CREATE USER either@localhost IDENTIFIED VIA unix_socket OR mysql_native_password USING ''", "DROP USER either@localhost", "I-21", audit.Fail},
		"socket or nothing valid":          {"CREATE USER either@localhost IDENTIFIED VIA unix_socket OR mysql_native_password USING 'invalid'", "DROP USER either@localhost", "I-21", audit.Pass},
		"an empty password, locked":        {"CREATE USER none@localhost ACCOUNT LOCK", "DROP USER none@localhost", "I-21", audit.Pass},
		"an empty password":                {"CREATE USER none@localhost", "DROP USER none@localhost", "I-21", audit.Fail},
		"root from outside":                {"CREATE USER root@'%' IDENTIFIED BY 'long enough to be good'", "DROP USER root@'%'", "I-21", audit.Fail},
		"test_ for everybody":              {"INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('%', 'test\\\\_%', '', 'Y')", "DELETE FROM mysql.db WHERE User = ''", "I-21", audit.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			execSQL(t, root, c.do)
			all, _ := judged(t, good)
			wantVerdict(t, all, c.id, c.want)
			for account, behaves := range map[string]bool{"either": name == "socket or an empty password", "none": name == "an empty password"} {
				if strings.Contains(c.do, account+"@") && signsIn(account) != behaves {
					t.Errorf("%s signs in without a password: %v", account, !behaves)
				}
			}
			execSQL(t, root, c.undo)
		})
	}
	// The audit's own account needs a password, which a file holds.
	execSQL(t, root, "CREATE USER auditor@localhost IDENTIFIED BY 'a secret of the audit'; GRANT SELECT ON mysql.* TO auditor@localhost; GRANT SHOW DATABASES ON *.* TO auditor@localhost")
	if err := os.WriteFile(dir+"/secret", []byte("a secret of the audit\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good.MariaDB.User, good.MariaDB.PasswordFile = "auditor", dir+"/secret"
	all, f = judged(t, good)
	wantVerdict(t, all, "I-22", audit.Pass)
	if text := fmt.Sprintf("%+v %+v", all, f); strings.Contains(text, "a secret of the audit") || strings.Contains(text, "'"+long) {
		t.Error("a password is in the findings or facts")
	}
	good.MariaDB.PasswordFile = dir + "/none"
	all, _ = judged(t, good)
	wantVerdict(t, all, "I-22", audit.Unknown)
}

func TestMORDefaults(t *testing.T) {
	socket, root := mariadb(t, "--skip-networking")
	dir := openFolder(t)
	if err := os.MkdirAll(dir+"/config", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/config/database.yml", []byte("production:\n  adapter: mysql2\n  database: mor\n  username: mor\n  password: mor\n  host: localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	execSQL(t, root, "CREATE DATABASE mor", "CREATE TABLE mor.conflines (name VARCHAR(255), value VARCHAR(255), owner_id INT)",
		"CREATE TABLE mor.users (username VARCHAR(255), password VARCHAR(255), blocked INT, usertype VARCHAR(20))",
		"INSERT INTO mor.users VALUES ('admin', SHA1('admin1'), 0, 'admin'), ('bob', 'clear', 0, 'user')",
		"INSERT INTO mor.conflines VALUES ('Default_User_balance', '0.00', 0), ('Default_User_postpaid', '0', 0), ('Default_User_credit', '0', 0), ('Default_User_balance', '9', 7)")
	config := facts.Config{MariaDB: facts.Database{Socket: socket}, Apps: []facts.App{{Name: "mor", Kind: "mor", Root: dir}}}
	all, _ := judged(t, config)
	for id, want := range map[string]audit.Status{"M-14": audit.Pass, "M-15": audit.Pass, "M-16": audit.Pass, "M-07": audit.Fail, "F-39": audit.Fail, "I-76": audit.Fail} {
		wantVerdict(t, all, id, want)
	}
	execSQL(t, root, "UPDATE mor.conflines SET value = '5' WHERE owner_id = 0", "UPDATE mor.users SET password = SHA1('another one')")
	all, _ = judged(t, config)
	for id, want := range map[string]audit.Status{"M-14": audit.Fail, "M-15": audit.Fail, "M-16": audit.Fail, "M-07": audit.Pass} {
		wantVerdict(t, all, id, want)
	}
}

// TestRequestTrackerAccounts reads a copy of the database that Debian's package makes, with the account as it is delivered.
func TestRequestTrackerAccounts(t *testing.T) {
	needRoot(t)
	const database = "/var/lib/dbconfig-common/sqlite3/request-tracker5/rtdb"
	real.Require(t, database, "sqlite3")
	root := t.TempDir()
	for _, name := range []string{"etc/request-tracker5", filepath.Dir(database), "var/lib/dpkg"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(root, "etc/request-tracker5"), os.DirFS("/etc/request-tracker5")); err != nil {
		t.Fatal(err)
	}
	run(t, "cp", database, filepath.Join(root, database))
	run(t, "cp", "/var/lib/dpkg/status", filepath.Join(root, "var/lib/dpkg/status"))
	verdicts := func() map[string]audit.Finding {
		h, err := facts.OpenHost(facts.HostOptions{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		config := facts.Config{Apps: []facts.App{{Name: "rt", Kind: "request-tracker", Root: "/usr/share/request-tracker5"}}}
		return judgedBy(t, "", facts.Collect(t.Context(), h, facts.Target{Config: config, Now: time.Now()}, nil))
	}
	all := verdicts()
	for id, want := range map[string]audit.Status{"I-79": audit.Fail, "I-78": audit.Fail, "F-39": audit.Pass, "I-76": audit.Pass, "D-29": audit.Pass} {
		wantVerdict(t, all, id, want)
	}
	run(t, "sqlite3", filepath.Join(root, database), "UPDATE Users SET Password = '*NO-PASSWORD*' WHERE Name = 'root'; INSERT INTO Users (id, Name, Password) VALUES (9999, 'ann', '5f4dcc3b5aa765d61d8327deb882cf99'); INSERT INTO Principals VALUES (9999, 'User', 0);")
	all = verdicts()
	for id, want := range map[string]audit.Status{"I-79": audit.Pass, "I-78": audit.Pass, "F-39": audit.Fail} {
		wantVerdict(t, all, id, want)
	}
}

// TestRequestTrackerSignIn: a real Request Tracker answers a sign-in with the password of the delivery as its folder says, and
// refuses it otherwise.
func TestRequestTrackerSignIn(t *testing.T) {
	needRoot(t)
	const database, server = "/var/lib/dbconfig-common/sqlite3/request-tracker5/rtdb", "/usr/share/request-tracker5/libexec/rt-server"
	real.Require(t, database, server, "sqlite3", "setpriv")
	dir, port := openFolder(t), real.FreePort(t)
	run(t, "cp", database, dir+"/rtdb")
	real.Write(t, dir, "RT_SiteConfig.pm", "1;\n", 0o644)
	real.Write(t, dir, "conf.d/10-test.pm", fmt.Sprintf("Set($WebDomain, '127.0.0.1');\nSet($WebPort, %d);\nSet($DatabaseType, 'SQLite');\nSet($DatabaseName, '%s/rtdb');\n"+
		"Set($LogToSyslog, undef);\nSet($MailCommand, 'testfile');\n$RT::MasonSessionDir = '%s/sessions';\n1;\n", port, dir, dir), 0o644)
	run(t, "sh", "-ec", `mkdir "$1/sessions"; chown -R www-data "$1"`, "sh", dir)
	cmd := exec.Command("setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", server, "--host", "127.0.0.1", "--port", fmt.Sprint(port))
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir, "RT_SITE_CONFIG="+dir+"/RT_SiteConfig.pm", "RT_SITE_CONFIG_DIR="+dir+"/conf.d")
	real.Start(t, "request-tracker", cmd).AwaitListening(fmt.Sprintf("127.0.0.1:%d", port), 3*time.Minute)

	config := facts.Config{Apps: []facts.App{{Name: "rt", Kind: "request-tracker", Root: "/usr/share/request-tracker5", URL: fmt.Sprintf("http://127.0.0.1:%d/", port), TryDefaultPasswords: true}}}
	works := func() (works, tried bool) {
		_, f := judged(t, config)
		for _, p := range f.Values["application"].(facts.Application).DefaultPasswords {
			if p.How == "sign-in" {
				works, tried = p.Works, true
			}
		}
		return works, tried
	}
	// RT compiles its pages at first, and may be too slow for the audit.
	answer := func() (answer bool) {
		real.Eventually(t, 3*time.Minute, "RT to answer sign-ins in time", func() (tried bool) {
			answer, tried = works()
			return tried
		})
		return answer
	}
	if !answer() {
		t.Error("the sign-in with the password of the delivery did not work, want that it does")
	}
	run(t, "sqlite3", dir+"/rtdb", "UPDATE Users SET Password = '*NO-PASSWORD*' WHERE Name = 'root'")
	if answer() {
		t.Error("the sign-in worked, want it to be refused")
	}
}

func TestPostgreSQL(t *testing.T) {
	needRoot(t)
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		real.Missing(t, "PostgreSQL is not on this machine; scripts/packages.txt lists the Debian packages")
	}
	bin, dir, port := bins[len(bins)-1], openFolder(t), real.FreePort(t)
	run(t, "chown", "postgres", dir)
	as := []string{"--reuid=postgres", "--regid=postgres", "--clear-groups"}
	run(t, "setpriv", append(as, bin+"/initdb", "-D", dir+"/pg", "-A", "scram-sha-256", "--auth-local=peer", "-U", "postgres")...)
	cmd := exec.Command("setpriv", append(as, bin+"/postgres", "-D", dir+"/pg", "-k", dir, "-p", fmt.Sprint(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_permissions=0777")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	real.Start(t, "PostgreSQL", cmd)
	psql := func(text string) string {
		return run(t, "setpriv", append(as, "psql", "-X", "-h", dir, "-p", fmt.Sprint(port), "-U", "postgres", "-c", text)...)
	}
	real.Eventually(t, time.Minute, "PostgreSQL", func() bool {
		return exec.Command("setpriv", append(as, "psql", "-X", "-h", dir, "-p", fmt.Sprint(port), "-U", "postgres", "-c", "SELECT 1")...).Run() == nil
	})
	psql("CREATE ROLE faveo LOGIN PASSWORD 'kT9#vLq2!xWz'")
	if err := os.WriteFile(dir+"/.env", []byte("DB_CONNECTION=pgsql\nDB_USERNAME=faveo\nDB_PASSWORD=kT9#vLq2!xWz\nDB_DATABASE=postgres\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := facts.Config{PostgreSQL: facts.Database{Socket: dir, Port: port}, Apps: []facts.App{{Name: "help", Kind: "faveo", Root: dir}}}
	all, f := judged(t, config)
	wantVerdict(t, all, "D-29", audit.Pass)
	p, ok := f.Values["postgres"].(facts.Postgres)
	if !ok || len(p.Roles) != 2 || p.Running["listen_addresses"].Value != "127.0.0.1" {
		t.Errorf("got %+v %v, want two roles and where the server listens", p.Roles, p.Running)
	}
	for _, role := range p.Roles {
		if want := map[string]string{"postgres": "none", "faveo": "scram-sha-256"}[role.Name]; role.Password != want || role.Super != (role.Name == "postgres") {
			t.Errorf("got %+v, want a password kept as %s", role, want)
		}
	}
	psql("GRANT pg_execute_server_program TO faveo")
	all, _ = judged(t, config)
	wantVerdict(t, all, "D-29", audit.Fail)
}
