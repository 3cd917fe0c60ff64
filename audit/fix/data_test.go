package fix_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/audit/fix"
)

// data are files of databases, scheduled jobs, sudo and telephony, all of them as they should not be.
func data(t *testing.T, root string) {
	t.Helper()
	for name, text := range map[string]string{
		"etc/debian_version":                        "12.1\n",
		"usr/sbin/cron":                             "",
		"usr/sbin/sendmail":                         "",
		"usr/bin/sudo":                              "",
		"etc/cron.d/night":                          "MAILTO=''\n0 3 * * * root /opt/night.sh >/dev/null 2>&1\nMAILTO=anna\n1 3 * * * root /opt/a >>/var/log/a 2>/dev/null\n2 3 * * * root date +\\%s >/dev/null 2>&1\n",
		"etc/sudoers":                               "Defaults !authenticate, env_reset\n# anna NOPASSWD: ALL\n%sudo ALL=(ALL) NOPASSWD: ALL\n",
		"etc/mysql/my.cnf":                          "[client-server]\nsocket = /run/x\n!includedir /etc/mysql/mariadb.conf.d/\n[mysqld]\nbind-address=0.0.0.0",
		"etc/mysql/mariadb.conf.d/50-server.cnf":    "[client]\nbind-address=198.51.100.1\n[server]\nloose-bind_address = ::\n",
		"etc/postgresql/15/main/postgresql.conf":    "listen_addresses = '*' # all\ninclude_dir = 'conf.d'\n",
		"etc/postgresql/15/main/conf.d/a.conf":      "Listen_Addresses '0.0.0.0'\n",
		"etc/postgresql/15/main/pg_hba.conf":        "local all all trust\nhost all all 127.0.0.1/32 trust map=x\nhost all all 127.0.0.1/32 trust\nhost all all 192.0.2.0/24 scram-sha-256\nhost all all 0.0.0.0/0 reject\n",
		"etc/asterisk/sip.conf":                     "[general]\n[open](!)\ninsecure=very ; for now\n[10](open)\ntype=friend\nhost=dynamic\nsecret=10\n[trunk]\ntype=peer\nhost=192.0.2.7\nsecret=uF7#mQz9!pLw\npermit=0.0.0.0/0\n",
		"etc/asterisk/pjsip.conf":                   "[desk]\ntype=endpoint\naors=desk\n[desk]\ntype=aor\nmax_contacts=1\n",
		"etc/asterisk/manager.conf":                 "[general]\nenabled=yes\n[billing]\nsecret=billing\n",
		"var/lib/postgresql/15/main/nothing":        "",
		"etc/postgresql/15/main/start.conf":         "auto\n",
		"etc/mysql/mariadb.conf.d/60-notmine.other": "[mysqld]\nbind-address=*\n",
	} {
		write(t, root, name, text)
	}
}

// TestDataFiles: what repairs of databases, jobs, sudo and telephony write, and that undo brings every byte back.
func TestDataFiles(t *testing.T) {
	root := host(t)
	data(t, root)
	before := snapshot(t, root)
	f := fixer(t, root)
	p := plan(t, f, "I-23", "I-21", "I-22", "I-89", "F-24", "F-25", "M-10", "M-11", "M-17", "M-25")
	for _, g := range p.Groups {
		if g.Name == "asterisk" && strings.Contains(g.Diff(), "secret=") {
			t.Errorf("the plan shows secrets:\n%s", g.Diff())
		}
	}
	apply(t, f, p)
	for name, want := range map[string][]string{
		"etc/cron.d/night":                               {"# doorward fix: MAILTO=''\nMAILTO=root\n", "/opt/night.sh >/dev/null\n", "/opt/a >>/var/log/a\n", "date +\\%s >/dev/null 2>&1\n"},
		"etc/sudoers":                                    {"Defaults authenticate, env_reset\n# anna NOPASSWD: ALL\n%sudo ALL=(ALL) ALL\n"},
		"etc/mysql/my.cnf":                               {"# doorward fix: bind-address=0.0.0.0"},
		"etc/mysql/mariadb.conf.d/50-server.cnf":         {"[client]\nbind-address=198.51.100.1\n[server]\n# doorward fix: loose-bind_address = ::\n"},
		"etc/mysql/mariadb.conf.d/zz-doorward.cnf":       {"[mariadbd]\nbind_address = 127.0.0.1\n"},
		"etc/postgresql/15/main/postgresql.conf":         {"# doorward fix: listen_addresses = '*' # all\ninclude_dir"},
		"etc/postgresql/15/main/conf.d/a.conf":           {"# doorward fix: Listen_Addresses '0.0.0.0'\n"},
		"etc/postgresql/15/main/pg_hba.conf":             {"# doorward fix: local all all trust\nlocal all all peer\n", "\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n# doorward fix: host all all 192.0.2.0/24 scram-sha-256\nhost all all 0.0.0.0/0 reject\n"},
		"var/log/wtmp":                                   {""},
		"etc/asterisk/sip.conf":                          {"\ninsecure=port\n", "permit=0.0.0.0/0\ndeny=0.0.0.0/0.0.0.0\npermit=192.0.2.7/255.255.255.255\n"},
		"etc/asterisk/pjsip.conf":                        {"aors=desk\nauth=desk-auth\n[desk]\n", "[desk-auth]\ntype=auth\nauth_type=userpass\nusername=desk\npassword="},
		"etc/asterisk/manager.conf":                      {"enabled=yes\nbindaddr=127.0.0.1\n[billing]\nsecret="},
		"etc/postgresql/15/main/conf.d/zz-doorward.conf": {"listen_addresses = 'localhost'\n"},
	} {
		got := read(t, root, name)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s is\n%s\nwant in it\n%s", name, got, w)
			}
		}
	}
	if got := read(t, root, "etc/asterisk/sip.conf") + read(t, root, "etc/asterisk/manager.conf"); strings.Contains(got, "secret=10\n") || strings.Contains(got, "secret=billing\n") {
		t.Errorf("a secret that everybody tries first is there still:\n%s", got)
	}
	check(t, f.UndoAll(t.Context(), false, nil))
	same(t, root, before)
	all, err := f.History()
	check(t, err)
	for _, e := range all {
		if e.Status != fix.Undone {
			t.Errorf("%s is %s, want %s", e.ID, e.Status, fix.Undone)
		}
	}
}
