package ingest_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
	"github.com/doorward/doorward/rules"
)

var now = time.Date(2026, 11, 25, 19, 0, 0, 0, time.UTC)

func load(t testing.TB) *ingest.Parsers {
	t.Helper()
	p, err := ingest.LoadParsers(rules.Parsers())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parser(t testing.TB, keep bool, names ...string) *ingest.Parser {
	t.Helper()
	p, err := load(t).For(names, time.UTC, keep)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func show(e ingest.Parsed) string {
	source := ""
	if e.Source.IsValid() {
		source = e.Source.String()
	}
	return fmt.Sprintf("%s|%s|%s|%s|%s|%s", e.Pattern, e.Action, e.Outcome, source, e.User, e.Time.UTC().Format("2006-01-02 15:04:05"))
}

// TestReplay reads what testdata/parsers/NAME.log holds: a line of a log, and below it behind "=> " what it says, as
// PATTERN|ACTION|OUTCOME|SOURCE|USER|TIME; "=> unknown" where no pattern may know it.
func TestReplay(t *testing.T) {
	tested := map[string]bool{}
	files, err := filepath.Glob("testdata/parsers/*.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".log")
		tested[name] = true
		t.Run(name, func(t *testing.T) {
			p := parser(t, false, name)
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var line string
			in := bufio.NewScanner(f)
			for in.Scan() {
				want, isWant := strings.CutPrefix(in.Text(), "=> ")
				if !isWant {
					line = in.Text()
					continue
				}
				got := "unknown"
				if e, ok := p.Parse(&ingest.Record{Text: strings.NewReplacer("␊", "\n", "␍", "\r").Replace(line)}, now); ok {
					got = show(e)
				}
				if got != want {
					t.Errorf("%s\n got %s\nwant %s", line, got, want)
				}
			}
		})
	}
	byFields := map[string]bool{"suricata": true, "auditd": true, "json": true, "mor": true} // TestFieldParsers
	for _, name := range load(t).Names() {
		if !tested[name] && !byFields[name] {
			t.Errorf("parser %s has no testdata/parsers/%s.log", name, name)
		}
	}
}

// third is an address that never sent anything; only forged texts name it.
const third, sender = "203.0.113.9", "198.51.100.6"

// forged are texts that a stranger may put where a program writes what it was sent.
func forged() []string {
	parts := []string{
		"x from " + third, "x from " + third + " port 22 ssh2", "x from " + third + " port 22", third, "user from " + third + " port 1 ssh2: RSA SHA256:abc",
		"a " + third + " port 5 [preauth]", "invalid user root from " + third + " port 22 ssh2",
		"x'@'" + third + "' (using password: YES)", "x'@'" + third, third + " failed to authenticate as 'x'",
		"x' failed for '" + third + ":5060' - Wrong password", "' failed for '" + third + "' (callid: 1) - No matching endpoint found",
		`x",RemoteAddress="IPV4/UDP/` + third + `/5060"`, `x",RemoteAddress="IPV4/UDP/` + third + `/5060",Challenge="`,
		"1) to extension '2' rejected because extension not found in context 'x'. (" + third + ":5060) to extension '",
		"x' (" + third + ":5060) to extension '5", "x' (from " + third + ")",
		`x": password mismatch, client: ` + third + `, server: x, request: "GET / HTTP/1.1", host: "x"`, `x, client: ` + third + `, server: y`,
		"x] [client " + third + ":1] AH01617: user y: authentication failure for \"/\": Password Mismatch", "[client " + third + ":1]",
		`- - [25/Nov/2026:18:57:50 +0000] "GET / HTTP/1.1" 401 1 "-" "x"`, third + ` - - [25/Nov/2026:18:57:50 +0000] "GET / HTTP/1.1" 401 1`,
		"FAILED LOGIN for root from " + third, "root from " + third + " (/opt/rt5/lib/RT/Interface/Web.pm:831)",
		"x logname= uid=0 euid=0 tty=ssh ruser= rhost=" + third + "  user=root", "rhost=" + third,
		"<--- Received SIP request (9 bytes) from UDP:" + third + ":5060 --->\nREGISTER sip:x SIP/2.0\nUser-Agent: sipcli\n", "x} <script>: sip REGISTER from udp:" + third + ":5060 ua=sipcli",
		"<--- SIP read from UDP:" + third + ":5060 --->#012REGISTER sip:x SIP/2.0#012User-Agent: sipcli#012", "NOTICE: <script>: sip REGISTER from udp:" + third + ":5060 ua=sipcli",
		`[local] ` + third, `x" FATAL:  password authentication failed for user "y`, "]: " + third + " ",
	}
	var all []string
	for _, a := range parts {
		all = append(all, a, " "+a, a+" ", "\t"+a, `\`+a, `"`+a+`"`, `'`+a+`'`, a+`\`)
		for _, b := range parts {
			all = append(all, a+" "+b)
		}
	}
	return all
}

// slots are lines as the programs write them, with § where the sender's address stands and % where a stranger's text does. escape is what the program does to it.
var slots = []struct {
	parser string
	line   string
	escape func(string) string
}{
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Failed password for invalid user % from § port 9 ssh2", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Failed password for % from § port 9 ssh2", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Failed publickey for invalid user % from § port 9 ssh2: RSA SHA256:abc", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Failed publickey for invalid user % from § port 9 ssh2: RSA-CERT SHA256:abc ID % (serial 0) CA RSA SHA256:def", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Failed publickey for bob from § port 9 ssh2: RSA-CERT SHA256:abc ID % (serial 0) CA RSA SHA256:def", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Invalid user % from § port 9", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Invalid user % from §", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Connection closed by invalid user % § port 9 [preauth]", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Disconnected from authenticating user % § port 9 [preauth]", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Disconnecting invalid user % § port 9: Change of username or service not allowed: (%,ssh-connection) -> (%,ssh-connection) [preauth]", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Received disconnect from § port 9:11: % [preauth]", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: error: maximum authentication attempts exceeded for invalid user % from § port 9 ssh2 [preauth]", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: error: PAM: Authentication failure for illegal user % from §", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: User % from § not allowed because not listed in AllowUsers", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Bad protocol version identification '%' from § port 9", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: Unable to negotiate with § port 9: no matching host key type found. Their offer: % [preauth]", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: banner exchange: Connection from § port 9: %", nil},
	{"sshd", "Nov 25 18:57:50 h sshd[1]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=§  user=%", nil},
	{"apache-access", `§ - % [25/Nov/2026:18:57:50 +0000] "%" 401 9 "%" "%"`, escapeQuotes},
	{"apache-access", `shop:443 § - % [25/Nov/2026:18:57:50 +0000] "GET /% HTTP/1.1" 404 9 "%" "%"`, escapeQuotes},
	{"apache-access", `§ - % [25/Nov/2026:18:57:50 +0000] "GET /% HTTP/1.1" 404 9`, escapeQuotes},
	{"nginx-access", `§ - % [25/Nov/2026:18:57:50 +0000] "%" 401 9 "%" "%"`, escapeHex},
	{"apache-error", `[Wed Nov 25 18:57:50.123456 2026] [auth_basic:error] [pid 1:tid 2] [client §:9] AH01617: user %: authentication failure for "/%": Password Mismatch, referer: %`, escapeQuotes},
	{"apache-error", `[Wed Nov 25 18:57:50.123456 2026] [auth_basic:error] [pid 1] [client §:9] AH01618: user % not found: /%`, escapeQuotes},
	{"apache-error", `[Wed Nov 25 18:57:50.123456 2026] [core:error] [pid 1] [client §:9] AH00126: Invalid URI in request %`, escapeQuotes},
	{"nginx-error", `2026/11/25 18:57:50 [error] 1#1: *1 user "%": password mismatch, client: §, server: x, request: "GET /% HTTP/1.1", host: "%", referrer: "%"`, noColon},
	{"nginx-error", `2026/11/25 18:57:50 [error] 1#1: *1 user "%" was not found in "/etc/pw", client: §, server: x, request: "GET /% HTTP/1.1", host: "%", referrer: "%"`, noColon},
	{"nginx-error", `2026/11/25 18:57:50 [error] 1#1: *1 open() "/var/www/%" failed (2: No such file or directory), client: §, server: x, request: "GET /% HTTP/1.1", host: "%"`, nil},
	{"mariadb", `2026-11-25 18:57:50 12 [Warning] Access denied for user '%'@'§' (using password: YES)`, nil},
	{"mariadb", `2026-11-25 18:57:50 12 [Warning] Access denied for user '%'@'§' to database '%'`, nil},
	{"mariadb", `2026-11-25 18:57:50 12 [Warning] Aborted connection 12 to db: '%' user: '%' host: '§' (Got an error)`, nil},
	{"postgresql", `2026-11-25 18:57:50.123 UTC [12] %@% FATAL:  password authentication failed for user "%"`, nil},
	{"postgresql-host", `2026-11-25 18:57:50.123 UTC [12] § %@% FATAL:  password authentication failed for user "%"`, nil},
	{"postgresql-host", `2026-11-25 18:57:50.123 UTC [12] [local] %@% FATAL:  password authentication failed for user "%"`, nil},
	{"postgresql-host", `2026-11-25 18:57:50.123 UTC [12] § %@% FATAL:  no pg_hba.conf entry for host "§", user "%", database "%", no encryption`, nil},
	{"request-tracker", `[12] [Wed Nov 25 18:57:50 2026] [error]: FAILED LOGIN for % from § (/opt/rt5/sbin/../lib/RT/Interface/Web.pm:831)`, nil},
	{"request-tracker", `Nov 25 18:57:50 h RT[12]: [12] FAILED LOGIN for % from § (/opt/rt5/sbin/../lib/RT/Interface/Web.pm:831)`, nil},
	{"asterisk", `[Nov 25 18:57:50] NOTICE[12] chan_sip.c: Registration from '%' failed for '§:5060' - Wrong password`, nil},
	{"asterisk", `[Nov 25 18:57:50] NOTICE[12][C-00000001] chan_sip.c: Registration from '%' failed for '§' - No matching peer found`, nil},
	{"asterisk", `[2026-11-25 18:57:50] NOTICE[12] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '%' failed for '§:5060' (callid: %) - No matching endpoint found`, nil},
	{"asterisk", `[2026-11-25 18:57:50] NOTICE[12][C-00000001] chan_sip.c: Call from '%' (§:5060) to extension '%' rejected because extension not found in context 'default'.`, nil},
	{"asterisk", `[2026-11-25 18:57:50] NOTICE[12] manager.c: § failed to authenticate as '%'`, nil},
	{"asterisk", `[2026-11-25 18:57:50] NOTICE[12] manager.c: § tried to authenticate with nonexistent user '%'`, nil},
	{"asterisk", `[2026-11-25 18:57:50] SECURITY[12] res_security_log.c: SecurityEvent="InvalidPassword",EventTV="2026-11-25T18:57:50.000+0000",Severity="Error",Service="SIP",EventVersion="2",AccountID="%",SessionID="0x7f",LocalAddress="IPV4/UDP/192.0.2.1/5060",RemoteAddress="IPV4/UDP/§/5060",Challenge="%",ReceivedChallenge="%",ReceivedHash="%"`, nil},
	{"asterisk", `[2026-11-25 18:57:50] VERBOSE[12][C-00000001] pbx.c: Executing [%@default:1] NoOp("SIP/x", "%") in new stack`, nil},
	{"asterisk", `[2026-11-25 18:57:50] WARNING[12] app.c: %`, nil},
	{"asterisk", "[2026-11-25 18:57:50] VERBOSE[12] res_pjsip_logger.c: <--- Received SIP request (420 bytes) from UDP:§:5060 --->\nREGISTER sip:% SIP/2.0\nUser-Agent: %\nFrom: %\n\n%", nil},
	{"asterisk", "[2026-11-25 18:57:50] VERBOSE[12] res_pjsip_logger.c: <--- Transmitting SIP response (420 bytes) to UDP:§:5060 --->\nSIP/2.0 401 Unauthorized\nFrom: %\n\n%", nil},
	{"asterisk", "[2026-11-25 18:57:50] VERBOSE[12] chan_sip.c: \n<--- SIP read from TCP:§:5060 --->\nREGISTER sip:% SIP/2.0\nUser-Agent: %\nFrom: %\n\n%\n<------------->", nil},
	{"asterisk", "Nov 25 18:57:50 h asterisk[12]: VERBOSE[12]: res_pjsip_logger.c:60 in logging_on_rx_msg: <--- Received SIP request (420 bytes) from UDP:§:5060 --->#012REGISTER sip:% SIP/2.0#015#012User-Agent: %#015#012#015#012%", nil},
	{"kamailio", "Nov 25 18:57:50 h kamailio[12]: NOTICE: {1 % REGISTER %} <script>: sip REGISTER from udp:§:5060 ua=%", nil},
	{"kamailio", "Nov 25 18:57:50 h kamailio[12]: NOTICE: {1 1 REGISTER x} <script>: sip REGISTER from udp:§:5060 ua=%", nil},
	{"kamailio", "Nov 25 18:57:50 h kamailio[12]: NOTICE: <script>: sip REGISTER from udp:§:5060 ua=%", nil},
	{"kamailio", "Nov 25 18:57:50 h kamailio[12]: NOTICE: {1 % REGISTER %} <core> [core/parser/parse_fline.c:271]: parse_first_line(): parse error: %", nil},
}

func escapeQuotes(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`).Replace(s)
}
func escapeHex(s string) string {
	return strings.NewReplacer(`\`, `\x5C`, `"`, `\x22`, "\t", `\x09`).Replace(s)
}
func noColon(s string) string { return strings.ReplaceAll(s, ":", "") } // see the comment in TestForged

// TestForged: whatever a stranger writes where a program logs it, no event names an address that did not send anything. In
// nginx's line the text without colons is what basic authentication leaves of a user name.
func TestForged(t *testing.T) {
	named := map[string]int{}
	texts := forged()
	for _, slot := range slots {
		p := parser(t, true, slot.parser)
		for _, text := range texts {
			for _, other := range []string{"x", text} { // in one place, and in all
				if slot.escape != nil {
					text = slot.escape(text)
				}
				line := strings.ReplaceAll(slot.line, "§", sender)
				line = strings.Replace(line, "%", text, 1)
				line = strings.ReplaceAll(line, "%", other)
				e, ok := p.Parse(&ingest.Record{Text: line}, now)
				if !ok {
					t.Fatalf("%s lost %q", slot.parser, line)
				}
				if e.Source.IsValid() && e.Source.String() != sender {
					t.Errorf("%s, %s: %q names %s", slot.parser, e.Pattern, line, e.Source)
				}
				if e.Source.IsValid() {
					named[slot.parser]++
				}
			}
		}
		for i := range 8 { // and in the last place alone
			line := strings.ReplaceAll(slot.line, "§", sender)
			at := strings.LastIndex(line, "%")
			for _, text := range texts {
				if slot.escape != nil {
					text = slot.escape(text)
				}
				l := strings.ReplaceAll(line[:at], "%", strings.Repeat("y", i)) + text + line[at+1:]
				if e, _ := p.Parse(&ingest.Record{Text: l}, now); e.Source.IsValid() && e.Source.String() != sender {
					t.Errorf("%s, %s: %q names %s", slot.parser, e.Pattern, l, e.Source)
				}
			}
		}
	}
	for _, slot := range slots {
		if named[slot.parser] == 0 && slot.parser != "postgresql" {
			t.Errorf("%s named no source at all", slot.parser)
		}
	}
}

// TestOddLines: nothing is lost in silence, whatever the bytes are.
func TestOddLines(t *testing.T) {
	for _, name := range load(t).Names() {
		p := parser(t, true, name)
		lines := []string{"", " ", "\x00", "\xff\xfe", strings.Repeat("a", 1<<20), strings.Repeat(`"`, 1<<16), strings.Repeat("[", 1<<16), strings.Repeat(" from ", 1<<14),
			"Nov 25 18:57:50 h sshd[1]: Failed password for \x00\xff from 198.51.100.6 port 9 ssh2"}
		for _, l := range lines {
			if e, ok := p.Parse(&ingest.Record{Text: l}, now); !ok || e.Time.IsZero() || e.Raw != l {
				t.Errorf("%s made %v of %.40q, want an event", name, e, l)
			}
		}
		if c := p.Counts(); c.Parsed+c.Unknown != uint64(len(lines)) {
			t.Errorf("%s counted %+v, want %d", name, c, len(lines))
		}
	}
}

// TestDates: a date without a year is the latest that is not after now and a day; clocks that jump lose nothing.
func TestDates(t *testing.T) {
	p := parser(t, true, "sshd")
	for _, c := range []struct{ now, line, want string }{
		{"2026-11-25T19:00:00Z", "Nov 25 18:57:50", "2026-11-25T18:57:50Z"},
		{"2026-01-01T00:00:05Z", "Dec 31 23:59:59", "2025-12-31T23:59:59Z"},
		{"2026-12-31T23:59:59Z", "Jan  1 00:00:01", "2027-01-01T00:00:01Z"}, // the clock was set back
		{"2026-11-25T19:00:00Z", "Nov 27 18:57:50", "2025-11-27T18:57:50Z"},
		{"2026-03-01T12:00:00Z", "Feb 29 12:00:00", "2024-02-29T12:00:00Z"},
		{"2028-03-01T12:00:00Z", "Feb 29 12:00:00", "2028-02-29T12:00:00Z"},
		{"2026-11-25T19:00:00Z", "2026-11-25T18:57:50.123456+01:00", "2026-11-25T17:57:50.123456Z"},
		{"2026-11-25T19:00:00Z", "2099-11-25T18:57:50Z", "2099-11-25T18:57:50Z"}, // the event log judges it
		{"2026-11-25T19:00:00Z", "Nov 31 18:57:50", "2026-11-25T19:00:00Z"},      // none: the time of reading
		{"2026-11-25T19:00:00Z", "Nov 25 25:57:50", "2026-11-25T19:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		e, ok := p.Parse(&ingest.Record{Text: c.line + " h sshd[1]: Invalid user x from 198.51.100.6 port 9"}, at)
		if got := e.Time.UTC().Format(time.RFC3339Nano); !ok || got != c.want {
			t.Errorf("%s read at %s is %s, want %s", c.line, c.now, got, c.want)
		}
	}
	if c := p.Counts(); c.Undated != 2 || c.Unknown != 2 {
		t.Errorf("counts are %+v, want 2 without a date", c)
	}
}

func TestSigmaNames(t *testing.T) {
	p := parser(t, false, "apache-access")
	e, ok := p.Parse(&ingest.Record{Text: `shop.example:443 ::ffff:198.51.100.6 - bob [25/Nov/2026:18:57:50 +0100] "GET /a/b?c=d HTTP/1.1" 401 12 "-" "curl/8"`}, now)
	if !ok {
		t.Fatal("not known")
	}
	want := map[string]string{"c-ip": sender, "cs-method": "GET", "cs-uri-stem": "/a/b", "cs-uri-query": "c=d", "sc-status": "401", "cs-user-agent": "curl/8", "cs-username": "bob"}
	for _, f := range e.Fields {
		if w, ok := want[f.Key]; ok && w == f.Value {
			delete(want, f.Key)
		}
	}
	if len(want) > 0 || e.Site != "shop.example" || e.Class != event.HTTP || e.Action != "GET" || e.Logsource.Category != "webserver" {
		t.Errorf("event is %+v, misses %v", e, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range slots {
		f.Add(strings.ReplaceAll(s.line, "§", sender))
	}
	all := load(f)
	var parsers []*ingest.Parser
	for _, name := range all.Names() {
		p, err := all.For([]string{name}, time.UTC, true)
		if err != nil {
			f.Fatal(err)
		}
		parsers = append(parsers, p)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, p := range parsers {
			if e, ok := p.Parse(&ingest.Record{Text: line}, now); !ok || e.Time.IsZero() || e.Raw != line {
				t.Errorf("%q became %+v", line, e)
			}
		}
	})
}

const sshLine = "Nov 25 18:57:50 shop sshd[12345]: Failed password for invalid user admin from 203.0.113.9 port 51234 ssh2"
const sshOther = "Nov 25 18:57:50 shop sshd[12345]: pam_unix(sshd:session): session opened for user deploy(uid=1001) by (uid=0)"
const webLine = `203.0.113.9 - - [25/Nov/2026:18:57:50 +0000] "GET /index.php?a=1 HTTP/1.1" 404 512 "https://example.org/" "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"`

// cpu is the CPU time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchmark(b *testing.B, name string, lines ...string) {
	p := parser(b, false, name)
	b.ReportAllocs()
	began := cpu()
	i := 0
	for ; b.Loop(); i++ {
		r := ingest.Record{Text: lines[i%len(lines)]}
		if _, ok := p.Parse(&r, now); !ok {
			b.Fatal("unknown")
		}
	}
	b.ReportMetric(float64(i)/(cpu()-began).Seconds(), "lines/cpu-s")
}

func BenchmarkSSHD(b *testing.B)   { benchmark(b, "sshd", sshLine, sshOther) }
func BenchmarkAccess(b *testing.B) { benchmark(b, "apache-access", webLine) }
