package ingest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/ingest"
)

// appendTo adds text to a file.
func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// records reads a log of a format in one go.
func records(t *testing.T, f ingest.Format, n int, text string) ([]ingest.Record, ingest.Health) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.log")
	appendTo(t, path, text)
	r := newReader(t, path)
	r.format = f
	r.start()
	r.wait(n)
	r.stop()
	if len(r.records) != n {
		t.Errorf("%d records, want %d: %+v", len(r.records), n, r.lines)
	}
	return r.records, r.source.Health()
}

func field(r ingest.Record, key string) string {
	var all []string
	for _, f := range r.Fields {
		if f.Key == key {
			all = append(all, f.Value)
		}
	}
	return strings.Join(all, ",")
}

// TestDocker: parts of a line are joined by stream, over a restart too, and a line without end is cut.
func TestDocker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a-json.log")
	part := func(text, stream string) string {
		return fmt.Sprintf(`{"log":%q,"stream":%q,"time":"2026-11-25T18:57:50.123456789Z"}`, text, stream) + "\n"
	}
	r := newReader(t, path)
	r.format = ingest.Docker
	appendTo(t, path, part("one\n", "stdout")+part("a", "stdout")+part("ERR ", "stderr")+part("b", "stdout")+part("two\n", "stderr"))
	r.start()
	r.wait(2)
	r.stop()
	appendTo(t, path, part("c\r\n", "stdout")+"no json\n"+`{"log":"x\n","log":"forged\n","stream":"stdout","time":"2026-11-25T18:57:50Z"}`+"\n")
	r.start()
	r.wait(5)
	if got, want := strings.Join(r.lines[:4], "|"), "one|ERR two|abc|no json"; got != want {
		t.Errorf("lines are %q, want %q", got, want)
	}
	if got := r.records[2].Time.Format(time.RFC3339Nano); got != "2026-11-25T18:57:50.123456789Z" || field(r.records[1], "stream") != "stderr" {
		t.Errorf("record is %+v", r.records[2])
	}
	if h := r.source.Health(); h.Malformed != 2 {
		t.Errorf("%d malformed, want 2", h.Malformed)
	}
	r.stop()
	chunk := strings.Repeat("y", 16<<10)
	var long strings.Builder
	for range ingest.MaxLine/len(chunk) + 10 {
		long.WriteString(part(chunk, "stdout"))
	}
	appendTo(t, path, long.String()+part("end\n", "stdout")+part("next\n", "stdout"))
	r.start()
	r.wait(7)
	if len(r.lines[5]) != ingest.MaxLine || !r.records[5].Cut || r.lines[6] != "next" {
		t.Errorf("a line without end became %d bytes, then %.20q", len(r.lines[5]), r.lines[6])
	}
}

func TestEVE(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)
	got, health := records(t, ingest.EVE, 6, `{"timestamp":"2026-11-25T18:57:50.123456+0100","event_type":"alert","src_ip":"198.51.100.6","alert":{"action":"blocked","signature":"ET \u0022x\u0022"},"a":[1,{"b":null,"c":true}]}
{"timestamp":"2026-11-25T18:57:50.123456+0100","src_ip":"198.51.100.6","src_ip":"203.0.113.9"}
{"a.b":1,"a":{"b":2}}
`+deep+"\n"+`{"a":1} x`+"\n"+`{"src_ip":"198.51.100.6`+"\n")
	r := got[0]
	if field(r, "alert.signature") != `ET "x"` || field(r, "a.0") != "1" || field(r, "a.1.c") != "true" || !r.Time.Equal(time.Date(2026, 11, 25, 17, 57, 50, 123456000, time.UTC)) {
		t.Errorf("record is %+v", r)
	}
	for _, r := range got[1:] {
		if !r.Malformed || len(r.Fields) > 0 || r.Text == "" {
			t.Errorf("record is %+v, want the text alone", r)
		}
	}
	if health.Malformed != 5 {
		t.Errorf("%d malformed, want 5", health.Malformed)
	}
}

// TestAuditd: records of one event become one, whether they stand together or not; an end that does not come is not waited for.
func TestAuditd(t *testing.T) {
	got, health := records(t, ingest.Auditd, 6, `type=SYSCALL msg=audit(1764097070.100:10): arch=c000003e syscall=59 success=yes exe="/bin/sh" auid=1001 key="exec"
type=SYSCALL msg=audit(1764097070.200:11): arch=c000003e syscall=2 success=no exe="/bin/cat" auid=1002
type=EXECVE msg=audit(1764097070.100:10): argc=2 a0="sh" a1=2D632066616C7365
type=CWD msg=audit(1764097070.200:11): cwd="/root"
type=PATH msg=audit(1764097070.200:11): item=0 name="/etc/shadow"
type=PATH msg=audit(1764097070.200:11): item=1 name=2F746D702F610A62
type=PROCTITLE msg=audit(1764097070.100:10): proctitle=7368002D63
type=EOE msg=audit(1764097070.200:11):
type=USER_LOGIN msg=audit(1764097070.300:12): pid=1 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct="ro=ot" exe="/usr/sbin/sshd" hostname=? addr=198.51.100.6 terminal=ssh res=failed'`+"\x1d"+`UID="root"
node=shop type=USER_AUTH msg=audit(1764097070.400:13): pid=1 uid=0 msg='op=PAM:authentication acct=65766520616464723D3230332E302E3131332E39 exe="/usr/sbin/sshd" hostname=198.51.100.6 addr=198.51.100.6 terminal=ssh res=failed'
not an audit record
type=SYSCALL msg=audit(1764097070.500:14): arch=c000003e exe="/bin/true"
`)
	want := []string{"SYSCALL,EXECVE,PROCTITLE", "SYSCALL,CWD,PATH,PATH", "USER_LOGIN", "USER_AUTH", "", "SYSCALL"}
	for i, w := range want {
		if g := field(got[i], "type"); g != w {
			t.Errorf("record %d is of %q, want %q: %q", i, g, w, got[i].Text)
		}
	}
	for _, c := range []struct {
		i               int
		key, wantedText string
	}{{0, "a1", "-c false"}, {0, "proctitle", "sh -c"}, {1, "name", "/etc/shadow"}, {1, "path.name", "/tmp/a\nb"}, {2, "acct", "ro=ot"}, {2, "addr", "198.51.100.6"},
		{2, "res", "failed"}, {2, "UID", "root"}, {3, "acct", "eve addr=203.0.113.9"}, {3, "addr", "198.51.100.6"}, {3, "node", "shop"}} {
		if g := field(got[c.i], c.key); !strings.Contains(g, c.wantedText) {
			t.Errorf("record %d has %s=%q, want %q", c.i, c.key, g, c.wantedText)
		}
	}
	if health.Malformed != 1 || !got[0].Time.Equal(time.UnixMilli(1764097070100)) {
		t.Errorf("health is %+v, time is %s", health, got[0].Time)
	}
}

// TestAuditdCaps: what a stranger can make the kernel write without end is given on in parts.
func TestAuditdCaps(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "type=SYSCALL msg=audit(1764097070.100:%d): exe=\"/bin/x\"\n", i) // none ends
	}
	for range 200 {
		b.WriteString("type=PATH msg=audit(1764097070.100:5000): name=\"" + strings.Repeat("x", 4000) + "\"\n")
	}
	lines := 0
	got, _ := records(t, ingest.Auditd, 1000+12, b.String())
	for _, r := range got {
		lines += strings.Count(r.Text, "\n") + 1
	}
	if lines != 1200 {
		t.Errorf("%d lines came out, want 1200", lines)
	}
}

func TestFieldParsers(t *testing.T) {
	for _, c := range []struct {
		format       ingest.Format
		parser, text string
		want         string
	}{
		{ingest.EVE, "suricata", `{"timestamp":"2026-11-25T18:57:50.0+0000","event_type":"alert","src_ip":"198.51.100.6","alert":{"action":"blocked"},"http":{"http_user_agent":"\",\"src_ip\":\"203.0.113.9"}}`,
			"alert|blocked|unknown|198.51.100.6||2026-11-25 18:57:50"},
		{ingest.Auditd, "auditd", `type=USER_LOGIN msg=audit(1764097070.300:12): pid=1 msg='op=login acct="root" exe="/usr/sbin/sshd" hostname=? addr=198.51.100.6 terminal=ssh res=failed'`,
			"sign-in|sign-in|failure|198.51.100.6|root|2025-11-25 18:57:50"},
		{ingest.JSON, "json", `{"time":"2026-11-25T18:57:50Z","remote_addr":"198.51.100.6","user":"x\",\"remote_addr\":\"203.0.113.9","method":"GET","status":401}`,
			`http|GET|unknown|198.51.100.6|x","remote_addr":"203.0.113.9|2026-11-25 18:57:50`},
		{ingest.JSON, "mor", `{"time":"2026-11-25T18:57:50Z","hangup_cause":200,"source":"198.51.100.6","user":"7"}`, "hgc-200|unauthorised-call|failure|198.51.100.6|7|2026-11-25 18:57:50"},
		{ingest.JSON, "mor", `{"time":"2026-11-25T18:57:50Z","action":"hacking_attempt","source":"198.51.100.6"}`, "hacking-attempt|hacking-attempt|failure|198.51.100.6||2026-11-25 18:57:50"},
	} {
		got, _ := records(t, c.format, 1, c.text+"\n")
		e, ok := parser(t, false, c.parser).Parse(&got[0], now)
		if !ok || show(e) != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, show(e), c.want)
		}
	}
}

// FuzzFormats: whatever stands in a log, each line of it comes out again, as it was or as part of a group.
func FuzzFormats(f *testing.F) {
	for _, s := range []string{`{"log":"a\n","stream":"stdout","time":"2026-11-25T18:57:50Z"}`, `{"a":{"b":[1,2]},"timestamp":"2026-11-25T18:57:50.1+0100"}`,
		`type=USER_LOGIN msg=audit(1764097070.300:12): msg='acct="x" res=failed'`, "\x00\xff", `{"a":"\ud800"}`, tracedHead(30) + "\nREGISTER x SIP/2.0\r\na: b\r\n\r\n\n[x] y", oldHead + "\nREGISTER x SIP/2.0\n<------------->\n[2026-11-25 18:57:50] NOTICE[1] a.c: x", `[]`, `{"a":1,"a":2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []ingest.Format{ingest.Plain, ingest.JSON, ingest.EVE, ingest.Docker, ingest.Auditd, ingest.Asterisk, ingest.AsteriskJSON} {
			ingest.ReadFormat(t, format, text)
		}
	})
}
