package trial_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/trial"
)

const controls = `controls:
- id: X-1
  title: It is Debian
  severity: low
  rationale: For the test.
  by: [check]
  expect: system.id == "debian"
  expected: ID=debian
`

func archive(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.txtar")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRun(t *testing.T) {
	c, err := audit.Load(audit.Source{Controls: fstest.MapFS{"x.yaml": {Data: []byte(controls)}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ text, want string }{
		"right":                      {"X-1: pass\n-- etc/os-release --\nID=debian\n", ""},
		"wrong":                      {"X-1: pass\n-- etc/os-release --\nID=arch\n", `X-1: got "fail", want "pass"; system.id: arch (/etc/os-release)`},
		"no control":                 {"X-2: pass\n-- etc/os-release --\nID=arch\n", `X-2: got "", want "pass": there is no such control`},
		"through link":               {"X-1: pass\nlink etc/os-release /usr/lib/os\n-- usr/lib/os --\nID=debian\n", ""},
		"a link out of the root":     {"X-1: unknown\nlink etc/os-release ../../../../../../../../../etc/os-release\n-- x --\n", ""},
		"a folder instead of a file": {"X-1: unknown\ndir etc/os-release\n-- x --\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			host, err := trial.Read(archive(t, test.text))
			if err != nil {
				t.Fatal(err)
			}
			mistakes, err := host.Run(t.Context(), c, time.Unix(0, 0))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, m := range mistakes {
				got += m.String()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestBadArchives(t *testing.T) {
	for text, want := range map[string]string{
		"-- etc/os-release --\n":    "it promises no verdict",
		"X-1: pass\nmood bad\n":     "x.txtar:2: \"mood bad\" is none of",
		"X-1: pass\nmode etc 999\n": "",
	} {
		host, err := trial.Read(archive(t, text))
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want %q", text, err, want)
			}
			continue
		}
		if err := host.Lay(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no mode such as 0640") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	host, err := trial.Read(archive(t, "X-1: pass\n-- ../../out --\nx\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Lay(t.TempDir()); err == nil {
		t.Error("a file was written outside the folder")
	}
}
