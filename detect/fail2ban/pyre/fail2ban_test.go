package pyre_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// filterScript prints all final expressions of the installed filters, one JSON object a filter. The files stay where
// Debian's package has put them.
const filterScript = `
import json, os, sys, logging
logging.disable(logging.CRITICAL)
try:
    from fail2ban.client.filterreader import FilterReader
    from fail2ban.server.failregex import Regex
except ImportError:
    sys.exit(3)
base = "/etc/fail2ban"
for name in sorted(os.listdir(base + "/filter.d")):
    if not name.endswith(".conf"):
        continue
    name = name[:-5]
    for mode in ({}, {"mode": "aggressive"}, {"logtype": "short"}, {"logtype": "journal"}):
        reader = FilterReader(name, name, mode, basedir=base)
        out = {"name": name, "exprs": []}
        try:
            if not reader.read():
                continue
            reader.getOptions(None)
            commands = reader.convert()
        except Exception:
            continue
        for c in commands:
            if c[0] == "multi-set":
                key, values = c[2], c[3]
            else:
                key, values = c[2], c[3:]
            for v in values:
                try:
                    if key == "prefregex":
                        out["exprs"].append(Regex(v).getRegex())
                    elif key in ("addfailregex", "addignoreregex"):
                        out["exprs"].append(Regex(v).getRegex())
                except Exception:
                    pass
        print(json.dumps(out))
`

type filterExprs struct {
	Name  string   `json:"name"`
	Exprs []string `json:"exprs"`
}

const sampleLogs = "/usr/lib/python3/dist-packages/fail2ban/tests/files/logs"

func installedFilters(t testing.TB) []filterExprs {
	t.Helper()
	out, err := exec.Command("/usr/bin/python3", "-c", filterScript).Output()
	if err != nil {
		t.Skipf("fail2ban is not installed: its filters are not tried (%v)", err)
	}
	var all []filterExprs
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var f filterExprs
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// sampleLines returns the lines of a log as they are, and without their first words, where prefixes and dates stand.
func sampleLines(t testing.TB, name string, most int) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sampleLogs, name))
	if err != nil {
		return nil
	}
	var all []string
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "#") || line == "" || len(all) > most {
			continue
		}
		line = strings.ToValidUTF8(line, "\ufffd")
		all = append(all, line)
		for range 6 {
			_, rest, ok := strings.Cut(line, " ")
			if !ok {
				break
			}
			line = rest
			all = append(all, line)
		}
	}
	return all
}

func TestInstalledFiltersAnswerAsInPython(t *testing.T) {
	py := newPython(t)
	filters := installedFilters(t)
	exprs, matched, seen := 0, 0, map[string]bool{}
	other := sampleLines(t, "sshd", 60)
	for _, f := range filters {
		lines := slices.Concat(sampleLines(t, f.Name, 400), other)
		for _, expr := range f.Exprs {
			if seen[expr] {
				continue
			}
			seen[expr] = true
			exprs++
			q := question{Expr: expr, Flags: "m", Texts: lines}
			compare(t, py, q)
			for _, spans := range py.ask(t, q).Spans {
				if spans != nil {
					matched++
				}
			}
		}
	}
	t.Logf("%d filters, %d expressions, %d matches", len(filters), exprs, matched)
	if exprs < 200 || matched < 1000 {
		t.Errorf("%d expressions and %d matches: the filters or the sample lines were not read", exprs, matched)
	}
}
