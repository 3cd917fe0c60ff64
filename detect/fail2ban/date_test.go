package fail2ban_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/fail2ban"
)

// dateScript asks the installed fail2ban for the dates of lines: one JSON object in, one out.
const dateScript = `
import sys, json, logging
logging.disable(logging.CRITICAL)
try:
    from fail2ban.server import datedetector as dd
    from fail2ban.server.utils import Utils
    from fail2ban.server.mytime import MyTime
except ImportError:
    sys.exit(3)
forms = list(dd.DateDetectorCache.DEFAULT_TEMPLATES)
clock = [0.0]
class Clock:
    time = staticmethod(lambda: clock[0])
dd.time = Clock
for line in sys.stdin:
    q = json.loads(line)
    dd.DD_patternCache = Utils.Cache(maxCount=1000, maxTime=3600)
    dd.DateDetectorCache.DEFAULT_TEMPLATES = list(forms)
    dd.DateDetector._defCache = dd.DateDetectorCache()
    out = {"error": "", "found": []}
    try:
        d = dd.DateDetector()
        if q["zone"]:
            d.default_tz = q["zone"]
        for p in q["patterns"] or []:
            d.appendTemplate(p)
    except Exception as e:
        out["error"] = str(e) or repr(e)
    else:
        for now, text in q["lines"]:
            clock[0] = now
            MyTime.setTime(now)
            try:
                m = d.matchTime(text)
            except Exception as e:
                out["found"].append("?")
                continue
            if m[0] is None:
                out["found"].append("none")
                continue
            s, e = m[0].start(1), m[0].end(1)
            at = lambda i: len(text[:i].encode())
            if s == e:
                out["found"].append("empty")
                continue
            try:
                t = d.getTime(text[s:e], m)
            except Exception:
                t = None
            out["found"].append("%d-%d %s" % (at(s), at(e), "invalid" if t is None else "%.3f" % t[0]))
    print(json.dumps(out))
`

type dateQuestion struct {
	Patterns []string `json:"patterns"`
	Zone     string   `json:"zone"`
	Lines    [][2]any `json:"lines"` // seconds of now, text
}

type dateAnswer struct {
	Error string   `json:"error"`
	Found []string `json:"found"`
}

// askDates puts questions to the installed fail2ban, with the time zone of the machine as given.
func askDates(t testing.TB, zone string, questions []dateQuestion) []dateAnswer {
	t.Helper()
	var in bytes.Buffer
	encoder := json.NewEncoder(&in)
	for _, q := range questions {
		if err := encoder.Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/usr/bin/python3", "-c", dateScript)
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	cmd.Env = append(os.Environ(), "TZ="+zone)
	out, err := cmd.Output()
	if err != nil {
		if _, err := os.Stat("/usr/lib/python3/dist-packages/fail2ban"); err != nil {
			t.Skipf("fail2ban is not installed: nothing can say whether the dates are its (%v)", err)
		}
		t.Fatalf("ask fail2ban: %v", err)
	}
	var all []dateAnswer
	decoder := json.NewDecoder(bytes.NewReader(out))
	for range questions {
		var a dateAnswer
		if err := decoder.Decode(&a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func location(t testing.TB, zone string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Skipf("no data of time zones on this machine: %v", err)
	}
	return l
}

// show is a match as dateScript writes it.
func show(m fail2ban.DateMatch, ok bool) string {
	switch {
	case !ok:
		return "none"
	case m.Start == m.End:
		return "empty"
	case m.Time.IsZero():
		return fmt.Sprintf("%d-%d invalid", m.Start, m.End)
	}
	return fmt.Sprintf("%d-%d %.3f", m.Start, m.End, float64(m.Time.UnixMicro())/1e6)
}

// compareDates asks both and reports the first differences of each question. It returns how many dates were found.
func compareDates(t *testing.T, zone string, questions []dateQuestion) (dates int) {
	t.Helper()
	for i, want := range askDates(t, zone, questions) {
		q := questions[i]
		d, err := fail2ban.NewDates(q.Patterns, fail2ban.DateOptions{Location: location(t, zone), Zone: q.Zone, Now: time.Now()})
		// fail2ban compiles with the first line and then fails with each one: said here at the beginning.
		broken := want.Error != "" || len(want.Found) > 0 && want.Found[0] == "?" && !slices.ContainsFunc(want.Found, func(s string) bool { return s != "?" })
		if (err != nil) != broken {
			t.Errorf("%q (%s): %v, fail2ban has %q", q.Patterns, q.Zone, err, want.Error)
			continue
		}
		if err != nil {
			continue
		}
		wrong := 0
		for j, line := range q.Lines {
			seconds := line[0].(float64)
			m, ok, err := d.Find(line[1].(string), time.UnixMicro(int64(seconds*1e6)))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(m, ok); got != want.Found[j] && want.Found[j] != "?" {
				if wrong++; wrong < 4 {
					t.Errorf("%q (%s) %s, line %d at %.0f, %q: %s, fail2ban has %s", q.Patterns, q.Zone, zone, j, seconds, line[1], got, want.Found[j])
				}
			}
			if ok && !m.Time.IsZero() {
				dates++
			}
		}
		if wrong > 3 {
			t.Errorf("%q: %d lines of %d differ", q.Patterns, wrong, len(q.Lines))
		}
	}
	return dates
}

var testNow = time.Date(2005, 8, 14, 11, 59, 59, 0, time.UTC)

// TestDatesOfSampleLogs reads the logs that fail2ban's own tests have, with their filters' kinds of patterns.
func TestDatesOfSampleLogs(t *testing.T) {
	files, err := filepath.Glob("/usr/lib/python3/dist-packages/fail2ban/tests/files/logs/*")
	if err != nil || len(files) == 0 {
		t.Skip("fail2ban's sample logs are not installed")
	}
	var questions []dateQuestion
	var mixed [][2]any
	for i, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		var lines [][2]any
		for j, line := range strings.Split(string(text), "\n") {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, [2]any{float64(testNow.Unix() + int64(j*(i%5)*10)), strings.ToValidUTF8(line, "\ufffd")})
			}
		}
		lines = lines[:min(len(lines), 250)]
		for _, patterns := range [][]string{nil, {"{^LN-BEG}"}, {"{DATE}"}, {`^[^\[]*\[({DATE})`, "{^LN-BEG}"}, {"{^LN-BEG}Epoch", "{^LN-BEG}"}, {`^<\d+>\d+\s+{DATE}`}} {
			questions = append(questions, dateQuestion{Patterns: patterns, Lines: lines})
		}
		mixed = append(mixed, lines...)
	}
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	mixed = mixed[:min(len(mixed), 3000)]
	for i := range mixed {
		mixed[i][0] = float64(testNow.Unix() + int64(i)*int64(i%7)*3)
	}
	for _, zone := range []string{"", "UTC+0200", "EST", "PST-0030"} {
		questions = append(questions, dateQuestion{Zone: zone, Lines: mixed})
	}
	if dates := compareDates(t, "Europe/Zurich", questions); dates < 5000 {
		t.Errorf("%d dates found: the logs were not read", dates)
	}
}

// formsOfDates are times written in many ways.
func formsOfDates(r *rand.Rand, at time.Time) string {
	layouts := []string{"Jan _2 15:04:05", "Jan 02 15:04:05", "Jan 2 15:04:05.000", "Mon Jan _2 15:04:05 2006", "Mon Jan 02 15:04:05.000 2006",
		"Mon Jan 02 2006 15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05.000000", "2006/01/02 15:04:05", "2006.01.02 15:04:05", "2006-01-02 15:04:05,000 -0700",
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05+0700", "02/01/2006 15:04:05", "02-01-06 15:04:05", "02/Jan/2006:15:04:05 -0700", "02-Jan-2006 15:04:05.000",
		"01/02/2006:15:04:05", "01-02-2006 15:04:05.000", "15:04:05", "<01/02/06@15:04:05>", "060102 15:04:05", "060102  3:04:05", "Jan 2, 2006 3:04:05 PM", "Jan-02-06 15:04:05",
		"20060102T150405", "20060102 150405", "MST Jan 02 15:04:05", "-0700 Jan 02 15:04:05", "PDT Mon Jan 02 15:04:05", "jan 02 15:04:05", "JAN 02 15:04:05",
		"2006-01-02 15:04:60", "Feb 29 15:04:05", "2006-02-30 15:04:05", "Jan 32 15:04:05", "2006-01-02 25:04:05"}
	switch r.IntN(12) {
	case 0:
		return fmt.Sprint(at.Unix())
	case 1:
		return fmt.Sprintf("%d.%03d", at.Unix(), r.IntN(1000))
	case 2:
		return fmt.Sprintf("audit(%d.%03d:%d)", at.Unix(), r.IntN(1000), r.IntN(100))
	case 3:
		return fmt.Sprintf("@40000000%08x%08x", at.Unix(), r.IntN(1<<30))
	}
	return at.Format(layouts[r.IntN(len(layouts))])
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// TestDatesInRandomLines writes dates of all forms at all places, several in a line, in logs that change their form.
func TestDatesInRandomLines(t *testing.T) {
	patterns := [][]string{nil, nil, nil, {"{^LN-BEG}"}, {"{DATE}"}, {"{DEFAULT}"}, {"EPOCH"}, {"{^LN-BEG}EPOCH"}, {"LEPOCH"}, {"^LEPOCH"}, {"{EPOCH}"}, {`^x\[{LEPOCH}\]`},
		{"TAI64N"}, {"^TAI64N"}, {"{NONE}"}, {"%Y-%m-%d %H:%M:%S"}, {"^%Y-%m-%d %H:%M:%S"}, {"{UNB}%H:%M:%S"}, {"**%H:%M:%S**"}, {`\[%d/%b/%Y:%H:%M:%S %z\]`},
		{`^[^\[]*\[({DATE})`, "{^LN-BEG}"}, {"%b %d %H:%M:%S", "{^LN-BEG}"}, {"%ExY-%Exm-%Exd", "%H:%M"}, {"%j %Y"}, {"%U %w %Y", "%W %a"}, {"%I:%M:%S %p"}, {"%l:%M %p"},
		{"%Exz %b %d %H:%M:%S"}, {"%ExZ %b %d %H:%M:%S"}, {"%c"}, {"%x %X"}, {"%A %B %d"}, {"%y%m%d"}, {"(%H):(%M)"}, {`(?P<Y>\d{4})-(?P<m>\d\d)`}, {"%d$"}, {"(?i)%H:%M:%S"},
		{"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S"}, {"{DEFAULT}", "%H:%M"}, {"%q"}, {"%Y %Y"}, {"%H:%M:%S", "EPOCH", "{^LN-BEG}"}, {"(%Y"}, {`%H:%M\b`}, {`%H:%M\s`}, {"(?:^|x)%H:%M"},
		{"{^LN-BEG}%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S"}, {"epoch"}, {"{date}"}, {`a{DATE}b`}, {`%%{EPOCH}`}, {"%k:%M", "{UNB}{DATE}"}, {`^\s*(%H:%M:%S)`}, {"%G %V %u %d"}}
	zones := []string{"", "", "UTC", "UTC+0230", "CEST", "GMT-05", "EST+01:30", "Z"}
	r := rand.New(rand.NewPCG(3, 4))
	for _, zone := range []string{"UTC", "Europe/Zurich", "America/St_Johns"} {
		var questions []dateQuestion
		for i := range 3 * len(patterns) {
			q := dateQuestion{Patterns: patterns[i%len(patterns)], Zone: pick(r, zones...)}
			now := time.Date(2005+r.IntN(20), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
			form := formsOfDates(r, now)
			for range 60 {
				now = now.Add(time.Duration(r.IntN(400)) * time.Second)
				at := now.Add(time.Duration(r.IntN(400*24)-300*24) * time.Hour).Add(time.Duration(r.IntN(90)) * time.Second)
				if pick(r, true, true, false) {
					at = now.Add(time.Duration(r.IntN(100)-90) * time.Minute)
				}
				if r.IntN(4) == 0 {
					form = formsOfDates(r, at)
				}
				text := pick(r, "", "", "", "[", " ", "é ", "host app: ", "<13>1 ", "x[", "10.1.2.3 - - [") + form + pick(r, "", " ", "] ", ": ", "x", "é") +
					pick(r, "", "text", "text "+formsOfDates(r, at), "by é at "+formsOfDates(r, now))
				q.Lines = append(q.Lines, [2]any{float64(now.Unix()), text})
			}
			questions = append(questions, q)
		}
		if dates := compareDates(t, zone, questions); dates < 2000 {
			t.Errorf("%s: %d dates found", zone, dates)
		}
	}
}

func TestDatesKeepTheirState(t *testing.T) {
	newDates := func() *fail2ban.Dates {
		d, err := fail2ban.NewDates(nil, fail2ban.DateOptions{Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	r := rand.New(rand.NewPCG(5, 6))
	whole, parts := newDates(), newDates()
	for i := range 500 {
		now := testNow.Add(time.Duration(i) * time.Second)
		line := pick(r, "", "x ") + formsOfDates(r, now) + " text " + formsOfDates(r, now)
		state, err := parts.State()
		if err != nil {
			t.Fatal(err)
		}
		parts = newDates()
		if err := parts.Restore(state); err != nil {
			t.Fatal(err)
		}
		want, _, _ := whole.Find(line, now)
		if got, _, _ := parts.Find(line, now); got != want {
			t.Fatalf("line %d, %q: %v after a restart, want %v", i, line, got, want)
		}
	}
	for _, state := range []string{"", "{}", `{"templates":[{"number":-1}]}`, "[]"} {
		if err := newDates().Restore([]byte(state)); err == nil {
			t.Errorf("state %q is accepted", state)
		}
	}
	d, err := fail2ban.NewDates([]string{"%H:%M"}, fail2ban.DateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if state, _ := whole.State(); d.Restore(state) == nil {
		t.Error("the state of another datepattern is accepted")
	}
}

func FuzzDatePattern(f *testing.F) {
	for _, p := range []string{"%Y-%m-%d", "{^LN-BEG}", "^x{EPOCH}", "**(%H)**", "{UNB}%k", "(?i)%b", "%", "{DATE}$"} {
		f.Add(p, "2005-08-14 11:59:59 x 1124013599")
	}
	f.Fuzz(func(t *testing.T, pattern, line string) {
		d, err := fail2ban.NewDates([]string{pattern}, fail2ban.DateOptions{Location: time.UTC})
		if err != nil {
			return
		}
		for range 2 {
			m, _, err := d.Find(line, testNow)
			if err == nil && (m.Start < 0 || m.Start > m.End || m.End > len(line)) {
				t.Fatalf("%q in %q: %d to %d", pattern, line, m.Start, m.End)
			}
		}
	})
}

// cpuTime reports the processor's time as well, because the clock's says little on a machine with other work.
func cpuTime(b *testing.B) {
	b.Helper()
	now := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := now()
	b.Cleanup(func() { b.ReportMetric(float64(now()-start)/float64(b.N), "cpu-ns/op") })
}

func BenchmarkDates(b *testing.B) {
	d, err := fail2ban.NewDates([]string{"{^LN-BEG}"}, fail2ban.DateOptions{Location: time.UTC})
	if err != nil {
		b.Fatal(err)
	}
	cpuTime(b)
	var lines []string
	for i := range 1000 {
		lines = append(lines, testNow.Add(time.Duration(i/5)*time.Second).Format("Jan _2 15:04:05")+" host sshd[123]: Failed password for root from 203.0.113.7 port 22 ssh2")
	}
	slices.Sort(lines)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if m, ok, err := d.Find(lines[i%1000], testNow.Add(time.Hour)); !ok || err != nil || m.Time.IsZero() {
			b.Fatal(m, ok, err)
		}
		i++
	}
}

func BenchmarkDatesNone(b *testing.B) {
	d, err := fail2ban.NewDates(nil, fail2ban.DateOptions{Location: time.UTC})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	cpuTime(b)
	for b.Loop() {
		if _, ok, err := d.Find("host sshd[123]: Failed password for invalid user from 203.0.113.7 port 22 ssh2", testNow); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
