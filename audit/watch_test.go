package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
)

// watching is a Doorward that does all that controls ask for.
func watching() *facts.WatchAnswer {
	source := func(name, kind, format string, parsers ...string) facts.AnsweredSource {
		return facts.AnsweredSource{Name: name, Type: kind, Format: format, Read: true, Parsers: parsers, Sure: parsers, Records: 5, Last: now.Add(-time.Minute)}
	}
	a := &facts.WatchAnswer{Socket: "/run/doorward/admin.sock", Kernel: true, Overrides: "/etc/doorward/overrides.yaml", DigestRecipients: 1, DigestSent: now.Add(-2 * time.Hour),
		Built: now.AddDate(0, -1, 0), Countries: now.AddDate(0, 0, -20), SIPTools: []string{"sipcli", "sipvicious", "sip-scan", "sipsak", "sundayddr", "friendly-scanner", "iWar", "CSipSimple",
			"SIVuS", "Gulp", "sipv", "smap", "friendly-request", "VaxIPUserAgent", "VaxSIPUserAgent", "siparmyknife", "Test Agent"},
		Sources: []facts.AnsweredSource{source("auth", "journal", "", "sshd"), source("asterisk", "file", "", "asterisk"), source("mor", "query", "", "mor"),
			source("eve", "file", "eve", "suricata"), source("apache", "file", "", "apache-error"), source("db", "file", "", "mariadb")}}
	a.Sources[5].Sure = nil // MariaDB's log can be forged
	for _, d := range []facts.AnsweredDetection{
		{Name: "sshd_guessing", Action: "ban", Count: 3, Timespan: 10 * time.Minute, For: 10 * time.Minute}, {Name: "sip_guessing", Action: "ban", Count: 5, Timespan: 10 * time.Minute, For: 10 * time.Minute},
		{Name: "sip_tool_suricata", Action: "ban", Permanent: true}, {Name: "hgc_200", Action: "ban", Count: 20, Timespan: 10 * time.Minute, Permanent: true},
		{Name: "mor_api", Action: "ban", Permanent: true}, {Name: "suspicious_urls", Action: "ban", Count: 20, Timespan: 10 * time.Minute, For: time.Hour},
		{Name: "web_guessing", Action: "ban", Count: 10, Timespan: 10 * time.Minute, For: 10 * time.Minute}, {Name: "mariadb_guessing", Action: "ban", Count: 5, Timespan: 10 * time.Minute, For: 10 * time.Minute},
		{Name: "agent_outside", Action: "alert"}, {Name: "mor_hacking_attempt", Action: "alert"}, {Name: "error_new", Action: "alert"}, {Name: "somebody's own", Action: "ban", Count: 1},
	} {
		d.File = "doorward:x.yaml"
		a.Detections = append(a.Detections, d)
	}
	return a
}

// change changes a detection or a source by its name.
func change(name string, d func(*facts.AnsweredDetection), s func(*facts.AnsweredSource)) func(*facts.WatchAnswer) {
	return func(a *facts.WatchAnswer) {
		for i := range a.Detections {
			if d != nil && a.Detections[i].Name == name {
				d(&a.Detections[i])
			}
		}
		for i := range a.Sources {
			if s != nil && a.Sources[i].Name == name {
				s(&a.Sources[i])
			}
		}
	}
}

// watchedHost is a host with Asterisk, a web server and a database, no fail2ban, no logwatch and nothing declared, before which a Doorward stands.
type watchedHost struct {
	t    *testing.T
	host *facts.Host
	base facts.Facts
	cat  *audit.Catalogue
}

func newWatchedHost(t *testing.T) *watchedHost {
	t.Helper()
	var status strings.Builder
	for _, name := range []string{"asterisk", "apache2", "mariadb-server"} {
		status.WriteString("Package: " + name + "\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n")
	}
	root := rootOf(t, map[string]string{"var/lib/dpkg/status": status.String(), "etc/doorward/rules/own.yaml": "", "etc/fail2ban/filter.d/sshd.conf": "",
		"etc/rsyslog.d/90.conf": "*.* @@loghost:6514\n"})
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	w := &watchedHost{t: t, host: h, base: facts.Collect(t.Context(), h, facts.Target{Now: now}, nil), cat: shipped(t)}
	w.know("policy", facts.Policy{Running: true, Sites: []facts.SitePolicy{{Host: "desk.example.org", Answers: true}}})
	closed := facts.Way{Outside: "closed"}
	w.know("firewall", facts.Firewall{Ports: []facts.Port{{Protocol: "tcp", Number: 3306, Service: "mysql", V4: closed, V6: closed}}, Understood: true})
	return w
}

// know puts a fact in the place of what a folder cannot tell.
func (w *watchedHost) know(name string, value any) {
	w.base.Values[name] = value
	w.base.Missing = slices.DeleteFunc(w.base.Missing, func(m facts.Missing) bool { return m.Fact == name || strings.HasPrefix(m.Fact, name+".") })
}

// judge judges the host with a Doorward that says a.
func (w *watchedHost) judge(a *facts.WatchAnswer, cfg facts.Config, records audit.Records) map[string]audit.Finding {
	w.t.Helper()
	f := w.base
	f.Values = map[string]any{}
	for name, value := range w.base.Values {
		f.Values[name] = value
	}
	f.Missing = slices.Clone(w.base.Missing)
	value, gone := a.Facts(w.host, facts.Target{Config: cfg, Now: now})
	f.Values["watch"] = value
	for _, m := range gone {
		m.Fact = strings.TrimSuffix("watch."+m.Fact, ".")
		if m.Fact == "watch" {
			delete(f.Values, "watch")
		}
		f.Missing = append(f.Missing, m)
	}
	all := map[string]audit.Finding{}
	for _, finding := range w.cat.Judge(audit.Profile{}, f, records) {
		all[finding.ID] = finding
	}
	return all
}

// TestWatchAnswersControls: what Doorward itself does answers the rows of the guides, and only as long as it does: each promise is broken in turn.
func TestWatchAnswersControls(t *testing.T) {
	w := newWatchedHost(t)
	signed := audit.Records{Attestations: map[string]audit.Attestation{"D-20": {Control: "D-20", Owner: "ben", Until: now.Add(time.Hour)}}}
	all := []string{"I-66", "I-67", "M-21", "M-22", "M-23", "M-24", "M-26", "M-27", "M-28", "M-29", "M-33", "M-18", "D-12", "D-21", "I-87", "I-88", "F-17", "F-19", "F-20"}
	good := w.judge(watching(), facts.Config{}, signed)
	for _, id := range all {
		if got := good[id]; got.Status != audit.Pass {
			t.Errorf("%s: got %s because %q, want pass; %v", id, got.Status, got.Reason, got.Evidence)
		}
	}
	if got := good["D-20"]; got.Status != audit.Attested {
		t.Errorf("D-20: got %s because %q, want attested", got.Status, got.Reason)
	}
	if got := w.judge(watching(), facts.Config{}, audit.Records{})["D-20"]; got.Status != audit.Fail {
		t.Errorf("D-20 that nobody signed: got %s, want fail", got.Status)
	}
	// Nobody answers: nothing is known, and never passed.
	for id, got := range w.judge(&facts.WatchAnswer{Unread: "no Doorward answers on /run/doorward/admin.sock"}, facts.Config{}, signed) {
		if slices.Contains(append(all, "F-11", "M-39", "F-16"), id) && got.Status == audit.Pass {
			t.Errorf("%s passes though Doorward cannot be asked: %v", id, got.Evidence)
		}
		if slices.Contains(all, id) && id != "M-29" && (got.Status != audit.Unknown || !strings.Contains(got.Reason, "no Doorward answers")) {
			t.Errorf("%s: got %s because %q, want unknown because nobody answers", id, got.Status, got.Reason)
		}
	}
	off := func(d *facts.AnsweredDetection) { d.Off = true }
	silent := func(s *facts.AnsweredSource) { s.Silent = true }
	broken := func(s *facts.AnsweredSource) { s.Problem = "no such file" }
	unread := func(s *facts.AnsweredSource) { s.Read = false }
	for name, c := range map[string]struct {
		change func(*facts.WatchAnswer)
		fail   string // what then does not pass; all others do
	}{
		"no enforce":              {func(a *facts.WatchAnswer) { a.Kernel, a.KernelProblem = false, "not connected" }, "I-66 I-67 M-21 M-22 M-23 M-24 M-26 M-27"},
		"ssh off":                 {change("sshd_guessing", off, nil), "I-66 I-67 M-21 M-22"},
		"ssh four failures":       {change("sshd_guessing", func(d *facts.AnsweredDetection) { d.Count = 4 }, nil), "I-66 M-22"},
		"ssh within five minutes": {change("sshd_guessing", func(d *facts.AnsweredDetection) { d.Timespan = 5 * time.Minute }, nil), "M-22"},
		"ssh for a minute":        {change("sshd_guessing", func(d *facts.AnsweredDetection) { d.For = time.Minute }, nil), "M-22"},
		"ssh at the first":        {change("sshd_guessing", func(d *facts.AnsweredDetection) { d.Count, d.Timespan, d.For, d.Permanent = 0, 0, 0, true }, nil), ""},
		"ssh told only":           {change("sshd_guessing", func(d *facts.AnsweredDetection) { d.Action = "alert" }, nil), "I-66 I-67 M-21 M-22"},
		"ssh throttled":           {change("sshd_guessing", func(d *facts.AnsweredDetection) { d.Action = "throttle" }, nil), "I-66 I-67 M-21 M-22"},
		"ssh silent":              {change("auth", nil, silent), "I-66 I-67 M-21 M-22"},
		"ssh not there":           {change("auth", nil, broken), "I-66 I-67 M-21 M-22"},
		"ssh never read":          {change("auth", nil, unread), "I-66 I-67 M-21 M-22"},
		"ssh of another parser":   {change("auth", nil, func(s *facts.AnsweredSource) { s.Parsers, s.Sure = []string{"sudo"}, nil }), "I-66 I-67 M-21 M-22"},
		"ssh could be forged":     {change("auth", nil, func(s *facts.AnsweredSource) { s.Sure = nil }), "I-66 I-67 M-21 M-22"},
		"sip ten failures":        {change("sip_guessing", func(d *facts.AnsweredDetection) { d.Count = 10 }, nil), "M-23"},
		"asterisk silent":         {change("asterisk", nil, silent), "M-23"},
		"a tool is let in": {func(a *facts.WatchAnswer) {
			a.SIPTools = slices.DeleteFunc(a.SIPTools, func(s string) bool { return s == "CSipSimple" })
		}, "M-24"},
		"tools for a day":        {change("sip_tool_suricata", func(d *facts.AnsweredDetection) { d.Permanent, d.For = false, 24*time.Hour }, nil), "M-24"},
		"eve silent":             {change("eve", nil, silent), "M-24"},
		"hgc in a minute":        {change("hgc_200", func(d *facts.AnsweredDetection) { d.Timespan = time.Minute }, nil), "M-26"},
		"hgc fifty":              {change("hgc_200", func(d *facts.AnsweredDetection) { d.Count = 50 }, nil), "M-26 M-33"},
		"mor broken":             {change("mor", nil, broken), "M-26 M-27 M-33 M-18"},
		"api for an hour":        {change("mor_api", func(d *facts.AnsweredDetection) { d.Permanent, d.For = false, time.Hour }, nil), "M-27"},
		"urls off":               {change("suspicious_urls", off, nil), "M-28"},
		"urls for a minute":      {change("suspicious_urls", func(d *facts.AnsweredDetection) { d.For = time.Minute }, nil), "M-28"},
		"agents off":             {change("agent_outside", off, nil), "D-12"},
		"no overrides":           {func(a *facts.WatchAnswer) { a.Overrides = "" }, "M-29"},
		"no recipients":          {func(a *facts.WatchAnswer) { a.DigestRecipients = 0 }, "I-87 F-17 F-19 D-12 M-18"},
		"digest not sent":        {func(a *facts.WatchAnswer) { a.DigestSent = time.Time{} }, "I-87 F-17 F-19 D-12 M-18 D-20"},
		"digest of two days ago": {func(a *facts.WatchAnswer) { a.DigestSent = now.Add(-50 * time.Hour) }, "I-87 F-17 F-19 D-12 M-18 D-20"},
		"errors off":             {change("error_new", off, nil), "I-88 D-21"},
		"apache silent":          {change("apache", nil, silent), "I-88 D-21"},
		"database silent":        {change("db", nil, silent), "I-67 M-21"},
		"old build":              {func(a *facts.WatchAnswer) { a.Built = now.AddDate(-1, 0, 0) }, "F-20"},
		"no date of the build":   {func(a *facts.WatchAnswer) { a.Built = time.Time{} }, "F-20"},
		"old countries":          {func(a *facts.WatchAnswer) { a.Countries = now.AddDate(0, 0, -60) }, "F-20"},
		"no countries":           {func(a *facts.WatchAnswer) { a.Countries = time.Time{} }, ""},
		"no detections":          {func(a *facts.WatchAnswer) { a.Detections = nil }, "I-66 I-67 M-21 M-22 M-23 M-24 M-26 M-27 M-28 M-33 M-18 D-12 D-21 I-88 F-17 F-19"},
		"a jail for ssh": {func(a *facts.WatchAnswer) {
			change("sshd_guessing", off, nil)(a)
			a.Jails = []facts.AnsweredJail{{Name: "sshd", Filter: "sshd", MaxRetry: 3, FindTime: 10 * time.Minute, BanTime: 10 * time.Minute}}
		}, ""},
		"a jail without a log": {func(a *facts.WatchAnswer) {
			change("sshd_guessing", off, nil)(a)
			a.Jails = []facts.AnsweredJail{{Name: "sshd", Filter: "sshd", MaxRetry: 3, FindTime: 10 * time.Minute, BanTime: 10 * time.Minute, Problem: "no file"}}
		}, "I-66 I-67 M-21 M-22"},
	} {
		a := watching()
		c.change(a)
		got := w.judge(a, facts.Config{}, signed)
		for _, id := range append(all, "D-20") {
			passed := got[id].Status == audit.Pass || got[id].Status == audit.Attested
			if failing := slices.Contains(strings.Fields(c.fail), id); passed == failing {
				t.Errorf("%s: %s is %s because %q; %v", name, id, got[id].Status, got[id].Reason, got[id].Evidence)
			}
		}
	}
}

// TestRuleAge: the days are the configuration's, and files that Doorward names count (F-20).
func TestRuleAge(t *testing.T) {
	w := newWatchedHost(t)
	a := watching()
	a.RulesFolder, a.Fail2banFolder = "/etc/doorward/rules", "/etc/fail2ban"
	a.Jails = []facts.AnsweredJail{{Name: "sshd", Filter: "sshd"}, {Name: "x", Filter: "../../../etc/passwd*"}}
	names := func() string {
		value, _ := a.Facts(w.host, facts.Target{Now: now})
		var all []string
		for _, r := range value.Rules {
			all = append(all, r.Name)
		}
		return strings.Join(all, "; ")
	}
	if got, want := names(), "doorward detections, parsers and application folders; detections of one's own; fail2ban filters in Doorward; database of countries"; got != want {
		t.Errorf("rules are %q, want %q", got, want)
	}
	for want, cfg := range map[audit.Status]facts.Config{audit.Fail: {ProgramRuleDays: 20}, audit.Pass: {ProgramRuleDays: 3000, RuleDays: 7}} {
		if got := w.judge(a, cfg, audit.Records{})["F-20"]; got.Status != want {
			t.Errorf("with %d and %d days: got %s, want %s; %v", cfg.RuleDays, cfg.ProgramRuleDays, got.Status, want, got.Evidence)
		}
	}
	if got := w.judge(a, facts.Config{ProgramRuleDays: 3000, RuleDays: 5}, audit.Records{})["F-20"]; got.Status != audit.Fail {
		t.Errorf("countries of 20 days, of at most 15: got %s, want fail", got.Status)
	}
}

// TestSilentEVE: a sensor whose events do not come is none (F-11, M-39), and a silent source is said for F-16.
func TestSilentEVE(t *testing.T) {
	w := newWatchedHost(t)
	w.know("ids", facts.IDS{Suricata: facts.Suricata{Installed: true, Running: true, Rules: 9, Drops: 1, IPS: true, EVE: "/var/log/suricata/eve.json"}})
	w.know("logs", facts.Logs{Forwards: []facts.Forward{{}}, Persistent: facts.Setting{Value: "yes"}})
	for name, c := range map[string]struct {
		change func(*facts.WatchAnswer)
		eve    audit.Status
		all    audit.Status
	}{
		"well":       {func(*facts.WatchAnswer) {}, audit.Pass, audit.Pass},
		"silent":     {change("eve", nil, func(s *facts.AnsweredSource) { s.Silent = true }), audit.Fail, audit.Fail},
		"never read": {change("eve", nil, func(s *facts.AnsweredSource) { s.Read = false }), audit.Fail, audit.Pass},
		"other":      {change("db", nil, func(s *facts.AnsweredSource) { s.Silent = true }), audit.Pass, audit.Fail},
		"no answer":  {func(a *facts.WatchAnswer) { a.Unread = "nobody" }, audit.Unknown, audit.Unknown},
	} {
		a := watching()
		c.change(a)
		got := w.judge(a, facts.Config{}, audit.Records{})
		for id, want := range map[string]audit.Status{"F-11": c.eve, "M-39": c.eve, "F-16": c.all} {
			if got[id].Status != want {
				t.Errorf("%s: %s is %s because %q, want %s; %v", name, id, got[id].Status, got[id].Reason, want, got[id].Evidence)
			}
		}
	}
}
