package fail2ban_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/fail2ban"
)

// ownFilters are filters for what the installed ones don't use.
func ownFilters(t *testing.T) string {
	return overlaid(t, map[string]string{
		"filter.d/id.conf":     "[Definition]\nfailregex = ^id <F-ID>\\S+</F-ID> from <HOST>(?: port <F-PORT/>)?$\n            ^only <F-ID/>$\n            ^none (?P<fid>x)?$\n",
		"filter.d/tuple.conf":  "[Definition]\nfailregex = ^t <F-ID>\\S+</F-ID> <F-TUPLE_ID>\\S+</F-TUPLE_ID> <F-TUPLE_ID_2>\\S*</F-TUPLE_ID_2> <HOST>$\n",
		"filter.d/alt.conf":    "[Definition]\nfailregex = ^a <HOST> (?:<F-USER>u\\S+</F-USER>|<F-ALT_USER>v\\S+</F-ALT_USER>|<F-ALT_USER_2>\\S+</F-ALT_USER_2>)$\n",
		"filter.d/net.conf":    "[Definition]\nfailregex = ^n <SUBNET>$\n            ^c <ADDR>/<CIDR>$\n            ^4 <IP4>$\n            ^6 <IP6>$\n            ^d <DNS>$\n            ^h <HOST>$\n            ^f <F-IP4/> .*$\n",
		"filter.d/nodns.conf":  "[Definition]\nusedns = no\nfailregex = ^h <HOST>$\n",
		"filter.d/skip.conf":   "[Definition]\nmaxlines = 5\nfailregex = ^start (?P<n>\\d+)$<SKIPLINES>^end (?P=n) <HOST>$\nignoreregex = ^end 7\n",
		"filter.d/skip2.conf":  "[Definition]\nmaxlines = 4\nfailregex = ^a$<SKIPLINES>^b$<SKIPLINES>^c <HOST>$\n            ^single <HOST>$\n",
		"filter.d/pref.conf":   "[Definition]\nprefregex = ^p <HOST>: <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^bad <F-USER>\\w+</F-USER>$\n            ^worse$\n            ^x1$\n            ^x2$\nignoreregex = friend\n",
		"filter.d/pref2.conf":  "[Definition]\nmaxlines = 3\nprefregex = ^p <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^one <HOST>$\n            ^two\\n.*<HOST>$\n",
		"filter.d/ml.conf":     "[Definition]\nprefregex = ^<F-MLFID>c\\d+</F-MLFID> <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^fail(?: <F-USER>\\S+</F-USER>)?$\n            ^<F-NOFAIL>from</F-NOFAIL> <HOST>$\n            ^fail <F-USER>\\S+</F-USER> at <HOST>$\n            ^<F-MLFFORGET>bye</F-MLFFORGET>(?: <HOST>)?$\n            ^<F-NOFAIL><F-MLFFORGET>nbye</F-MLFFORGET></F-NOFAIL>(?: <HOST>)?$\n            ^<F-MLFFORGET><F-MLFGAINED>in</F-MLFGAINED></F-MLFFORGET> <F-USER>\\S+</F-USER> <HOST>$\n            ^<F-MLFGAINED>half</F-MLFGAINED> <F-USER>\\S+</F-USER> <HOST>$\n            ^<F-NOFAIL>try</F-NOFAIL> <F-USER>\\S+</F-USER> <HOST>$\n",
		"filter.d/early.conf":  "[Definition]\nfailregex = ^a <HOST>\n            ^b <HOST>\n            ^c <HOST>\n            ^d <HOST>\nignoreregex = skip\n",
		"filter.d/flags.conf":  "[Definition]\nfailregex = ^x ((?i)LOGIN|plain) \\(?<HOST>\\)?\n            ^y (?:(?i)login) <HOST>$\n            ^\\((?P<z>q)\\) <HOST>$\n            ^u <F-USER>\\w+</F-USER> <HOST>$\n",
		"filter.d/nobody.conf": "[Definition]\nfailregex = ^(?:<HOST>|nobody) x$\n            ^nobody x$|<HOST>y\n            ^.* z <HOST>$\n",
		"filter.d/noid.conf":   "[Definition]\nfailregex = ^x (?P<user>y)$\n",
		"filter.d/broken.conf": "[Definition]\nfailregex = ^x (<HOST>$\n",
		"filter.d/twice.conf":  "[Definition]\nfailregex = ^<HOST> <HOST>$\n",
		"filter.d/zero.conf":   "[Definition]\nmaxlines = 0\nfailregex = ^<HOST>$\n",
		"filter.d/none.conf":   "[Definition]\nignoreregex = x\n",
		"filter.d/loop.conf":   "[Definition]\na = <b>\nb = <a>\nfailregex = <a> <HOST>\n",
		"filter.d/lost.conf":   "[Definition]\nfailregex = %(nothing)s <HOST>\n",
		"filter.d/dup.conf":    "[Definition]\nfailregex = ^a <HOST>\nfailregex = ^b <HOST>\n",
	})
}

func TestEngineGivesWhatFail2banFinds(t *testing.T) {
	dir := ownFilters(t)
	many := []string{}
	for i := range 130 {
		many = append(many, fmt.Sprintf("c%d fail u%d", i, i))
	}
	many = append(many, "c0 from 192.0.2.1", "c0 fail", "c29 from 192.0.2.2", "c30 from 192.0.2.3", "c129 from 192.0.2.4", "c129 fail x", "c31 fail", "c31 from 192.0.2.9")
	tests := map[string][]string{
		"id": {"id abc from 192.0.2.1", "id 192.0.2.2 from 192.0.2.2 port 22", "id x from 2001:DB8:0::1 port ssh", "only thing", "none x", "none ", "id 2001:DB8::2 from 2001:DB8::2",
			"id \x00 from host.example", "id é from ü.example"},
		"tuple":  {"t a b c 192.0.2.1", "t a b  192.0.2.1", "t 192.0.2.1 x y 192.0.2.1"},
		"alt":    {"a 192.0.2.1 ux", "a 192.0.2.1 vx", "a 192.0.2.1 wx", "a h.example wx"},
		"net":    {"n 192.0.2.77/24", "n 192.0.2.77", "n [2001:db8::1]/64", "n 2001:db8:1:2:3::1/64", "c 192.0.2.1/8", "c 192.0.2.1/33", "c 2001:db8::1/0", "c 192.0.2.1/0", "4 ::ffff:192.0.2.1", "4 ::ffffff:192.0.2.1", "6 ::ffff:c000:0201", "6 ::c000:201", "6 ::1", "6 1::", "6 1:2:3:4:5:6:7:8", "6 1:0:0:2:0:0:0:3", "6 ABCD::00ef", "6 1:2:3:4:5:6:7:8:9", "d a.example", "d -", "h [192.0.2.1]", "h 192.0.2.01", "h 1.2.3", "h ١.٢.٣.٤", "f 192.0.2.1 192.0.2.2", "h 300.1.1.1", "n 192.0.2.1/64"},
		"nodns":  {"h 192.0.2.1", "h a.example", "h 2001:db8::1"},
		"skip":   {"start 1", "noise", "start 2", "end 2 192.0.2.1", "end 1 192.0.2.2", "start 7", "end 7 192.0.2.3", "end 7 192.0.2.4", "start 3", "a", "b", "c", "end 3 192.0.2.5", "d", "end 3 192.0.2.6", "start 4", "start 4", "end 4 192.0.2.7", "end 4 192.0.2.8"},
		"skip2":  {"a", "b", "c 192.0.2.1", "a", "x", "b", "c 192.0.2.2", "b", "a", "c 192.0.2.3", "single 192.0.2.4", "b", "c 192.0.2.5"},
		"pref":   {"p 192.0.2.1: bad bob", "p 192.0.2.1: worse", "p h.example: bad x", "p 192.0.2.1: bad friend", "friend p 192.0.2.1: bad y", "p 192.0.2.1: x1", "q", "p 192.0.2.1: "},
		"pref2":  {"p one 192.0.2.1", "p two", "x 192.0.2.2", "p one 192.0.2.3", "p two", "p 192.0.2.4", "noise", "p one 192.0.2.5"},
		"ml":     append(many, "c1 fail", "c1 fail bob", "c1 from 192.0.2.5", "c1 fail", "c1 bye", "c1 fail", "c200 from 192.0.2.6", "c200 fail a", "c200 fail b", "c200 in a 192.0.2.6", "c201 try a 192.0.2.7", "c201 in a 192.0.2.7", "c202 try a 192.0.2.7", "c202 try b 192.0.2.7", "c202 in b 192.0.2.7", "c203 fail", "c203 half a 192.0.2.8", "c203 fail a", "c203 nbye", "c204 bye 192.0.2.9", "c204 bye", "c205 half a 192.0.2.9", "c205 half b 192.0.2.9", "c205 fail c at 192.0.2.10", "c205 nbye 192.0.2.11", "c206 fail x at h.example", "c206 fail", "c207 fail", "c207 bye 192.0.2.12", "c208 fail", "c208 nbye 192.0.2.13", "c209 fail p", "c209 in p 192.0.2.14", "c210 fail p", "c210 fail q", "c210 in q 192.0.2.14", "c210 from 192.0.2.1"),
		"early":  {"a 192.0.2.1", "b 192.0.2.1 skip", "skip", "skip a 192.0.2.1", "d 192.0.2.2"},
		"flags":  {"x login 192.0.2.1", "x PLAIN (192.0.2.1)", "y LogIn 192.0.2.2", "(q) 192.0.2.3", "u bob 192.0.2.4", "u böb 192.0.2.5", "u ⅷ² 192.0.2.6", "u a\u0301 192.0.2.7", "y login 192.0.2.2\r", "y login 192.0.2.2\u0085"},
		"nobody": {"nobody x", "192.0.2.1 x", "nobody x z 192.0.2.2", "192.0.2.3y"},
		"noid":   {"x y"}, "broken": {"x"}, "twice": {"x"}, "zero": {"x"}, "none": {"x", "y 192.0.2.1"}, "loop": {"x"}, "lost": {"x"}, "dup": {"a 192.0.2.1"}, "missing": {"x"},
	}
	var jobs []job
	for name, lines := range tests {
		jobs = append(jobs, job{Config: dir, Filter: name, Lines: lines, Now: 1795600000, Timezone: "UTC"})
	}
	jobs = append(jobs, job{Config: dir, Filter: "net", Options: map[string]string{"usedns": "raw", "maxlines": "3"}, Lines: tests["net"], Now: 1795600000})
	if n := sameLines(t, jobs); n < 80 {
		t.Errorf("%d failures are too few to compare", n)
	}
}

func TestBytesAreReadAsFail2banReadsThem(t *testing.T) {
	dir := ownFilters(t)
	var lines []string
	for _, raw := range []string{"\xff", "\xc3", "\xc3\xa9", "\xe2\x82", "\xe2\x28\xa1", "\xed\xa0\x80", "\xf0\x9f\x98", "\xf0\x9f\x98\x80", "\xf5\x80\x80\x80", "\xc0\xaf", "\xe0\x80\x80", "\xf4\x90\x80\x80",
		"a\x00b", "\xef\xbb\xbf", "\xef\xbf\xbd", strings.Repeat("\xff", 20), "\xe2\x82\xe2\x82\xac", "\xf1\x80\x80", "\xf1\x80\xff"} {
		// The job's lines are bytes, each written as one character.
		var text strings.Builder
		for _, b := range []byte("id " + raw + " from 192.0.2.1") {
			text.WriteRune(rune(b))
		}
		lines = append(lines, text.String())
	}
	sameLines(t, []job{{Config: dir, Filter: "id", Lines: lines, Now: 1795600000, Bytes: true}})
}

func TestSpansAreAsFail2banReadsThem(t *testing.T) {
	spans := []string{"10m", "600", "1d 2h", "1h+30min", "-1", "1d12h", "0d 1h 30m", "1year-6mo", "6 months", "2 weeks", "1.5h", "3 * 60", "(1h+2)*2", "1mon", "1 da 2 hh", "10", "5 MIN", "2ww",
		"", "x", "1 parsec", "1h2", "1y", "-1h", "60/2", "1h 30", "7d/2", "1m30s", " 5 ", "5s5", "1ye", "99999999999"}
	var want []struct {
		Seconds float64 `json:"seconds"`
		Error   string  `json:"error"`
	}
	oracle(t, map[string]any{"ask": "seconds", "spans": spans}, &want)
	for i, s := range spans {
		got, err := fail2ban.Seconds(s)
		if (err != nil) != (want[i].Error != "") || got != want[i].Seconds {
			t.Errorf("span %q: %v, %v; want %v %q", s, got, err, want[i].Seconds, want[i].Error)
		}
	}
}

func TestStateIsKept(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	c, err := fail2ban.Open(ownFilters(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string][]string{
		"ml":   {"c1 fail bob", "c2 from 192.0.2.1", "c3 try a 192.0.2.2", "c1 from 192.0.2.3", "c2 fail", "c3 in a 192.0.2.2", "c2 fail eve", "c2 in eve 192.0.2.1", "c2 bye"},
		"skip": {"start 1", "noise", "start 2", "end 2 192.0.2.1", "x", "end 1 192.0.2.2"},
	} {
		whole, err := c.Filter(name, fail2ban.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var state []byte
		for i, line := range lines {
			want, err := whole.Line(line, now)
			if err != nil {
				t.Fatal(err)
			}
			again, err := c.Filter(name, fail2ban.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if state != nil {
				if err := again.Restore(state); err != nil {
					t.Fatal(err)
				}
			}
			got, err := again.Line(line, now)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: line %d %q after a restart:\n got  %+v\n want %+v", name, i+1, line, got, want)
			}
			if state, err = again.State(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestConnectionsAreCapped(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	c, err := fail2ban.Open(ownFilters(t))
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Filter("ml", fail2ban.Options{Set: map[string]string{"datepattern": "{NONE}"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		for range 30 {
			if _, err := f.Line(fmt.Sprintf("c%d fail %s", i, strings.Repeat("u", 10_000)), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if f.Count.Evicted != 200 {
		t.Errorf("%d connections were forgotten, want 200", f.Count.Evicted)
	}
	for range 50 {
		if _, err := f.Line("c"+strings.Repeat("9", 900_000)+" fail x", now); err != nil {
			t.Fatal(err)
		}
	}
	state, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	if len(state) > 8<<20 {
		t.Errorf("the state has %d bytes, want at most 8 MiB", len(state))
	}
	if r, err := f.Line("c299 from 192.0.2.1", now.Add(6*time.Minute)); err != nil || r.Match {
		t.Errorf("after six minutes the connection is still known: %+v %v", r, err)
	}
}
