package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/report"
	"github.com/doorward/doorward/audit/trial"
)

// collect reads the facts of a folder that holds files, by name.
func collect(t *testing.T, files map[string]string) facts.Facts {
	t.Helper()
	return collectRoot(t, rootOf(t, files))
}

// rootOf is a folder that holds files, by name.
func rootOf(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func collectRoot(t *testing.T, root string) facts.Facts {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(t.Context(), h, facts.Target{Now: now}, nil)
}

// named are the facts that a control's conditions name.
func named(c audit.Control) []string {
	text := strings.Join([]string{c.When, c.Over, c.Expect}, "\n")
	for _, v := range c.Variants {
		text += "\n" + v.Expect
	}
	var names []string
	text = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(text, `""`) // a pattern can look like a fact
	for name := range facts.Types() {
		if regexp.MustCompile(`(^|[^.\w"'^])` + name + `\b[.]`).MatchString(text) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// oddHosts are systems that no control was written for.
func oddHosts() map[string]map[string]string {
	return map[string]map[string]string{
		"empty":      {},
		"os-release": {"etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n"},
		"alpine": {
			"etc/os-release":      "ID=alpine\nVERSION_ID=3.20.1\nPRETTY_NAME=\"Alpine Linux v3.20\"\n",
			"etc/passwd":          "root:x:0:0:root:/root:/bin/ash\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
			"etc/shadow":          "root:*::0:::::\nnobody:!::0:::::\n",
			"etc/group":           "root:x:0:root\nwheel:x:10:root\n",
			"etc/apk/world":       "openssh\n",
			"etc/hostname":        "alpine\n",
			"etc/inittab":         "::sysinit:/sbin/openrc sysinit\n",
			"usr/sbin/sshd":       "",
			"etc/ssh/sshd_config": "PermitRootLogin yes\n",
		},
		"rhel": {
			"etc/os-release":                   "ID=\"rhel\"\nVERSION_ID=\"9.4\"\nID_LIKE=\"fedora\"\n",
			"etc/passwd":                       "root:x:0:0:root:/root:/bin/bash\napache:x:48:48:Apache:/usr/share/httpd:/sbin/nologin\n",
			"etc/shadow":                       "root:!::0:99999:7:::\napache:!!:19000::::::\n",
			"etc/group":                        "root:x:0:\nwheel:x:10:\napache:x:48:\n",
			"etc/sudoers":                      "root ALL=(ALL) ALL\n%wheel ALL=(ALL) ALL\n",
			"etc/httpd/conf/httpd.conf":        "ServerRoot \"/etc/httpd\"\nListen 80\nUser apache\n",
			"etc/php.ini":                      "expose_php = On\n",
			"etc/selinux/config":               "SELINUX=enforcing\n",
			"etc/firewalld/firewalld.conf":     "DefaultZone=public\n",
			"etc/pam.d/system-auth":            "auth required pam_unix.so\n",
			"var/lib/rpm/rpmdb.sqlite":         "",
			"etc/crontab":                      "",
			"usr/sbin/httpd":                   "",
			"usr/lib/systemd/system/a.service": "[Service]\nExecStart=/bin/true\n",
		},
	}
}

// TestOddHosts shows that a host that nobody thought of makes no control a defect, and that nothing which was not looked at
// passes where there is nothing at all.
func TestOddHosts(t *testing.T) {
	cat := shipped(t)
	for name, files := range oddHosts() {
		t.Run(name, func(t *testing.T) {
			for _, f := range cat.Judge(audit.Profile{}, collect(t, files), audit.Records{}) {
				if f.Status == audit.Errored {
					t.Errorf("%s: %s", f.ID, f.Reason)
				}
				if name == "empty" && f.Status == audit.Pass {
					t.Errorf("%s passes on an empty folder: %v", f.ID, f.Evidence)
				}
			}
		})
	}
}

// TestMissingNames shows that what a collector calls missing is a field that controls can ask for: under another name it
// would keep nothing from passing.
func TestMissingNames(t *testing.T) {
	check := func(f facts.Facts) {
		t.Helper()
		for _, m := range f.Missing {
			path := strings.Split(m.Fact, ".")
			at, ok := facts.Types()[path[0]], true
			for _, field := range path[1:] {
				if at.Kind() == reflect.Map {
					at = at.Elem()
					continue
				}
				if at, ok = fieldOf(at, field); !ok {
					t.Errorf("%s is missing (%s), and there is no such field", m.Fact, m.Reason)
					break
				}
			}
		}
	}
	for _, files := range oddHosts() {
		check(collect(t, files))
	}
	for _, name := range []string{"accounts-no-shadow", "cron-not-read", "os-bans-broken", "app-config", "asterisk-realtime"} {
		check(trialFacts(t, "testdata/verdicts/"+name+".txtar"))
	}
}

func fieldOf(at reflect.Type, name string) (reflect.Type, bool) {
	if at.Kind() != reflect.Struct {
		return nil, false
	}
	for i := range at.NumField() {
		if at.Field(i).Tag.Get("cel") == name {
			return at.Field(i).Type, true
		}
	}
	return nil, false
}

// trialFacts are the facts of one of the hosts in testdata.
func trialFacts(t *testing.T, name string) facts.Facts {
	t.Helper()
	host, err := trial.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := host.Lay(root); err != nil {
		t.Fatal(err)
	}
	return collectRoot(t, root)
}

// without is f with a whole fact, or all of them, missing.
func without(f facts.Facts, names ...string) facts.Facts {
	left := facts.Facts{Time: f.Time, Values: map[string]any{}, Missing: slices.Clone(f.Missing)}
	for name, value := range f.Values {
		if !slices.Contains(names, name) {
			left.Values[name] = value
		}
	}
	for _, name := range names {
		left.Missing = append(left.Missing, facts.Missing{Fact: name, Reason: "taken away"})
	}
	return left
}

// TestSecretsStayOut scans the whole report, and every fact, of a host full of secrets for them.
func TestSecretsStayOut(t *testing.T) {
	const mark = "MARKEDsecret"
	f := collect(t, map[string]string{
		"etc/os-release":                     "ID=debian\nVERSION_ID=\"12\"\n",
		"etc/passwd":                         "root:x:0:0:root:/root:/bin/bash\nben:$1$" + mark + "$" + mark + ":1000:1000::/home/ben:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
		"etc/shadow":                         "root:$6$" + mark + "$" + mark + ":20000:0:99999:7:::\nwww-data:*:20000::::::\n",
		"etc/group":                          "root:x:0:\nsudo:x:27:ben\n",
		"etc/shells":                         "/bin/bash\n",
		"etc/crontab":                        "PATH=/usr/bin\nTOKEN=" + mark + "\n* * * * * root /usr/bin/curl -H 'Authorization: Bearer " + mark + "' https://u:" + mark + "@example.com/?token=" + mark + "\n",
		"etc/cron.d/dump":                    "0 3 * * * root mysqldump -p" + mark + " --password=" + mark + " app > /tmp/dump\n",
		"var/spool/cron/crontabs/root":       "@daily PGPASSWORD=" + mark + " pg_dump app\n",
		"etc/sudoers":                        "root ALL=(ALL:ALL) ALL\nben ALL=(ALL) NOPASSWD: /usr/bin/mysql -p" + mark + "\n",
		"root/.ssh/authorized_keys":          "command=\"sync --token " + mark + "\" ssh-rsa AAAA\n",
		"root/.ssh/id_rsa":                   "-----BEGIN RSA PRIVATE KEY-----\n" + mark + "\n-----END RSA PRIVATE KEY-----\n",
		"etc/snmp/snmpd.conf":                "rocommunity " + mark + " default\nrwcommunity " + mark + "\ncreateUser a SHA " + mark + " AES " + mark + "\n",
		"etc/mysql/my.cnf":                   "[client]\npassword=" + mark + "\n[mysqld]\nbind-address=0.0.0.0\n",
		"usr/sbin/mariadbd":                  "",
		"usr/sbin/asterisk":                  "",
		"etc/asterisk/sip.conf":              "[general]\n[100]\ntype=friend\nsecret=" + mark + "\nmd5secret=" + mark + "\nhost=dynamic\nregister => u:" + mark + "@example.com\n",
		"etc/asterisk/manager.conf":          "[general]\nenabled=yes\nbindaddr=0.0.0.0\n[admin]\nsecret=" + mark + "\nread=all\n",
		"usr/sbin/nginx":                     "",
		"etc/nginx/nginx.conf":               "events {}\nhttp { server { listen 80; root /var/www/html; location /a { proxy_set_header Authorization \"Basic " + mark + "\"; proxy_pass http://u:" + mark + "@127.0.0.1; } } }\n",
		"usr/sbin/apache2":                   "",
		"etc/apache2/apache2.conf":           "SetEnv DB_PASSWORD " + mark + "\nListen 80\nRequestHeader set Authorization \"Bearer " + mark + "\"\n<VirtualHost *:80>\nDocumentRoot /var/www/html\n</VirtualHost>\n",
		"var/www/html/.env":                  "APP_KEY=base64:" + mark + "\nDB_PASSWORD=" + mark + "\nAPP_DEBUG=true\nMAIL_PASSWORD=" + mark + "\n",
		"var/www/html/config/config.inc.php": "<?php $x['password'] = '" + mark + "';",
		"etc/php/8.2/cli/php.ini":            "mysqli.default_pw = " + mark + "\nsession.save_path = \"tcp://127.0.0.1:6379?auth=" + mark + "\"\nsession.save_handler = redis\n",
		"usr/bin/php8.2":                     "",
		"etc/apt/sources.list":               "deb https://u:" + mark + "@deb.example.com/debian bookworm main\n",
		"etc/apt/apt.conf":                   "Acquire::http::Proxy \"http://u:" + mark + "@proxy:3128\";\n",
		"etc/apt/auth.conf":                  "machine a login u password " + mark + "\n",
		"etc/msmtprc":                        "account default\nhost mail\npassword " + mark + "\n",
		"etc/rsyslog.d/out.conf":             "action(type=\"omelasticsearch\" server=\"x\" uid=\"u\" pwd=\"" + mark + "\")\n*.* @@u:" + mark + "@logs:514\n",
		"etc/fail2ban/jail.local":            "[DEFAULT]\naction = abuse[apikey=\"" + mark + "\"]\n[sshd]\nenabled=true\n",
		"etc/systemd/system/backup.service":  "[Service]\nEnvironment=RESTIC_PASSWORD=" + mark + "\nExecStart=/usr/bin/restic -r rest:https://u:" + mark + "@b/ backup /srv\n",
		"etc/systemd/system/backup.timer":    "[Timer]\nOnCalendar=daily\n",
	})
	r := report.New(audit.Profile{Name: "all"}, shipped(t).Judge(audit.Profile{}, f, audit.Records{}), f, nil)
	for _, format := range report.Formats() {
		out := &strings.Builder{}
		if err := r.Write(out, format); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if at := strings.Index(line, mark); at >= 0 {
				t.Errorf("%s: %s", format, line[max(0, at-200):min(len(line), at+50)])
			}
		}
	}
	for name, value := range f.Values {
		if text := fmt.Sprintf("%+v", value); strings.Contains(text, mark) {
			at := strings.Index(text, mark)
			t.Errorf("fact %s: %s", name, text[max(0, at-120):at+len(mark)])
		}
	}
}

// TestNothingPassesUnseen takes each fact away as a whole: then no control passes that names it. What Doorward watches itself is a second way
// to most of those that name it; TestWatchAnswersControls takes it away where nothing else does the job.
func TestNothingPassesUnseen(t *testing.T) {
	cat := shipped(t)
	names := map[string][]string{}
	for _, c := range cat.Controls(audit.Profile{}) {
		if names[c.ID] = named(c); c.Expect != "" && len(names[c.ID]) == 0 {
			t.Errorf("%s names no fact", c.ID)
		}
	}
	for _, name := range []string{"os-good", "ssh-good", "web-apache-good", "web-nginx-good", "php-good", "accounts-good", "sudo-good", "cron-good"} {
		f := trialFacts(t, "testdata/verdicts/"+name+".txtar")
		for taken := range facts.Types() {
			for _, got := range cat.Judge(audit.Profile{}, without(f, taken), audit.Records{}) {
				if got.Status == audit.Errored {
					t.Errorf("%s without %s: %s: %s", name, taken, got.ID, got.Reason)
				}
				if got.Status == audit.Pass && taken != "watch" && slices.Contains(names[got.ID], taken) {
					t.Errorf("%s: %s passes without %s", name, got.ID, taken)
				}
			}
		}
	}
}

// TestLongCrontabLine shows that an account cannot hide the jobs of the host behind a line that takes long to read.
func TestLongCrontabLine(t *testing.T) {
	f := collect(t, map[string]string{
		"etc/passwd":                  "root:x:0:0::/root:/bin/sh\nben:x:1000:1000::/home/ben:/bin/sh\n",
		"etc/crontab":                 "* * * * * root /usr/bin/true\n",
		"var/spool/cron/crontabs/ben": "* * * * * " + strings.Repeat("$(`;", 2<<20) + "\n",
	})
	if c, ok := f.Values["cron"].(facts.Cron); !ok || len(c.Jobs) != 1 {
		t.Errorf("got %+v, %v, want the job of root", f.Values["cron"], f.Missing)
	}
}
