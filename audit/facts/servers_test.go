package facts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit/facts"
)

func TestMariaDBOptionFiles(t *testing.T) {
	root := appHost(t, map[string]string{
		"usr/sbin/mariadbd": "",
		"etc/mysql/my.cnf": "[client]\nbind-address=1.2.3.4\n[mysqld]\nskip-networking\nbind_address = 0.0.0.0 # all\n!includedir /etc/mysql/conf.d/\n" +
			"!includedir /etc/mysql/mariadb.conf.d/\n",
		"etc/mysql/conf.d/z.cnf":              "[mysqld]\nloose-local-infile=1\nbind-address=10.0.0.1\n",
		"etc/mysql/conf.d/z.cnf.bak":          "[mysqld]\nbind-address=10.0.0.9\n",
		"etc/mysql/mariadb.conf.d/50-srv.cnf": "[mariadb-10.11]\nbind-address='127.0.0.1'\n[mysql]\nbind-address=::\n[mysqld]\nskip-local-infile\n",
	})
	got, missing := appFact[facts.MariaDB](t, root, "mariadb", facts.Config{})
	want := map[string]facts.Setting{
		"bind_address":    {Value: "127.0.0.1", Origin: "/etc/mysql/mariadb.conf.d/50-srv.cnf:2"},
		"local_infile":    {Value: "0", Origin: "/etc/mysql/mariadb.conf.d/50-srv.cnf:6"},
		"skip_networking": {Value: "1", Origin: "/etc/mysql/my.cnf:4"},
	}
	if fmt.Sprint(got.Options) != fmt.Sprint(want) || !got.Installed {
		t.Errorf("got %v, want %v", got.Options, want)
	}
	if !strings.Contains(missing["users"], "not the running system") || missing["options"] != "" {
		t.Errorf("missing: got %v, want what only the running server knows", missing)
	}
}

// TestMariaDBOptionFilesOfStrangers: files that include themselves or each other without an end.
func TestMariaDBOptionFilesOfStrangers(t *testing.T) {
	root := appHost(t, map[string]string{"etc/my.cnf": "!include /etc/my.cnf\n!includedir /etc/d\n", "etc/d/a.cnf": "!includedir /etc/d\n[mysqld]\nport=1\n"})
	if _, missing := appFact[facts.MariaDB](t, root, "mariadb", facts.Config{}); !strings.Contains(missing["options"], "too many") {
		t.Errorf("missing: got %v, want that files include each other", missing)
	}
}

func TestPostgresConfiguration(t *testing.T) {
	root := appHost(t, map[string]string{
		"etc/postgresql/15/main/postgresql.conf": "data_directory = '/var/lib/pg'\nhba_file='/etc/postgresql/15/main/pg_hba.conf'\nlisten_addresses = 'localhost'\n" +
			"include_dir 'conf.d'\ninclude_if_exists = 'none.conf'\npassword_encryption = md5 # old\n",
		"etc/postgresql/15/main/conf.d/a.conf": "listen_addresses = '192.0.2.1'\n",
		"var/lib/pg/postgresql.auto.conf":      "# written by ALTER SYSTEM\nlisten_addresses = '*'\n",
		"etc/postgresql/15/main/pg_hba.conf": "local all postgres peer\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all 0.0.0.0/0 reject\n" +
			"host shop shop 203.0.113.0/24 trust\nhostssl all all ::/0 md5\nhost \"all\" bob 10.0.0.0 255.0.0.0 trust\nhost replication all all md5\n",
	})
	got, missing := appFact[facts.Postgres](t, root, "postgres", facts.Config{})
	if len(got.Clusters) != 1 || missing["clusters"]+missing["rules"] != "" {
		t.Fatalf("got %+v, missing %v", got.Clusters, missing)
	}
	c := got.Clusters[0]
	if c.ListenAddresses != (facts.Setting{Value: "*", Origin: "/var/lib/pg/postgresql.auto.conf:2"}) || c.Loopback || c.PasswordEncryption.Value != "md5" || c.Port.Origin != "default" {
		t.Errorf("got %+v, want what ALTER SYSTEM wrote to win", c)
	}
	shadowed, remote := "", ""
	for i, r := range got.Rules {
		if r.Shadowed != "" {
			shadowed += fmt.Sprint(i, "<", r.Shadowed[strings.LastIndexByte(r.Shadowed, ':')+1:], " ")
		}
		if r.Remote {
			remote += fmt.Sprint(i, " ")
		}
	}
	if shadowed != "3<3 5<3 " || remote != "2 3 4 5 6 " {
		t.Errorf("got %q shadowed and %q remote, want trust after reject never to decide: %+v", shadowed, remote, got.Rules)
	}
}

func TestAsteriskFixtures(t *testing.T) {
	root := appHost(t, map[string]string{
		"etc/asterisk/sip.conf": "[general]\n[base](!)\ninsecure=very\nsecret=a\n[over](base)\ntype=friend\nhost=dynamic\ninsecure=no\n;-- [gone]\ntype=friend\n--; [pbx](base)\ntype=peer\nhost=198.51.100.7\n" +
			"deny=0.0.0.0/0\npermit=198.51.100.7\n[base2](+)\n[over](+)\nsecret=over1234\\;x\n#exec /bin/peers\n",
		"etc/asterisk/manager.conf": "[general]\nenabled = yes\n[m]\nsecret=m\n",
	})
	got, missing := appFact[facts.Asterisk](t, root, "asterisk", facts.Config{})
	if len(got.Peers) != 2 || !strings.Contains(missing["complete"], "#exec") {
		t.Fatalf("got %+v, missing %v; want two devices, and that a program may make more", got.Peers, missing)
	}
	over, pbx := got.Peers[0], got.Peers[1]
	if over.Unauthenticated || over.Secret.Length != 10 || !over.Secret.Common || !over.Dynamic || over.Trunk {
		t.Errorf("got %+v, want its own insecure=no and the secret that was added, which holds its name", over)
	}
	if !pbx.Unauthenticated || !pbx.Trunk || !pbx.Limited || fmt.Sprint(pbx.Insecure) != "[port invite]" || !strings.HasSuffix(pbx.Origin, "sip.conf:3") {
		t.Errorf("got %+v, want what its template says", pbx)
	}
	if m := got.Managers; len(m) != 1 || m[0].Limited || m[0].Local || got.AMI.Loopback || !m[0].Secret.Common {
		t.Errorf("got %+v and %+v, want an interface open to all", m, got.AMI)
	}
}

// TestServersAtTheCap: configuration that is made to be long costs little and is not believed to be complete.
func TestServersAtTheCap(t *testing.T) {
	root := appHost(t, map[string]string{
		"etc/asterisk/sip.conf":                  strings.Repeat("[a](a,a,a)\ntype=friend\nsecret=x\n", 20_000),
		"etc/postgresql/15/main/postgresql.conf": "data_directory='/x'\nhba_file='/etc/hba'\n" + strings.Repeat("include 'postgresql.conf'\n", 1000),
		"etc/hba":                                strings.Repeat("host a,b,c d 10.0.0.0/8 trust\n", 5000),
		"etc/my.cnf":                             "[mysqld]\n" + strings.Repeat("a", 10<<20) + "=1\n",
		"srv/app/config.php":                     "<?php $a = " + strings.Repeat("'x' . ", 100_000) + "$a;" + strings.Repeat("{", 50_000) + strings.Repeat("$b[0]='c';", 20_000),
	})
	config := oneApp(facts.App{Name: "a", Kind: "deskpro", Root: "/srv/app"})
	before := cpu(t)
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	must(t, err)
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Target{Config: config}, nil)
	if spent := cpu(t) - before; spent.Seconds() > 8 {
		t.Errorf("it took %v of CPU", spent)
	}
	missing := map[string]bool{}
	for _, m := range f.Missing {
		missing[m.Fact] = true
		if len(m.Reason) > 5000 {
			t.Errorf("%s: a reason of %d bytes", m.Fact, len(m.Reason))
		}
	}
	for _, fact := range []string{"asterisk.complete", "postgres.rules", "postgres.clusters", "application.databases"} {
		if !missing[fact] {
			t.Errorf("%s is not missing, want it to be cut and said so: %+v", fact, missing)
		}
	}
	if p, ok := f.Values["postgres"].(facts.Postgres); !ok || len(p.Rules) != 2000 {
		t.Errorf("got %d rules, want 2000", len(p.Rules))
	}
}

// FuzzServerConfiguration: no text in any of the files makes a collector fail.
func FuzzServerConfiguration(f *testing.F) {
	for _, seed := range []string{
		"[mysqld]\nskip-x=1\n!include /etc/my.cnf\n!includedir /etc\n", "include_dir '/etc'\na = 'b''c\\'\nhost all all 1.2.3.4 255.0.0.0 md5\n\"x y\",z\n",
		"[a](!,+,b)\n;-- x --;\nsecret => \\;\n#include \"*.conf\"\n#exec x\ndeny=1.2.3.4/999.0.0.0\n[", "<?php return ['a' => array('b' => \"c\" . D), ]; define('X', $y['z'][0]); /*",
		"Set($A, $b{c} || 'd'); if ('a' eq 'b') { Set($A, 'e') } else {\n=pod\n=cut\n", "a:\n  b: &x\n  'c': \"d\"\n - e\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		root := t.TempDir()
		var config facts.Config
		for name, kind := range map[string]string{"etc/my.cnf": "", "etc/asterisk/sip.conf": "", "etc/asterisk/pjsip.conf": "", "etc/asterisk/manager.conf": "", "etc/asterisk/extconfig.conf": "",
			"etc/postgresql/15/main/postgresql.conf": "", "etc/postgresql/15/main/pg_hba.conf": "", "srv/faveo/.env": "faveo", "srv/faveo/config/app.php": "",
			"srv/deskpro/config.php": "deskpro", "srv/mor/config/database.yml": "mor", "etc/request-tracker5/RT_SiteConfig.d/x.pm": "request-tracker", "etc/passwd": "", "etc/group": ""} {
			name = filepath.Join(root, name)
			must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
			if kind != "" {
				config.Apps = append(config.Apps, facts.App{Name: kind, Kind: kind, Root: "/srv/" + kind})
			}
		}
		h, err := facts.OpenHost(facts.HostOptions{Root: root})
		must(t, err)
		defer h.Close()
		for _, m := range facts.Collect(t.Context(), h, facts.Target{Config: config}, nil).Missing {
			if strings.Contains(m.Reason, "not read in") {
				t.Errorf("%s: %s", m.Fact, m.Reason)
			}
		}
	})
}

func FuzzReadAppConfig(f *testing.F) {
	for _, seed := range []string{
		"<?php return ['a' => array('b' => \"c\" . D), 3 => []]; define('X', $y['z'][0]); /* */ # x", "$a['b'] = 'c' . $a . X; $a = $a . $a; // y\n$b = [[[[1 => 2]]]];",
		"Set($A, $b{c} || 'd'); my %b = (c => 1); if ('a' eq 'b') { Set($A, 'e') } elsif (1) {} else {\n=pod\n=cut\n}", "a:\n  b: &x\n  'c': \"d\" # e\n - e\n", "[s]\nexport A = 'b'\n;c\n",
	} {
		for _, format := range []string{"php", "perl", "env", "yaml"} {
			f.Add(format, seed)
		}
	}
	f.Fuzz(func(t *testing.T, format, text string) {
		values := map[string]facts.Setting{}
		if err := facts.ReadAppConfig(format, "/x", []byte(text), values); err != nil {
			return
		}
		for key, s := range values {
			if len(key) > 1000 || !strings.HasPrefix(s.Origin, "/x:") {
				t.Errorf("got %q from %q", key, s.Origin)
			}
		}
	})
}
