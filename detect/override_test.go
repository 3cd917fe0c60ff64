package detect_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOverrides: a file changes thresholds, timespans and responses, switches detections off, and is said where they are listed.
func TestOverrides(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "overrides.yaml"), `# ours
suspicious_urls:
    count: 3
    timespan: 1m
    ban: 2h
    escalate: {factor: 3, max: 14d}
signin_guessing: {off: true}
5A1C7F0E-2d3b-4c58-9e07-0b6f3d1a9c12:
    alert: 5m
`)
	cfg := detect.Config{Overrides: file}
	set, err := detect.LoadRules(cfg)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]detect.Detection{}
	for _, d := range set.Detections() {
		byName[d.Name] = d
	}
	d := byName["suspicious_urls"]
	want := []string{"count 20 → 3", "timespan 10m → 1m", "respond ban 1h ×2 up to 168h → ban 2h ×3 up to 336h"}
	if d.Count != 3 || d.Timespan != time.Minute || d.For != 2*time.Hour || !slices.Equal(d.Overrides, want) || d.OverrideFile != file+":2" || d.File != "doorward:web.yaml" {
		t.Errorf("suspicious_urls is %+v, want %q", d, want)
	}
	if d := byName["signin_guessing"]; !d.Off || d.OverrideFile != file+":7" {
		t.Errorf("signin_guessing is %+v, want it off", d)
	}
	if d := byName["signin_spraying"]; d.Action != "alert" || d.For != 5*time.Minute || d.EscalateFactor != 0 {
		t.Errorf("signin_spraying is %+v, want an alert", d)
	}
	if _, listed := byName["suspicious_url"]; listed {
		t.Error("what only feeds another detection is listed")
	}
	b := newBench(t, cfg)
	for i := range 30 {
		if got := b.own(signIn(replayAt, "203.0.113.2", "anna", "failure", "password")); len(got) > 0 {
			t.Fatalf("what is off bans at %d: %v", i, got)
		}
	}
	b.told = nil
	for i := range 3 {
		if got := b.own(request(replayAt, "203.0.113.7", "/.env")); (len(got) == 1) != (i == 2) {
			t.Errorf("suspicious URL %d gives %v", i+1, got)
		}
	}
}

// TestOffTakesWhatItNeeds: when all that a rule feeds is off, the rule is too, and does not begin to be told by itself.
func TestOffTakesWhatItNeeds(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "o.yaml"), "suspicious_urls: {off: true}\n")
	b := newBench(t, detect.Config{Overrides: file})
	for range 40 {
		b.own(request(replayAt, "203.0.113.7", "/.env"))
	}
	if got := b.names(); got != "" {
		t.Errorf("told: %q, want nothing", got)
	}
}

// TestWrongOverrides: each mistake is said with its file and line.
func TestWrongOverrides(t *testing.T) {
	for text, want := range map[string]string{
		"\nnobody: {off: true}\n":                                       "o.yaml:2: there is no detection nobody",
		"suspicious_url: {off: true}\n":                                 "o.yaml:1: suspicious_url only feeds other detections",
		"suspicious_urls:\n    cuont: 3\n":                              `o.yaml:2: unknown field "cuont"; there are off, count`,
		"suspicious_urls:\n    off: maybe\n":                            `o.yaml:2: "maybe" cannot stand there: off is true or false`,
		"suspicious_urls: {count: x}\n":                                 `"x" cannot stand there`,
		"suspicious_urls: {escalate: {factor: NaN, max: 7d}}\n":         "escalate: needs a factor over 1",
		"suspicious_urls: {count: 0}\n":                                 "o.yaml:1: suspicious_urls: count: ",
		"suspicious_urls: {timespan: soon}\n":                           `timespan: "soon" is no duration`,
		"suspicious_urls: {ban: 1h, alert: 1h}\n":                       "only one of ban",
		"suspicious_urls: {throttle: permanent}\n":                      `throttle: "permanent" is no duration`,
		"suspicious_urls: {scope: account}\n":                           "what is about accounts",
		"suspicious_urls: {escalate: {factor: 1, max: 7d}}\n":           "escalate: needs a factor over 1",
		"suspicious_urls: {escalate: {factor: 2, max: 5m}}\n":           "max is less than",
		"ami_failure: {count: 3}\n":                                     "o.yaml:1: ami_failure: count: it is met by a single event",
		"- suspicious_urls\n":                                           "o.yaml:1: overrides are a map",
		"suspicious_urls: {off: true}\nsuspicious_urls: {off: false}\n": "o.yaml:",
		"suspicious_urls: {\n":                                          "o.yaml",
	} {
		file := write(t, filepath.Join(t.TempDir(), "o.yaml"), text)
		if _, err := detect.LoadRules(detect.Config{Overrides: file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", text, err, want)
		}
	}
}

// TestOwnRules: a folder adds detections, lists and filters; its mistakes are said with file and line.
func TestOwnRules(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "lists", "scanned_ends.txt"), "# ours\n/secret-of-ours\n")
	write(t, filepath.Join(dir, "blog.yaml"), "title: Our blog\nlogsource: {category: webserver}\nfilter:\n    rules: [suspicious_url]\n    blog:\n        site: blog\n    condition: not blog\n")
	b := newBench(t, detect.Config{Rules: dir})
	var got int
	for range 20 {
		e := request(replayAt, "203.0.113.7", "/.env")
		e.Site = "blog"
		got += len(b.own(e))
		got += 10 * len(b.own(request(replayAt, "203.0.113.8", "/secret-of-ours")))
	}
	if got != 10 {
		t.Errorf("got %d, want the list to ban (10) and the filter not to (1)", got)
	}
	write(t, filepath.Join(dir, "bad.yaml"), "title: Bad\nlogsource: {category: webserver}\ndetection: {s: {a: b}, condition: t}\n")
	if _, err := detect.LoadRules(detect.Config{Rules: dir}); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "bad.yaml")+":3") {
		t.Errorf("a wrong rule gives %v", err)
	}
	if _, err := detect.LoadRules(detect.Config{Rules: filepath.Join(dir, "none")}); err == nil {
		t.Error("a folder that is not there is accepted")
	}
}
