package scan_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/scan"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func file(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func read(t *testing.T, text []byte, o scan.Options) scan.Report {
	t.Helper()
	o.Now = now
	r, err := scan.Read(text, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNmap reads what nmap 7.93 wrote of this machine.
func TestNmap(t *testing.T) {
	r := read(t, file(t, "nmap.xml"), scan.Options{})
	if r.Kind != scan.Network || r.Tool != "nmap" || r.Version != "7.93" || r.Time.Format(time.DateOnly) != "2026-11-25" || r.Stated {
		t.Errorf("got %+v", r)
	}
	if !slices.Equal(r.Targets, []string{"127.0.0.1", "localhost"}) || r.Scope != "tcp 1,18099" {
		t.Errorf("targets %q, scope %q", r.Targets, r.Scope)
	}
	if len(r.Findings) != 1 || r.Findings[0].Location != "127.0.0.1 tcp/18099" || r.Findings[0].Severity != scan.Info {
		t.Errorf("findings %+v, want the one open port", r.Findings)
	}
	if r := read(t, file(t, "nmap-vuln.xml"), scan.Options{}); r.Kind != scan.Vulnerability {
		t.Errorf("with --script vuln it is %s", r.Kind)
	}
	weak := read(t, file(t, "nmap-weak-fixture.xml"), scan.Options{})
	if weak.Counts != (scan.Counts{Info: 2, High: 2}) || weak.Findings[0].Rule != "CVE-2011-2523" || weak.Findings[1].Rule != "CVE-2021-23017" {
		t.Errorf("got %v, %+v", weak.Counts, weak.Findings)
	}
	for target, want := range map[string]bool{"192.0.2.5": true, "192.0.2.6": true, "192.0.2.0/29": true, "192.0.2.0/24": false, "198.51.100.1": false,
		"Helpdesk.example.com": true, "anything.example.net": false} {
		if got := weak.Covers(target); got != want {
			t.Errorf("covers %s: %v, want %v", target, got, want)
		}
	}
}

// TestSARIF reads what staticcheck wrote, which does not say when, nor of what.
func TestSARIF(t *testing.T) {
	text := file(t, "staticcheck.sarif")
	if _, err := scan.Read(text, scan.Options{Now: now, Target: "https://git.example.com/x"}); !errors.Is(err, scan.ErrNoTime) {
		t.Errorf("without a time: %v", err)
	}
	if _, err := scan.Read(text, scan.Options{Now: now, Time: now}); err == nil || !strings.Contains(err.Error(), "what was scanned") {
		t.Errorf("without a target: %v", err)
	}
	r := read(t, text, scan.Options{Target: "https://git.example.com/x.git", Time: now.Add(-time.Hour)})
	if r.Kind != scan.Code || r.Tool != "Staticcheck" || !r.Stated || !r.Covers("https://git.example.com/X/") || r.Covers("https://git.example.com/y") {
		t.Errorf("got %+v", r)
	}
	if r.Counts.From(scan.Low) != len(r.Findings) || len(r.Findings) == 0 || !strings.Contains(r.Findings[0].Location, "a.go:") {
		t.Errorf("got %v, %+v", r.Counts, r.Findings)
	}
}

// sarif is a file with one run that holds keys.
func sarif(keys string) []byte {
	return []byte(`{"version":"2.1.0","runs":[{` + keys + `,"tool":{"driver":{"name":"t","rules":[{"id":"R1","properties":{"security-severity":"9.8"}},` +
		`{"id":"R2","defaultConfiguration":{"level":"note"}}]}},"versionControlProvenance":[{"repositoryUri":"https://git.example.com/x"}],` +
		`"invocations":[{"endTimeUtc":"2026-11-20T10:00:00Z","executionSuccessful":true}]}]}`)
}

func TestSARIFSeverities(t *testing.T) {
	r := read(t, sarif(`"results":[
		{"ruleId":"R1","message":{"text":"a"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3}}}]},
		{"ruleId":"R1","message":{"text":"a again"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.go"},"region":{"startLine":3}}}]},
		{"ruleIndex":1,"message":{"text":"b"}},
		{"ruleId":"R3","level":"error"},
		{"ruleId":"R4"},
		{"ruleId":"R5","kind":"pass"},
		{"ruleId":"R6","baselineState":"absent"},
		{"ruleId":"R7","suppressions":[{"kind":"inSource"}]},
		{"ruleId":"R8","level":"none","suppressions":[{"kind":"external","status":"underReview"}]}]`), scan.Options{})
	if want := (scan.Counts{Critical: 1, High: 1, Medium: 1, Low: 1, Info: 1, Suppressed: 1}); r.Counts != want {
		t.Errorf("got %v, want %v", r.Counts, want)
	}
	if f := r.Findings[0]; f.Rule != "R1" || f.Location != "a.go:3" || len(f.ID) != 32 || f.ID == r.Findings[1].ID {
		t.Errorf("got %+v", r.Findings)
	}
	if f := r.Findings[3]; f.Rule != "R2" {
		t.Errorf("the rule of a result by its index: %+v", f)
	}
}

func TestZAP(t *testing.T) {
	r := read(t, file(t, "zap-fixture.json"), scan.Options{})
	if r.Kind != scan.Web || r.Version != "2.15.0" || r.Time.Format(time.RFC3339) != "2026-11-20T10:12:13Z" {
		t.Errorf("got %+v", r)
	}
	if want := (scan.Counts{High: 1, Medium: 1, Info: 1, Suppressed: 1}); r.Counts != want {
		t.Errorf("got %v, want %v: one place is one finding, and a false positive none", r.Counts, want)
	}
	if r.Findings[0].Location != "GET https://helpdesk.example.com/search q" {
		t.Errorf("got %+v", r.Findings[0])
	}
	for target, want := range map[string]bool{"https://helpdesk.example.com/x": true, "HTTPS://helpdesk.example.com:443": true,
		"http://helpdesk.example.com": false, "https://helpdesk.example.com:8443": false, "helpdesk.example.com": false, "": false} {
		if got := r.Covers(target); got != want {
			t.Errorf("covers %q: %v, want %v", target, got, want)
		}
	}
}

// TestRefused gives what must not be taken for a scan, and the word that has to be in the error.
func TestRefused(t *testing.T) {
	nmap, zap := string(file(t, "nmap.xml")), string(file(t, "zap-fixture.json"))
	good := `"results":[]`
	for word, text := range map[string]string{
		"neither":                  "hello",
		"neither SARI":             `{"a":1}`,
		"not nmap's":               `<html></html>`,
		"entities":                 strings.Replace(nmap, "<!DOCTYPE nmaprun>", `<!DOCTYPE nmaprun [<!ENTITY a "aaaa">]>`, 1),
		"broken off":               nmap[:len(nmap)/2],
		"(runstats)":               nmap[:strings.Index(nmap, "<runstats>")] + "</nmaprun>",
		"ended with":               strings.Replace(nmap, `exit="success"`, `exit="error"`, 1),
		"invalid character entity": strings.Replace(nmap, `name="http"`, `name="&lol;"`, 1),
		"future":                   strings.Replace(zap, "2026-11-20T10", "2026-11-26T13", 1),
		"cannot be read":           strings.Replace(zap, "2026-11-20T10", "yesterday", 1),
		"does not say when":        strings.Replace(strings.Replace(zap, `"created"`, `"c"`, 1), `"@generated"`, `"g"`, 1),
		"names no site":            `{"@programName":"ZAP","site":[]}`,
		"only 2.1.0":               strings.Replace(string(sarif(good)), "2.1.0", "2.0.0", 1),
		"no run":                   `{"version":"2.1.0","runs":[]}`,
		"not succeed":              strings.Replace(string(sarif(good)), "true", "false", 1),
		"several tools":            strings.Replace(string(sarif(good)), `"runs":[`, `"runs":[{"tool":{"driver":{"name":"u"}}},`, 1),
		"unexpected EOF":           string(sarif(good))[:100],
		"behind its end":           string(sarif(good)) + "{}",
		"as its format":            `{"version":"2.1.0","runs":{}}`,
		"deeper":                   `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		"more than 100000":         `{"version":"2.1.0","runs":[{"results":[` + strings.Repeat(`{},`, 100_001) + `{}]}]}`,
		"nested deeper":            `<nmaprun>` + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + `</nmaprun>`,
		"element of more":          `<nmaprun ` + strings.Repeat(`a="" `, 1<<20) + `></nmaprun>`,
		"is larger":                "{" + strings.Repeat(" ", scan.MaxFile),
		"at once":                  strings.Replace(zap, `"site"`, `"runs":[],"site"`, 1),
	} {
		_, err := scan.Read([]byte(text), scan.Options{Now: now})
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: got %v", word, err)
		}
	}
	for word, o := range map[string]scan.Options{
		"says itself when": {Time: now.Add(-time.Hour)},
		"not among it":     {Target: "https://other.example.com"},
		"of the kind web":  {Kind: scan.Code},
		"none of":          {Kind: "guess"},
	} {
		o.Now = now
		if _, err := scan.Read([]byte(zap), o); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: got %v", word, err)
		}
	}
}

// TestCaps: more findings than are kept are counted, the gravest are kept, and words of the scanned are shown as such.
func TestCaps(t *testing.T) {
	var results []string
	for i := range 300 {
		results = append(results, fmt.Sprintf(`{"ruleId":"N%d","level":"note","message":{"text":"\u001b[31m%s"}}`, i, strings.Repeat("x", 5000)))
	}
	results = append(results, `{"ruleId":"last","level":"error"}`)
	r := read(t, sarif(`"results":[`+strings.Join(results, ",")+`]`), scan.Options{})
	if r.Counts.Low != 300 || len(r.Findings) != scan.MaxFindings || r.Findings[0].Rule != "last" {
		t.Errorf("got %v, %d kept, first %+v", r.Counts, len(r.Findings), r.Findings[0])
	}
	if title := r.Findings[1].Title; len(title) > 160 || strings.Contains(title, "\x1b") {
		t.Errorf("title of %d bytes: %q", len(title), title)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"nmap.xml", "nmap-vuln.xml", "nmap-weak-fixture.xml", "zap-fixture.json", "staticcheck.sarif"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(sarif(`"results":[{"ruleIndex":-5},{"ruleId":null,"locations":null}]`))
	f.Add([]byte(`<nmaprun><host><table/></host></nmaprun>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := scan.Read(text, scan.Options{Now: now})
		if err != nil {
			return
		}
		if r.Time.IsZero() || r.Time.After(now.Add(time.Hour)) || len(r.Targets) == 0 || len(r.Findings) > scan.MaxFindings || len(r.Targets) > scan.MaxTargets {
			t.Errorf("got %+v", r)
		}
		if n := r.Counts.From(scan.Info); n < len(r.Findings) {
			t.Errorf("%d are counted and %d kept", n, len(r.Findings))
		}
	})
}
