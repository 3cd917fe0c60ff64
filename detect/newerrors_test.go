package detect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/detect"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/ingest"
)

func TestSignature(t *testing.T) {
	for message, want := range map[string]string{
		`connect() failed (111: Connection refused) while connecting to upstream`:                         "connect() failed (<n>: Connection refused) while connecting to upstream",
		`script '/var/www/x.php' not found or unable to stat, referer: https://a.example/?x=1`:            "script <text> not found or unable to stat, referer: <url>",
		`PHP Fatal error:  Uncaught TypeError: strlen(): Argument #1 in /var/www/app/index.php:31`:        "PHP Fatal error: Uncaught TypeError: strlen(): Argument #<n> in <path>",
		"Table `helpdesk.users' doesn't exist":                                                            "Table <text> doesn't exist",
		`no route to 203.0.113.7:443, [2001:db8::1]:80 and 2001:db8::2.`:                                  "no route to <address>, [<address>]:<n> and <address>.",
		`session 7f3a9c01d2 (3f2b8c1e-7f0a-4b1c-9d0e-0123456789ab) of ada@example.org at 0xdeadbeef 1.5s`: "session <hex> (<hex>) of <mail> at <hex> <n>s",
		`decade defaced`:                  "decade defaced",
		`unclosed "quote 12 and 'another`: `unclosed "quote <n> and 'another`,
		`no such file C:\temp\x`:          "no such file C:\\temp\\x",
		"":                                "",
		" \t 5 ":                          "<n>",
		strings.Repeat("é", 300):          strings.Repeat("é", 100),
		`wrong value "` + strings.Repeat("9", 5000): `wrong value "<n>`,
	} {
		if message == `no such file C:\temp\x` {
			want = "no such file <path>"
		}
		if got := detect.Signature(message); got != want {
			t.Errorf("%q\n got %q\nwant %q", message, got, want)
		}
	}
}

func FuzzSignature(f *testing.F) {
	for _, seed := range []string{`a "b" c`, "``''\"\"", "\xff\xfe 1", "[::1]:80 0x / // \\", strings.Repeat("'", 2000), "a\x00b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		got := detect.Signature(message)
		if len(got) > 200 || utf8.ValidString(message) && !utf8.ValidString(got) || strings.ContainsAny(got, "0123456789") {
			t.Errorf("%q gives %q", message, got)
		}
	})
}

// failed is an error of Apache's in a log.
func failed(at time.Time, text string) *ingest.Parsed {
	return &ingest.Parsed{Parser: "apache-error", Pattern: "error", Event: event.Event{Time: at, Class: event.HTTP, Action: "error", Raw: "[core:error] " + text,
		Fields: []event.Field{{Key: "level", Value: "error"}, {Key: "text", Value: text}}}}
}

// word is a word without digits, another one for each n.
func word(n int) string {
	return strings.Map(func(r rune) rune { return r - '0' + 'g' }, fmt.Sprint(n))
}

// TestNewErrors: what a log says in the first day is known; then each new kind of error is told once, with an example (D-21).
func TestNewErrors(t *testing.T) {
	b := newBench(t, detect.Config{})
	b.judge.Watching("apache", replayAt)
	say := func(after time.Duration, text string) string {
		b.told = nil
		b.judge.Parsed("apache", failed(replayAt.Add(after), text), replayAt.Add(after))
		return b.names()
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		after      time.Duration
		text, want string
	}{
		{time.Hour, "AH00124: too many redirects for 203.0.113.7", ""},
		{day - time.Second, "cache is full", ""},
		{day, "AH00124: too many redirects for 203.0.113.8", ""},
		{day + time.Second, `Table "users" is gone, 12 rows`, "error_new"},
		{day + 2*time.Second, `Table "other" is gone, 99 rows`, ""},
		{90 * day, `Table "x" is gone, 1 rows`, ""},
		{90*day + time.Second, "segmentation fault", "error_new"},
	} {
		if got := say(c.after, c.text); got != c.want {
			t.Errorf("%s after %v: told %q, want %q", c.text, c.after, got, c.want)
		}
		if len(b.told) == 1 && !strings.Contains(fmt.Sprint(b.told[0].Fields), c.text) {
			t.Errorf("%s: no example line in %v", c.text, b.told[0].Fields)
		}
	}
	// Warnings, wrong passwords and other sources are none of it.
	other := failed(replayAt.Add(91*day), "never seen")
	other.Fields[0].Value = "warn"
	b.told = nil
	b.judge.Parsed("apache", other, other.Time)
	other = failed(replayAt.Add(91*day), "never seen")
	other.Class = event.Authentication
	b.judge.Parsed("apache", other, other.Time)
	b.judge.Parsed("nginx", failed(replayAt.Add(91*day), "never seen"), replayAt.Add(91*day)) // its first day
	if len(b.told) != 0 {
		t.Errorf("told %v", b.told)
	}
}

// TestNewErrorsAreCapped: who makes up kinds of errors is told of twenty times an hour and once more; what was known stays known, and a kind that
// was held back is told at a quieter time. The memory does not grow beyond its cap, and outlives a restart.
func TestNewErrorsAreCapped(t *testing.T) {
	b := newBench(t, detect.Config{})
	b.judge.Watching("apache", replayAt)
	at := replayAt
	say := func(text string) { b.judge.Parsed("apache", failed(at, text), at) }
	say("an old acquaintance")
	at = replayAt.Add(24 * time.Hour)
	for n := range 10_000 {
		at = at.Add(100 * time.Millisecond)
		say("made up " + word(n))
	}
	counts := map[string]int{}
	for _, name := range strings.Fields(b.names()) {
		counts[name]++
	}
	if counts["error_new"] != 20 || counts["error_new_many"] != 1 {
		t.Errorf("10,000 kinds in 17 minutes are told as %v, want 20 and one of many", counts)
	}
	if c := b.judge.Counters(); c.NewErrors != 20 || c.Held != 9980 {
		t.Errorf("counters are %+v, want 20 new and 9980 held", c)
	}
	b.told = nil
	say("an old acquaintance")
	at = at.Add(time.Hour)
	say("made up " + word(9999))
	if got := b.names(); !strings.Contains(got, "error_new") || strings.Contains(got, "many") || len(b.told) > 2 {
		t.Errorf("an hour later: told %q, want error_new", got)
	}
	state, err := b.judge.State()
	if err != nil {
		t.Fatal(err)
	}
	b = newBench(t, detect.Config{})
	b.judge.Watching("apache", at) // the start after a restart does not begin a day of learning
	if err := b.judge.Restore(state); err != nil {
		t.Fatal(err)
	}
	say("an old acquaintance")
	say("made up " + word(9999))
	say("only now")
	if c := b.judge.Counters(); c.NewErrors != 1 {
		t.Errorf("after a restart %d kinds are new, want 1", c.NewErrors)
	}
	// Learning has no rate: the memory is at its cap, and its state does not grow.
	b = newBench(t, detect.Config{})
	b.judge.Watching("apache", replayAt)
	at = replayAt
	for n := range 12_000 {
		say("learned " + word(n))
	}
	if c := b.judge.Counters(); c.Forgotten < 7000 {
		t.Errorf("of 12,000 kinds %d are forgotten, want 7,000", c.Forgotten)
	}
	if state, err = b.judge.State(); err != nil || len(state) > 200_000 {
		t.Errorf("the state has %d bytes (%v), want less than 200,000", len(state), err)
	}
	at = replayAt.Add(25 * time.Hour)
	b.told = nil
	say("learned " + word(11_999))
	if len(b.told) > 0 && strings.Contains(b.names(), "error_new") {
		t.Errorf("told %q of a kind that is known", b.names())
	}
	say("learned " + word(0)) // forgotten
	if got := b.names(); !strings.Contains(got, "error_new") {
		t.Errorf("told %q, want error_new", got)
	}
}
