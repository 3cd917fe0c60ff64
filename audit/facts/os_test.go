package facts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/audit/facts"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// osFolder makes a folder that stands for a host; names that end in a slash are folders.
func osFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(file, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// osFact reads one fact of a folder, and what is missing of it.
func osFact[T any](t *testing.T, root, name string, target facts.Target) (T, []string) {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if target.Now.IsZero() {
		target.Now = noon
	}
	f := facts.Collect(t.Context(), h, target, nil)
	var gone []string
	for _, m := range f.Missing {
		if m.Fact == name || strings.HasPrefix(m.Fact, name+".") {
			gone = append(gone, m.Fact+": "+m.Reason)
		}
	}
	value, _ := f.Values[name].(T)
	return value, gone
}

func age(t *testing.T, root, name string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(root, name), at, at); err != nil {
		t.Fatal(err)
	}
}

const (
	bookworm = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"
	status   = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.17-1\n\n" +
		"Package: libssl3\nStatus: hold ok installed\nSource: openssl (3.0.16-1)\nVersion: 3.0.16-1+b1\n\n" +
		"Package: cups\nStatus: deinstall ok config-files\nVersion: 2\n\nPackage: gcc\nStatus: install ok installed\nVersion: 4:12.2.0-3\n"
)

func TestNeededPackages(t *testing.T) {
	root := osFolder(t, map[string]string{"var/lib/dpkg/status": status})
	for needed, want := range map[string]bool{"": true, "gcc": false, "gc": true} {
		p, gone := osFact[facts.Packages](t, root, "packages", facts.Target{Config: facts.Config{NeededPackages: []string{needed}}})
		i := slices.IndexFunc(p.Installed, func(one facts.Package) bool { return one.Name == "gcc" })
		if i < 0 || p.Installed[i].Unwanted != want {
			t.Errorf("needed %q: got %+v %v, want unwanted %v", needed, p.Installed, gone, want)
		}
	}
}

func TestPackages(t *testing.T) {
	p, _ := osFact[facts.Packages](t, osFolder(t, map[string]string{"var/lib/dpkg/status": status}), "packages", facts.Target{})
	var got []string
	for _, one := range p.Installed {
		got = append(got, fmt.Sprint(one.Name, one.Version, one.Source, one.SourceVersion, one.Hold, " ", one.Origin))
	}
	want := []string{"gcc4:12.2.0-3gcc4:12.2.0-3false /var/lib/dpkg/status:15", "libssl33.0.16-1+b1openssl3.0.16-1true /var/lib/dpkg/status:6",
		"openssl3.0.17-1openssl3.0.17-1false /var/lib/dpkg/status:1"}
	if !slices.Equal(got, want) || len(p.Residual) != 1 || p.Residual[0].Name != "cups" {
		t.Errorf("got %q and residual %+v, want %q and cups", got, p.Residual, want)
	}
	if _, gone := osFact[facts.Packages](t, t.TempDir(), "packages", facts.Target{}); len(gone) != 1 {
		t.Errorf("without dpkg: got %q, want that it is missing", gone)
	}
}

// TestManyPackages: a status file may be made by whoever has broken in.
func TestManyPackages(t *testing.T) {
	var b strings.Builder
	for i := range 50_001 {
		fmt.Fprintf(&b, "Package: p%d\nStatus: install ok installed\nVersion: 1\n\n", i)
	}
	_, gone := osFact[facts.Packages](t, osFolder(t, map[string]string{"var/lib/dpkg/status": b.String()}), "packages", facts.Target{})
	if len(gone) != 1 || !strings.Contains(gone[0], "more than 50000 packages") {
		t.Errorf("got %q, want that there are too many", gone)
	}
	long := "Package: x\nStatus: install ok installed\nVersion: 1\nDescription: " + strings.Repeat("a", 10<<20) + "\n"
	if p, gone := osFact[facts.Packages](t, osFolder(t, map[string]string{"var/lib/dpkg/status": long}), "packages", facts.Target{}); len(p.Installed) != 1 {
		t.Errorf("a line of 10 MB: got %+v %q, want the package", p.Installed, gone)
	}
}

const lists = "var/lib/apt/lists/"

func TestPending(t *testing.T) {
	files := map[string]string{
		"etc/os-release": bookworm, "var/lib/dpkg/status": status,
		lists + "x_dists_bookworm-security_InRelease":                   "Hash: SHA256\n\nOrigin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\nDate: Tue, 24 Nov 2026 00:34:33 UTC\nValid-Until: Tue, 01 Dec 2026 00:34:33 UTC\n",
		lists + "x_dists_bookworm-security_main_binary-amd64_Packages":  "Package: openssl\nVersion: 3.0.17-1+deb12u1\n",
		lists + "x_dists_bookworm_Release":                              "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\n",
		lists + "x_dists_bookworm_main_binary-amd64_Packages":           "Package: openssl\nVersion: 3.0.18-1\n\nPackage: gcc\nVersion: 4:12.2.0-3\n",
		lists + "x_dists_bookworm-backports_Release":                    "Suite: bookworm-backports\nNotAutomatic: yes\nButAutomaticUpgrades: yes\n",
		lists + "x_dists_bookworm-backports_main_binary-amd64_Packages": "Package: gcc\nVersion: 4:14\n\nPackage: libssl3\nVersion: 3.4\n",
		lists + "x_dists_experimental_Release":                          "Suite: experimental\nNotAutomatic: yes\n",
		lists + "x_dists_experimental_main_binary-amd64_Packages":       "Package: openssl\nVersion: 9\n",
	}
	root := osFolder(t, files)
	u, gone := osFact[facts.Updates](t, root, "updates", facts.Target{})
	var got []string
	for _, p := range u.Pending {
		got = append(got, fmt.Sprintf("%s %s security=%v hold=%v", p.Name, p.Candidate, p.Security, p.Hold))
	}
	// libssl3 came from nowhere else, so that backports are where its upgrades come from.
	want := []string{"libssl3 3.4 security=false hold=true", "openssl 3.0.18-1 security=true hold=false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q; missing %q", got, want, gone)
	}
	if !u.Security || u.Lists[0].Expired && u.Lists[1].Expired {
		t.Errorf("got %+v, want a valid list of security updates", u.Lists)
	}

	for name, c := range map[string]struct{ pins, want string }{
		"of another package": {"Package: other\nPin: version 3.0.17*\nPin-Priority: 1001\n", "libssl3 openssl"},
		// What a security archive has stays pending: a pin that holds it back is what an audit is to find.
		"to what is installed": {"Explanation: x\nPackage: open* libssl*\nPin: version 3.0.1[67]-1*\nPin-Priority: 1001\n", "libssl3 openssl"},
		"never":                {"Package: *\nPin: release a=bookworm-backports\nPin-Priority: -1\n", "openssl"},
		"for backports":        {"Package: gcc\nPin: release n=x\nPin-Priority: 1\n\nPackage: gcc\nPin: release a=bookworm-back*\nPin-Priority: 900\n", "gcc libssl3 openssl"},
		"the first counts":     {"Package: *\nPin: origin x\nPin-Priority: -5\n\nPackage: *\nPin: release a=bookworm-backports\nPin-Priority: 900\n", "openssl"},
		"before all of a host": {"Package: *\nPin: origin \"x\"\nPin-Priority: -5\n\nPackage: gcc\nPin: origin x\nPin-Priority: 900\n", "gcc openssl"},
	} {
		files["etc/apt/preferences.d/own.pref"] = c.pins
		u, gone := osFact[facts.Updates](t, osFolder(t, files), "updates", facts.Target{})
		var got []string
		for _, p := range u.Pending {
			got = append(got, p.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("a pin %s: got %q %q, want %q", name, got, gone, c.want)
		}
	}
	files["etc/apt/preferences.d/own.pref"] = "Package: /^open/\nPin: version 3*\nPin-Priority: 1001\n"
	if _, gone := osFact[facts.Updates](t, osFolder(t, files), "updates", facts.Target{}); len(gone) != 1 || !strings.Contains(gone[0], "own.pref") {
		t.Errorf("a pin by regular expression: got %q, want that the pending upgrades are missing", gone)
	}

	for _, dir := range []string{"var/lib/apt/lists"} {
		age(t, root, dir, noon.Add(-240*time.Hour))
	}
	if u, _ := osFact[facts.Updates](t, root, "updates", facts.Target{}); !u.Refreshed.Equal(noon.Add(-240 * time.Hour)) {
		t.Errorf("got %v, want the time of the lists' folder", u.Refreshed)
	}
}

func TestVulnerabilities(t *testing.T) {
	tracker := `{"openssl": {
	"CVE-2026-1": {"description": "x", "releases": {"bookworm": {"status": "resolved", "fixed_version": "3.0.17-1", "urgency": "high", "repositories": {"bookworm": "3.0.17-1"}}}},
	"CVE-2026-2": {"releases": {"bookworm": {"status": "open", "urgency": "not yet assigned", "nodsa": "Minor issue"}}},
	"CVE-2026-3": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"}, "trixie": {"status": "open"}}},
	"CVE-2026-4": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "3.0.15-1~deb12u1"}}}},
	"zlib": {"CVE-2026-5": {"releases": {"bookworm": {"status": "open"}}}}}`
	files := map[string]string{"etc/os-release": bookworm, "var/lib/dpkg/status": status, "srv/tracker.json": tracker}
	target := facts.Target{Config: facts.Config{VulnerabilityFile: "/srv/tracker.json"}}
	v, gone := osFact[facts.Vulnerabilities](t, osFolder(t, files), "vulnerabilities", target)
	// libssl3 is built of the older openssl.
	if len(v.Fixable) != 1 || v.Fixable[0].CVE != "CVE-2026-1" || v.Fixable[0].Package != "libssl3" || len(v.Open) != 1 || v.Open[0].CVE != "CVE-2026-2" {
		t.Errorf("got %+v %q, want CVE-2026-1 of libssl3 to mend and CVE-2026-2 open", v, gone)
	}
	for name, text := range map[string]string{"torn": tracker[:len(tracker)-1], "empty": "{}", "a page": "<html>", "another": "[1]"} {
		files["srv/tracker.json"] = text
		if v, gone := osFact[facts.Vulnerabilities](t, osFolder(t, files), "vulnerabilities", target); len(gone) != 1 {
			t.Errorf("%s: got %+v %q, want that it is missing", name, v, gone)
		}
	}
	if v, gone := osFact[facts.Vulnerabilities](t, osFolder(t, files), "vulnerabilities", facts.Target{}); v.Declared || len(gone) != 0 {
		t.Errorf("undeclared: got %+v %q, want that nothing is declared", v, gone)
	}
}

func TestBackups(t *testing.T) {
	root := osFolder(t, map[string]string{
		"srv/files/2026/db.sql.gz": "x", "srv/restic/config": "x", "srv/restic/keys/1": "x", "srv/restic/snapshots/abc": "x", "srv/restic/data/00/blob": "x",
		"srv/empty/": "", "srv/zero/db.sql": "", "var/lib/drill": "",
		"etc/cron.d/backup":       "MAILTO=root\n# 1 2 * * * root restic backup /old\n5 3 * * * root /usr/local/sbin/save\n",
		"etc/cron.d/backup.off":   "5 3 * * * root borg create ::x /\n",
		"usr/local/sbin/save":     "#!/bin/sh\n# borg create\nmariadb-dump --all-databases > /srv/x\nrestic -r sftp:keep@store:/r backup /srv\n",
		"etc/debian_version":      "12.7\n", // whose cron refuses a crontab without the end of its last line
		"etc/cron.d/refused":      "5 3 * * * root restic backup /lost",
		"etc/cron.weekly/drill":   "#!/bin/sh\nrestic restore latest --target /tmp/x\n",
		"etc/cron.daily/drill.sh": "#!/bin/sh\nborg extract x\n",
	})
	age(t, root, "srv/files/2026/db.sql.gz", noon.Add(-25*time.Hour))
	age(t, root, "srv/restic/snapshots/abc", noon.Add(-30*time.Hour))
	age(t, root, "srv/restic/data/00/blob", noon.Add(-time.Hour)) // of a run that was cut off
	age(t, root, "srv/zero/db.sql", noon)
	age(t, root, "var/lib/drill", noon.Add(-93*24*time.Hour))
	b, gone := osFact[facts.Backups](t, root, "backups", facts.Target{Config: facts.Config{Backups: []facts.Backup{
		{Folder: "/srv/files", Drill: "/var/lib/drill"}, {Folder: "/srv/restic"}, {Folder: "/srv/restic", Within: 48 * time.Hour, Drill: "/var/lib/drill", DrillWithin: 100 * 24 * time.Hour},
		{Folder: "/srv/empty"}, {Folder: "/srv/zero"}, {Folder: "/srv/gone"}}}})
	var got []string
	for _, d := range b.Declared {
		got = append(got, fmt.Sprint(d.Folder, " ", d.Kind, " present=", d.Present, " fresh=", d.Fresh, " drill=", d.DrillFresh))
	}
	want := []string{"/srv/files files present=true fresh=true drill=false", "/srv/restic restic present=true fresh=false drill=false",
		"/srv/restic restic present=true fresh=true drill=true", "/srv/empty files present=true fresh=false drill=false",
		"/srv/zero files present=true fresh=false drill=false", "/srv/gone files present=false fresh=false drill=false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("declared (-want +got):\n%s%q", diff, gone)
	}
	var jobs []string
	for _, j := range b.Jobs {
		jobs = append(jobs, fmt.Sprint(j.Tool, " ", j.Every, " restores=", j.Restores, " off=", j.OffHost, " ", j.Origin))
	}
	want = []string{"restic 5 3 * * * restores=false off=true /etc/cron.d/backup:3", "database dump 5 3 * * * restores=false off=true /etc/cron.d/backup:3",
		"restic weekly restores=true off=false /etc/cron.weekly/drill"}
	if diff := cmp.Diff(want, jobs); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestDeclaredLogs(t *testing.T) {
	root := osFolder(t, map[string]string{
		"var/log/app/error.log": "x", "var/log/app/old.log": "x", "var/log/actions/1.log": "x", "var/log/actions/2.log": "x", "usr/bin/fail2ban-server": "",
		"etc/fail2ban/jail.conf":              "[app]\nenabled = true\nfilter = app\nlogpath = /var/log/app/*.log\n[off]\nlogpath = /var/log/actions/2.log\nfilter = app\n",
		"etc/fail2ban/filter.d/app.conf":      "[Definition]\nfailregex = ^x <HOST>\n",
		"lib/systemd/system/fail2ban.service": "[Service]\n", "etc/systemd/system/multi-user.target.wants/fail2ban.service": "",
	})
	age(t, root, "var/log/app/error.log", noon.Add(-time.Hour))
	age(t, root, "var/log/app/old.log", noon.Add(-50*time.Hour))
	age(t, root, "var/log/actions/1.log", noon.Add(-3*time.Hour))
	age(t, root, "var/log/actions/2.log", noon.Add(-2*time.Hour))
	l, gone := osFact[facts.Logs](t, root, "logs", facts.Target{Config: facts.Config{Logs: []facts.Log{
		{File: "/var/log/app/error.log", Within: 2 * time.Hour}, {File: "/var/log/app/old.log", Within: 2 * time.Hour}, {File: "/var/log/app/old.log"},
		{File: "/var/log/actions/*.log", Kind: "actions", Within: 150 * time.Minute}, {File: "/var/log/none", Kind: "calls"}}}})
	var got []string
	for _, d := range l.Declared {
		got = append(got, fmt.Sprint(d.File, " ", d.Kind, " present=", d.Present, " silent=", d.Silent, " ", d.Readers))
	}
	want := []string{"/var/log/app/error.log errors present=true silent=false [fail2ban jail app]", "/var/log/app/old.log errors present=true silent=true [fail2ban jail app]",
		"/var/log/app/old.log errors present=true silent=false [fail2ban jail app]", "/var/log/actions/*.log actions present=true silent=false []",
		"/var/log/none calls present=false silent=true []"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s%q", diff, gone)
	}
}

func TestForwards(t *testing.T) {
	for text, want := range map[string]string{
		"*.* @@logs.example.org:6514\n":    "[logs.example.org tcp false]",
		"*.* @(o)10.0.0.1\n":               "[10.0.0.1 udp false]",
		"# *.* @@logs.example.org\n":       "",
		"*.* /var/log/x\n$ModLoad imudp\n": "",
		"auth.* action(type=\"omfwd\"\n target=\"h\"\n protocol=\"tcp\" StreamDriver=\"gtls\" StreamDriverMode=\"1\")\n": "[h tcp true]",
		"action(type=\"omfwd\" target=\"h\" protocol=\"tcp\" StreamDriver=\"gtls\" StreamDriverMode=\"0\")\n":            "[h tcp false]",
		"$IncludeConfig /etc/rsyslog.d/*.conf\n":    "[inner relp true]",
		"include(file=\"/etc/rsyslog.d/*.conf\")\n": "[inner relp true]",
		"$template x,\"mail@example.org\"\n":        "",
	} {
		root := osFolder(t, map[string]string{"usr/sbin/rsyslogd": "", "etc/rsyslog.conf": text, "etc/rsyslog.d/1.conf": "action(type=\"omrelp\" target=\"inner\" tls=\"on\")\n"})
		l, gone := osFact[facts.Logs](t, root, "logs", facts.Target{})
		got := ""
		for _, f := range l.Forwards {
			got += fmt.Sprint([]any{f.To, f.Protocol, f.TLS})
		}
		if got != want {
			t.Errorf("%q: got %s %q, want %s", text, got, gone, want)
		}
	}
}

func TestSuricata(t *testing.T) {
	conf := "%YAML 1.1\n---\ndefault-rule-path: /var/lib/suricata/rules\nrule-files:\n  - suricata.rules\naf-packet:\n  - interface: eth0\n    copy-mode: ips\n    copy-iface: eth1\n  - interface: default\n" +
		"default-log-dir: /var/log/suricata/\noutputs:\n  - fast:\n      enabled: yes\n  - eve-log:\n      enabled: yes\n      filetype: regular\n      filename: eve.json\n"
	files := map[string]string{"etc/suricata/suricata.yaml": conf, "var/log/suricata/eve.json": "{}", "usr/bin/suricata": "",
		"var/lib/suricata/rules/suricata.rules": "# drop x\nalert tcp any any -> any any (sid:1;)\ndrop tcp any any -> any any (sid:2;)\n"}
	root := osFolder(t, files)
	age(t, root, "var/lib/suricata/rules/suricata.rules", noon.Add(-24*time.Hour))
	i, gone := osFact[facts.IDS](t, root, "ids", facts.Target{})
	s := i.Suricata
	if got, want := fmt.Sprintf("%v %d %d %v %s %v %v %s", s.IPS, s.Rules, s.Drops, s.Interfaces, s.EVE, s.Running, s.RulesUpdated.Equal(noon.Add(-24*time.Hour)), s.Error), "true 2 1 [eth0] /var/log/suricata/eve.json false true "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !slices.ContainsFunc(gone, func(m string) bool { return strings.HasPrefix(m, "ids.suricata.running") }) {
		t.Errorf("got %q, want that a folder does not tell what runs", gone)
	}
	files["etc/suricata/suricata.yaml"] = strings.ReplaceAll(strings.ReplaceAll(conf, "copy-mode: ips", "copy-mode: tap"), "eve-log:\n      enabled: yes", "eve-log:\n      enabled: no")
	i, _ = osFact[facts.IDS](t, osFolder(t, files), "ids", facts.Target{})
	if i.Suricata.IPS || i.Suricata.EVE != "" {
		t.Errorf("got %+v, want no IPS and no events", i.Suricata)
	}
}

func TestSignatures(t *testing.T) {
	root := osFolder(t, map[string]string{"usr/share/modsecurity-crs/rules/a.conf": "", "usr/share/modsecurity-crs/rules/b.conf": "", "etc/firehol/ipsets/x.netset": "",
		"var/lib/crowdsec/data/crowdsec.db": ""})
	age(t, root, "usr/share/modsecurity-crs/rules/a.conf", noon.Add(-500*time.Hour))
	age(t, root, "usr/share/modsecurity-crs/rules/b.conf", noon.Add(-300*time.Hour))
	i, _ := osFact[facts.IDS](t, root, "ids", facts.Target{})
	if len(i.Signatures) != 1 || !i.Signatures[0].Updated.Equal(noon.Add(-300*time.Hour)) {
		t.Errorf("got %+v, want the newest file of the core rule set", i.Signatures)
	}
	if len(i.Feeds) != 1 || i.Feeds[0].Name != "firehol ipsets" {
		t.Errorf("got %+v, want firehol only: crowdsec is not enrolled", i.Feeds)
	}
}

func TestSIPTools(t *testing.T) {
	for regex, want := range map[string][]string{
		`^.*UA: (?:sipvicious|friendly\-scanner|Test\ Agent).* <HOST>$`: {"sipvicious", "friendly-scanner", "test agent"},
		`^(VaxSIPUserAgent)|"Gulp"<HOST>`:                               {"vaxsipuseragent", "gulp"},
		`^[^ ]+ sip-scan<HOST>`:                                         {"sip-scan"},
	} {
		root := osFolder(t, map[string]string{"usr/bin/fail2ban-server": "", "etc/fail2ban/jail.conf": "[x]\nenabled = true\nfilter = x\nlogpath = /x\n",
			"etc/fail2ban/filter.d/x.conf": "[Definition]\nfailregex = " + regex + "\n"})
		i, _ := osFact[facts.IDS](t, root, "ids", facts.Target{})
		if len(i.Jails) != 1 {
			t.Fatalf("%s: got %+v, want one jail", regex, i)
		}
		for _, word := range want {
			if !slices.Contains(i.Jails[0].Words, word) {
				t.Errorf("%s: got %q, want %q among it", regex, i.Jails[0].Words, word)
			}
		}
		if slices.Contains(i.Jails[0].Words, "sipv") {
			t.Errorf("%s: got %q, and sipv is no word of it", regex, i.Jails[0].Words)
		}
	}
}

func TestMonitoring(t *testing.T) {
	root := osFolder(t, map[string]string{
		"usr/sbin/nrpe": "", "lib/systemd/system/nagios-nrpe-server.service": "[Service]\n", "etc/systemd/system/multi-user.target.wants/nagios-nrpe-server.service": "",
		"etc/nagios/nrpe.cfg":       "allowed_hosts=127.0.0.1\n#command[check_mysql]=x\ncommand[check_users]=/usr/lib/nagios/plugins/check_users\n",
		"etc/nagios/nrpe.d/own.cfg": "allowed_hosts=10.0.0.9\ncommand[d]=/usr/lib/nagios/plugins/check_disk -w 20%\n",
		"usr/sbin/smartd":           "", "etc/smartd.conf": "DEVICESCAN -d removable -n standby -m root -M exec /x\n",
	})
	m, gone := osFact[facts.Monitoring](t, root, "monitoring", facts.Target{})
	var got []string
	for _, c := range m.Covers {
		got = append(got, c.Subject)
	}
	slices.Sort(got)
	if want := []string{"storage", "users"}; !slices.Equal(slices.Compact(got), want) || len(m.Alerts) != 1 || m.Disks.Value != "" {
		t.Errorf("got %q, alerts %+v, disks %+v, want %q, one server, and nobody told of disks since smartd is not started; %q", got, m.Alerts, m.Disks, want, gone)
	}
}

func TestMail(t *testing.T) {
	root := osFolder(t, map[string]string{
		"usr/sbin/sendmail": "", "etc/postfix/main.cf": "#relayhost = old\nrelayhost = first\nrelayhost = [mail.example.org]:587\n",
		"var/log/mail.log": "Nov 20 06:25:01 h postfix/smtp[1]: A: to=<x@example.org>, relay=mail.example.org[192.0.2.1]:587, status=sent (250 2.0.0 Ok)\n" +
			"Nov 24 06:25:01 h postfix/local[1]: A: to=<root@h>, relay=local, status=sent (250 delivered)\nNov 25 06:25:01 h postfix/smtp[1]: B: status=deferred (450)\n" +
			"Dec 24 06:25:01 h postfix/smtp[1]: A: to=<x@example.org>, relay=x, status=sent (250 of last year)\n",
	})
	m, gone := osFact[facts.Monitoring](t, root, "monitoring", facts.Target{})
	if want := time.Date(2026, 11, 20, 6, 25, 1, 0, time.UTC); !m.Mail.SentAt.Equal(want) || m.Mail.Relay.Value != "[mail.example.org]:587" {
		t.Errorf("got %+v, want %v by [mail.example.org]:587; %q", m.Mail, want, gone)
	}
	if !slices.ContainsFunc(gone, func(m string) bool { return strings.HasPrefix(m, "monitoring.mail.answer") }) {
		t.Errorf("got %q, want that a folder's relay is not asked", gone)
	}
}

func TestConfinement(t *testing.T) {
	root := osFolder(t, map[string]string{
		"etc/apparmor.d/usr.sbin.apache2": "#include <tunables/global>\n/usr/sbin/apache2 flags=(complain) {\n}\n", "etc/apparmor.d/php-fpm": "profile php-fpm /usr/sbin/php-fpm8.2 {\n}\n",
		"etc/apparmor.d/nginx": "profile nginx /usr/sbin/nginx {\n}\n", "etc/apparmor.d/disable/nginx": "", "etc/selinux/config": "# x\nSELINUX=permissive\n",
	})
	m, gone := osFact[facts.MAC](t, root, "mac", facts.Target{})
	got := map[string]string{}
	for _, f := range m.Files {
		got[f.Name] = f.Mode
	}
	want := map[string]string{"apache2": "complain", "php-fpm": "enforce", "nginx": "disabled"}
	if diff := cmp.Diff(want, got); diff != "" || m.Configured.Value != "selinux permissive" || len(gone) != 4 {
		t.Errorf("(-want +got):\n%s%+v %q", diff, m.Configured, gone)
	}
}

func TestStorage(t *testing.T) {
	root := osFolder(t, map[string]string{"etc/fstab": "# x\nUUID=1 / ext4 defaults,noatime 0 1\n/dev/mapper/d /var/my\\040sql xfs nodev 0 2\n"})
	s, gone := osFact[facts.Storage](t, root, "storage", facts.Target{})
	if len(s.Fstab) != 2 || s.Fstab[1].Path != "/var/my sql" || s.Fstab[0].Origin != "/etc/fstab:2" || len(gone) != 8 {
		t.Errorf("got %+v %q, want two file systems, and that a folder does not tell what is mounted", s.Fstab, gone)
	}
}

// TestSupport: the table is read, a day ends with its last second, and a subscription counts where its archive is among the sources.
func TestSupport(t *testing.T) {
	ubuntu := "ID=ubuntu\nVERSION_ID=\"20.04\"\nVERSION_CODENAME=focal\n"
	for name, c := range map[string]struct {
		files map[string]string
		known bool
		ends  string
	}{
		"Debian 12":                 {map[string]string{"etc/os-release": bookworm}, true, "2028-06-30T23:59:59Z"},
		"Ubuntu without a contract": {map[string]string{"etc/os-release": ubuntu}, true, "2025-05-29T23:59:59Z"},
		"Ubuntu with a contract": {map[string]string{"etc/os-release": ubuntu, lists + "esm.ubuntu.com_infra_dists_focal-infra-security_Release": "Origin: UbuntuESM\nSuite: focal-infra-security\n",
			lists + "esm.ubuntu.com_infra_dists_focal-infra-security_main_binary-amd64_Packages": ""}, true, "2030-04-23T23:59:59Z"},
		"a release of the future": {map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=\"99\"\n"}, false, "0001-01-01T00:00:00Z"},
	} {
		c.files["var/lib/dpkg/status"] = status
		u, gone := osFact[facts.Updates](t, osFolder(t, c.files), "updates", facts.Target{})
		if got := u.Release.Ends.Format(time.RFC3339); u.Release.Known != c.known || got != c.ends {
			t.Errorf("%s: got %v %s %q, want %v %s", name, u.Release.Known, got, gone, c.known, c.ends)
		}
	}
}
