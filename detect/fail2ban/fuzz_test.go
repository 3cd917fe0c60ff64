package fail2ban_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/fail2ban"
)

// FuzzConfig reads files that nobody would write: it neither hangs nor panics, and what it accepts can be run.
func FuzzConfig(f *testing.F) {
	f.Add("[Definition]\nfailregex = ^%(__name__)s <HOST>$\n", "[sshd]\nenabled = 1\nfilter = x[a=\"b\", c='d'][e=f]\naction = y[port=1]\nlogpath = /x\n")
	f.Add("[INCLUDES]\nbefore = x.conf\n[DEFAULT]\n_a = <b>\nb = %(known/_a)s\n[Init]\nc = <a<b>>\n", "[DEFAULT]\nbantime = 1d 2h\n[x]\nenabled = true\n")
	f.Add("[Definition]\n ; comment\nprefregex = ^<F-MLFID>x</F-MLFID><F-CONTENT>.+</F-CONTENT>$\nfailregex = ^<SKIPLINES><HOST>\n\n  # c\n  ^b <F-USER>.*</F-USER>\nmaxlines = 3\n", "[x]\n")
	f.Fuzz(func(t *testing.T, filter, jail string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"filter.d/x.conf": filter, "action.d/y.conf": filter, "jail.conf": jail} {
			name = filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(filter, "/") || strings.Contains(filter, "..") {
			return // files elsewhere are none of this test's
		}
		c, err := fail2ban.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if result, err := c.Import(true); err == nil {
			for _, j := range result.Jails {
				if _, err := j.Filter(time.UTC, time.Unix(1795600000, 0)); err != nil && j.Runs {
					t.Errorf("jail %q runs and can't: %v", j.Name, err)
				}
			}
		}
		if x, err := c.Filter("x", fail2ban.Options{}); err == nil {
			x.Line("x 192.0.2.1", time.Unix(1795600000, 0))
		}
	})
}

// FuzzLine gives a filter lines that a stranger writes: a state that was saved always comes back.
func FuzzLine(f *testing.F) {
	f.Add("Nov 25 09:00:01 web sshd[100]: Failed password for root from 192.0.2.10 port 40001 ssh2", "")
	f.Add("c1 fail\x00", "c1 from \xff192.0.2.1")
	dir := f.TempDir()
	if err := os.MkdirAll(dir+"/filter.d", 0o755); err != nil {
		f.Fatal(err)
	}
	text := "[Definition]\nprefregex = ^<F-MLFID>\\S+</F-MLFID> <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^fail(?: <F-USER>\\S+</F-USER>)?$\n  ^<F-NOFAIL>from</F-NOFAIL> <HOST>$\n  sshd.* for <F-USER>.*</F-USER> from <HOST>\n"
	if err := os.WriteFile(dir+"/filter.d/x.conf", []byte(text), 0o644); err != nil {
		f.Fatal(err)
	}
	c, err := fail2ban.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1795600000, 0)
	f.Fuzz(func(t *testing.T, first, second string) {
		x, err := c.Filter("x", fail2ban.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{first, second} {
			r, err := x.Line(fail2ban.Decode([]byte(line)), now)
			if err == nil && r.Match && r.ID == "" {
				t.Errorf("line %q: a failure of nobody", line)
			}
		}
		state, err := x.State()
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Restore(state); err != nil {
			t.Errorf("state %s: %v", state, err)
		}
	})
}
