package detect_test

import (
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/rules"
)

var replayAt = time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC)

// bench is a judge over what comes with Doorward, with what it told.
type bench struct {
	t     *testing.T
	judge *detect.RuleJudge
	told  []event.Event
}

func newBench(t *testing.T, cfg detect.Config) *bench {
	t.Helper()
	cfg.SetDefaults()
	set, err := detect.LoadRules(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t}
	b.judge, err = detect.NewRuleJudge(set, cfg, nil, func(e event.Event) { b.told = append(b.told, e) })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// own judges an event of the gateway's.
func (b *bench) own(e event.Event) []decision.Proposal {
	e.ID = event.NewID(e.Time)
	return b.judge.Own(&e, e.Time)
}

func request(at time.Time, from, target string, more ...event.Field) event.Event {
	return event.Event{Time: at, Class: event.HTTP, Action: "GET", Outcome: event.Failure, Source: netip.MustParseAddr(from), Site: "desk",
		Fields: append([]event.Field{{Key: "host", Value: "desk.example.org"}, {Key: "target", Value: target}, {Key: "status", Value: "404"}}, more...)}
}

// names are the detections that were told.
func (b *bench) names() string {
	var all []string
	for _, e := range b.told {
		for _, f := range e.Fields {
			if f.Key == "name" {
				all = append(all, f.Value)
			}
		}
	}
	return strings.Join(all, " ")
}

// TestSuspiciousURLs: twenty in ten minutes, whatever the answer, and of IPv6 by /64; nineteen, and twenty in eleven minutes, are none.
func TestSuspiciousURLs(t *testing.T) {
	urls := []string{"/.env", "/.git/config", "/a/%2e%2e/%2e%2e/etc/passwd", "/x/..%5c..%5cwin.ini", "//phpMyAdmin//index.php", "/%252eenv", "http://h/wp-login.php", "/?f=php://filter/x",
		"/cgi-bin/.%2e/.%2e/bin/sh", "/%zz/.aws/credentials"}
	run := func(n int, step time.Duration, from func(i int) string) (all []decision.Proposal) {
		b := newBench(t, detect.Config{})
		for i := range n {
			all = append(all, b.own(request(replayAt.Add(time.Duration(i)*step), from(i), urls[i%len(urls)]))...)
		}
		return all
	}
	one := func(int) string { return "203.0.113.7" }
	if got := run(19, time.Second, one); len(got) != 0 {
		t.Errorf("nineteen give %v", got)
	}
	if got := run(20, 35*time.Second, one); len(got) != 0 {
		t.Errorf("twenty in eleven minutes give %v", got)
	}
	got := run(20, 30*time.Second, one)
	if len(got) != 1 || got[0].Action != decision.Ban || got[0].Target.Short() != "203.0.113.7" || got[0].For != time.Hour || got[0].Origin != "detection:suspicious_urls" ||
		len(got[0].Evidence) == 0 || !strings.Contains(got[0].Evidence[0], "203.0.113.7 GET failure desk.example.org") || !got[0].At.Equal(replayAt.Add(19*30*time.Second)) {
		t.Errorf("twenty give %+v", got)
	}
	got = run(20, time.Second, func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) })
	if len(got) != 1 || got[0].Target.Short() != "2001:db8::/64" {
		t.Errorf("twenty addresses of one /64 give %+v", got)
	}
}

// TestSuspiciousPictures: a page full of suspicious pictures has nobody banned who looks at it, and gives a scanner no way out that says it is one.
func TestSuspiciousPictures(t *testing.T) {
	b := newBench(t, detect.Config{})
	var all []decision.Proposal
	for i := range 39 {
		var more []event.Field
		if i >= 19 { // nineteen of its own do not count with them
			more = append(more, event.Field{Key: "embedded", Value: "true"})
		}
		all = append(all, b.own(request(replayAt.Add(time.Duration(i)*time.Second), "203.0.113.7", "/.env", more...))...)
	}
	if len(all) != 1 || all[0].Action != decision.Challenge || all[0].For != time.Hour || all[0].Origin != "detection:suspicious_urls_embedded" {
		t.Errorf("twenty pictures give %+v, want a challenge", all)
	}
}

// TestSuspiciousSpellings: what a server may pass over behind the file that is meant hides it from no detection.
func TestSuspiciousSpellings(t *testing.T) {
	for _, target := range []string{"/.env/", "/.env//", "/.env;x", "/.env;a=b/", "/.env%00", "/.env%00.html", "/.env%20", "/.env.", "/wp-login.php/", "/wp-login.php/x/y", "/x;y/.git;z", "/phpinfo.php;a/b"} {
		b, bans := newBench(t, detect.Config{}), 0
		for i := range 20 {
			bans += len(b.own(request(replayAt.Add(time.Duration(i)*time.Second), "203.0.113.7", target)))
		}
		if bans != 1 {
			t.Errorf("twenty of %s give %d bans, want 1", target, bans)
		}
	}
}

// TestHonestUsersAreNotSuspicious: what the application folders name, save what they hide, is no suspicious URL; nor is what
// people attach and search for.
func TestHonestUsersAreNotSuspicious(t *testing.T) {
	paths := []string{"/", "/Ticket/Display.html?id=7", "/Ticket/Attachment/12/34/backup.zip", "/Ticket/Attachment/12/34/config.php", "/Search/Simple.html?q=/etc/passwd", "/NoAuth/css/a.css",
		"/agent/#/app", "/file.php/12/dump.sql", "/en/kb/articles/how-to-write-env-files", "/?q=wp-login.php", "/favicon.ico", "/robots.txt", "/.well-known/security.txt",
		"/billing/callc/login", "/static/helpdesk.css", "/login?next=%2Fadmin%2F", "/?q=select+*+from+users", "/tickets/1%2F2", "/data/", "/admin/"}
	hidden := regexp.MustCompile(`(?i)/\.|phpmyadmin|pma$|adminer|myadmin|mysqladmin|phppgadmin|dbadmin|phpinfo|info\.php|\.(sql|gz|tgz|zip|bak|old|lock|json)$|server-(status|info)|^/(etc|vendor|test\.php|wp-)`)
	quoted := regexp.MustCompile(`path: ['"]?(/[^'",} ]*)`)
	err := fs.WalkDir(rules.Apps(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Base(name) != "gateway.yaml" {
			return err
		}
		text, err := fs.ReadFile(rules.Apps(), name)
		for _, m := range quoted.FindAllSubmatch(text, -1) {
			if p := string(m[1]); !hidden.MatchString(p) {
				paths = append(paths, p, p+"/x", strings.TrimSuffix(p, "/")+"/index.php")
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 60 {
		t.Errorf("only %d paths; the application folders are read wrongly", len(paths))
	}
	for _, p := range paths {
		b := newBench(t, detect.Config{})
		for i := range 40 {
			if got := b.own(request(replayAt.Add(time.Duration(i)*time.Second), "203.0.113.7", p)); len(got) > 0 {
				t.Errorf("%s is suspicious: %v", p, got[0].Evidence)
				break
			}
		}
	}
}

func signIn(at time.Time, from, user string, outcome event.Outcome, reason string) event.Event {
	return event.Event{Time: at, Class: event.Authentication, Action: "sign-in", Outcome: outcome, Source: netip.MustParseAddr(from), User: user,
		Fields: []event.Field{{Key: "reason", Value: reason}}}
}

// TestSignIns: guessing is banned for a while and never for good, spraying too; many clients at one account are told.
func TestSignIns(t *testing.T) {
	b := newBench(t, detect.Config{})
	for i := range 60 {
		if got := b.own(signIn(replayAt.Add(time.Duration(i)*time.Second), "203.0.113.1", "anna", event.Success, "")); len(got) > 0 {
			t.Fatalf("successes give %v", got)
		}
	}
	for i := range 20 {
		outcome, reason := event.Failure, "password"
		if i%2 == 1 {
			outcome, reason = event.Refused, "waiting"
		}
		got := b.own(signIn(replayAt.Add(time.Duration(i)*time.Second), "203.0.113.2", "anna", outcome, reason))
		if (len(got) == 1) != (i == 19) {
			t.Fatalf("failure %d gives %v", i+1, got)
		}
		if i == 19 && (got[0].For != 10*time.Minute || got[0].Escalate.Max != 24*time.Hour || got[0].Target.Kind != decision.Address) {
			t.Errorf("guessing gives %+v", got[0])
		}
	}
	for i := range 10 {
		got := b.own(signIn(replayAt.Add(time.Duration(i)*time.Second), "203.0.113.3", fmt.Sprint("user", i), event.Failure, "password"))
		if (len(got) == 1) != (i == 9) {
			t.Fatalf("name %d gives %v", i+1, got)
		}
	}
	b.told = nil
	for i := range 10 {
		if got := b.own(signIn(replayAt.Add(time.Duration(i)*time.Minute), fmt.Sprintf("198.51.100.%d", i+1), "berta", event.Failure, "password")); len(got) > 0 {
			t.Fatalf("many clients at one account give %v", got)
		}
	}
	if got := b.names(); got != "signin_distributed" {
		t.Errorf("told: %q, want signin_distributed", got)
	}
}

// TestAgentOutside: an agent who writes from outside is told once an hour; from inside, by network or by name, not (D-12).
func TestAgentOutside(t *testing.T) {
	write := func(b *bench, from, role, method string, more ...event.Field) {
		e := request(replayAt, from, "/ticket/7/reply", append(more, event.Field{Key: "roles", Value: role})...)
		e.Action, e.User, e.Outcome = method, "maria", event.Success
		if got := b.own(e); len(got) > 0 {
			t.Errorf("somebody is banned: %v", got)
		}
	}
	b := newBench(t, detect.Config{InsideNames: []string{"example.org"}})
	write(b, "10.1.2.3", "agent", "POST")
	write(b, "203.0.113.7", "agent", "GET")
	write(b, "203.0.113.7", "user", "POST")
	write(b, "203.0.113.8", "agent", "POST", event.Field{Key: "host_name", Value: "vpn.example.org"})
	if got := b.names(); got != "" {
		t.Errorf("told: %q, want nothing", got)
	}
	write(b, "203.0.113.7", "agent", "POST")
	write(b, "203.0.113.7", "agent", "POST")
	write(b, "203.0.113.9", "agent", "POST", event.Field{Key: "host_name", Value: "badexample.org"})
	if got := b.names(); got != "agent_outside" {
		t.Errorf("told: %q, want agent_outside once", got)
	}
}

// TestErrorBurst: thirty failures of the application in five minutes are told once (D-21).
func TestErrorBurst(t *testing.T) {
	b := newBench(t, detect.Config{})
	for i := range 70 {
		e := request(replayAt.Add(time.Duration(i)*time.Second), "203.0.113.7", "/", event.Field{Key: "x", Value: ""})
		e.Fields[2].Value = "500"
		b.own(e)
		if want := i >= 29; (b.names() == "error_burst") != want {
			t.Fatalf("after %d: told %q", i+1, b.names())
		}
	}
}

// replayed is lines of a log that lead to one detection at the last of them, and to none before.
type replayed struct {
	parser, line string // of the line, {t} and {n} are the time and a number
	layout       string
	program      string // not empty: syslog carried it
	fields       []event.Field
	count        int
	want         string // the detection
	length       time.Duration
	spoofable    bool
	alert        bool
	harmless     []string
}

// TestLines: what comes with Doorward for logs, at its threshold, just below it, too slowly, and for harmless lines.
func TestLines(t *testing.T) {
	const iso, clf = "2006-01-02 15:04:05", "02/Jan/2006:15:04:05 -0700"
	for name, r := range map[string]replayed{
		"sshd": {parser: "sshd", layout: time.Stamp, line: "{t} shop sshd[811]: Failed password for root from 198.51.100.6 port 4{n} ssh2", count: 3, want: "sshd_guessing", length: 10 * time.Minute,
			harmless: []string{"{t} shop sshd[811]: Accepted password for root from 198.51.100.6 port 4{n} ssh2", "{t} shop sshd[811]: Failed publickey for git from 198.51.100.6 port 4{n} ssh2: RSA SHA256:0",
				"{t} shop sshd[811]: Failed password for invalid user x from 198.51.100.6 port 1 ssh2 from 2001:db8:{n}::1 port 1 ssh2"}},
		"sshd, repeated": {parser: "sshd", layout: time.Stamp, line: "{t} shop sshd[811]: message repeated 3 times: [ Failed password for root from 198.51.100.6 port 4{n} ssh2]", count: 1, want: "sshd_guessing",
			length: 10 * time.Minute, harmless: []string{"{t} shop sshd[811]: message repeated 9 times: [ Accepted password for root from 198.51.100.6 port 4{n} ssh2]"}},
		"sip": {parser: "asterisk", layout: iso, line: "[{t}] NOTICE[4711] chan_sip.c: Registration from '\"100\" <sip:{n}@192.0.2.1>' failed for '198.51.100.6:5060' - Wrong password", count: 5,
			want: "sip_guessing", length: 10 * time.Minute, spoofable: true,
			harmless: []string{"[{t}] NOTICE[4711] chan_sip.c: Peer '100' is now Reachable. ({n}ms / 2000ms)"}},
		"sip over TLS": {parser: "asterisk", layout: iso, count: 5, want: "sip_guessing", length: 10 * time.Minute,
			line: `[{t}] SECURITY[4711] res_security_log.c: SecurityEvent="InvalidPassword",EventTV="2026-11-25T18:57:50.000+0000",Severity="Error",Service="SIP",EventVersion="2",AccountID="1{n}",` +
				`SessionID="0x7f",LocalAddress="IPV4/TLS/192.0.2.1/5060",RemoteAddress="IPV4/TLS/198.51.100.6/5060"`},
		"sip tool": {parser: "asterisk", layout: iso, line: "[{t}] NOTICE[4711] chan_sip.c: Registration from '\"sipvicious\"<sip:{n}@1.1.1.1>' failed for '198.51.100.6:5060' - Wrong password", count: 1,
			want: "sip_tool_asterisk", spoofable: true},
		"sip tool at a sensor": {parser: "suricata", fields: []event.Field{{Key: "event_type", Value: "sip"}, {Key: "src_ip", Value: "198.51.100.6"}, {Key: "sip.user_agent", Value: "friendly-scanner"}},
			count: 1, want: "sip_tool_suricata", spoofable: true},
		"ami":  {parser: "asterisk", layout: iso, line: "[{t}] NOTICE[4711] manager.c: 198.51.100.6 failed to authenticate as 'admin{n}'", count: 1, want: "ami_failure"},
		"hgc":  {parser: "mor", fields: []event.Field{{Key: "hangup_cause", Value: "200"}, {Key: "source", Value: "198.51.100.6"}}, count: 20, want: "hgc_200", spoofable: true},
		"mor":  {parser: "mor", fields: []event.Field{{Key: "action", Value: "api_failure"}, {Key: "source", Value: "198.51.100.6"}}, count: 1, want: "mor_api"},
		"hack": {parser: "mor", fields: []event.Field{{Key: "action", Value: "hacking_attempt"}, {Key: "source", Value: "198.51.100.6"}}, count: 1, want: "mor_hacking_attempt", alert: true},
		"rt by syslog": {parser: "request-tracker", program: "RT", line: "[4711] FAILED LOGIN for root{n} from 198.51.100.6 (/opt/rt5/Web.pm:831)", count: 5, want: "rt_guessing", length: 10 * time.Minute,
			harmless: []string{"[4711] Successful login for root from 198.51.100.6 (/opt/rt5/Web.pm:871)"}},
		"rt in a file": {parser: "request-tracker", layout: time.ANSIC, line: "[4711] [{t}] [error]: FAILED LOGIN for root{n} from 198.51.100.6 (/opt/rt5/Web.pm:831)", count: 5, want: "rt_guessing", alert: true},
		"mariadb":      {parser: "mariadb", layout: iso, line: "{t} 12{n} [Warning] Access denied for user 'root'@'198.51.100.6' (using password: YES)", count: 5, want: "mariadb_guessing", alert: true},
		"apache": {parser: "apache-error", layout: "Mon Jan 02 15:04:05.000000 2006", count: 10, want: "web_guessing", length: 10 * time.Minute,
			line: `[{t}] [auth_basic:error] [pid 4711] [client 198.51.100.6:4{n}] AH01617: user bob: authentication failure for "/admin": Password Mismatch`},
		"nginx": {parser: "nginx-access", layout: clf, line: `198.51.100.6 - bob [{t}] "GET /{n} HTTP/1.1" 401 179 "-" "curl"`, count: 10, want: "web_guessing", length: 10 * time.Minute,
			harmless: []string{`198.51.100.6 - - [{t}] "GET /{n} HTTP/1.1" 401 179 "-" "curl"`, `198.51.100.6 - bob [{t}] "GET /{n} HTTP/1.1" 200 179 "-" "curl"`}},
		"scan by HTTP/0.9": {parser: "nginx-access", layout: clf, line: `198.51.100.6 - - [{t}] "GET /.env?{n}" 400 12 "-" "-"`, count: 20, want: "suspicious_urls", length: time.Hour},
		"scan in a log":    {parser: "apache-access", layout: clf, line: `198.51.100.6 - - [{t}] "GET /.env?{n} HTTP/1.1" 200 12 "-" "-"`, count: 20, want: "suspicious_urls", length: time.Hour},
	} {
		t.Run(name, func(t *testing.T) { r.run(t) })
	}
}

func (r replayed) run(t *testing.T) {
	for _, line := range r.harmless {
		if got, told := r.feed(t, line, 60, time.Second); len(got) > 0 || told != "" {
			t.Errorf("harmless %s gives %v, told %q", line, got, told)
		}
	}
	if got, told := r.feed(t, r.line, r.count-1, time.Second); len(got) > 0 || told != "" {
		t.Errorf("%d give %v, told %q", r.count-1, got, told)
	}
	if r.count > 1 {
		if got, told := r.feed(t, r.line, r.count, 11*time.Minute/time.Duration(r.count-1)); len(got) > 0 || told != "" {
			t.Errorf("%d in eleven minutes give %v, told %q", r.count, got, told)
		}
	}
	got, told := r.feed(t, r.line, r.count, time.Second)
	if !strings.Contains(told, r.want) {
		t.Errorf("told: %q, want %s", told, r.want)
	}
	if r.alert {
		if len(got) > 0 {
			t.Errorf("it gives %v, want nobody banned", got)
		}
		return
	}
	if len(got) != 1 || got[0].Origin != "detection:"+r.want || got[0].Target.Short() != "198.51.100.6" || got[0].For != r.length || got[0].Spoofable != r.spoofable || got[0].Action != decision.Ban {
		t.Errorf("it gives %+v, want a ban by %s for %s, spoofable %t", got, r.want, r.length, r.spoofable)
	}
}

// feed has n lines parsed and judged.
func (r replayed) feed(t *testing.T, line string, n int, step time.Duration) (all []decision.Proposal, told string) {
	t.Helper()
	b := newBench(t, detect.Config{})
	parsers, err := detect.LoadParsers(detect.Config{})
	if err != nil {
		t.Fatal(err)
	}
	parser, err := parsers.For([]string{r.parser}, time.UTC, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		at := replayAt.Add(time.Duration(i) * step)
		text := strings.NewReplacer("{t}", at.Format(r.layout), "{n}", fmt.Sprintf("%03d", i)[1:]).Replace(line)
		record := ingest.Record{Source: "log", Text: text, Fields: r.fields}
		if r.layout == "" {
			record.Time, record.Text = at, fmt.Sprint(text, i)
		}
		if r.program != "" {
			record.Program, record.Message, record.Text = r.program, text, text
		}
		e, ok := parser.Parse(&record, at)
		if !ok {
			t.Fatalf("no parser knows %q", text)
		}
		all = append(all, b.judge.Parsed("log", &e, at)...)
	}
	return all, b.names()
}

// TestFirewallAttacks: five different attacks ban, one that is tried again and again does not, nor do pictures in a page.
func TestFirewallAttacks(t *testing.T) {
	b := newBench(t, detect.Config{})
	refused := func(i int, from, rules string, more ...event.Field) []decision.Proposal {
		return b.own(event.Event{Time: replayAt.Add(time.Duration(i) * time.Second), Class: event.Detection, Action: "waf", Outcome: event.Refused,
			Source: netip.MustParseAddr(from), Site: "desk", Fields: append([]event.Field{{Key: "rules", Value: rules}}, more...)})
	}
	for i := range 50 {
		if got := refused(i, "203.0.113.1", "942100,942190"); len(got) > 0 {
			t.Fatalf("the same attack %d times: %+v, want no ban", i+1, got)
		}
		if got := refused(i, "203.0.113.2", fmt.Sprint(942000+i), event.Field{Key: "embedded", Value: "true"}); len(got) > 0 {
			t.Fatalf("pictures of a page: %+v, want no ban", got)
		}
	}
	var all []decision.Proposal
	for i := range 5 {
		if all = append(all, refused(i, "203.0.113.3", fmt.Sprint(942000+i))...); (len(all) > 0) != (i == 4) {
			t.Fatalf("after %d different attacks: %d proposals", i+1, len(all))
		}
	}
	if all[0].Action != decision.Ban || all[0].For != time.Hour {
		t.Errorf("proposal %+v, want a ban of an hour", all[0])
	}
}
