package fail2ban_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/fail2ban"
)

// job is lines for one filter, as the oracle reads it.
type job struct {
	Config   string            `json:"config"`
	Filter   string            `json:"filter"`
	Options  map[string]string `json:"options"`
	Lines    []string          `json:"lines"`
	Now      int64             `json:"now"`
	Timezone string            `json:"tz"`
	Logzone  string            `json:"logtimezone,omitempty"`
	Bytes    bool              `json:"bytes,omitempty"` // each character of the lines is one byte
}

// found is what fail2ban found in a line.
type found struct {
	Host    string         `json:"host"`
	IP      *string        `json:"ip"`
	Time    *float64       `json:"time"`
	Groups  map[string]any `json:"groups"`
	NoFail  bool           `json:"nofail"`
	Regex   int            `json:"regex"`
	Matches []string       `json:"matches"`
}

type answer struct {
	Error string `json:"error"`
	Rows  []struct {
		Error   string  `json:"error"`
		Found   []found `json:"found"`
		Ignored bool    `json:"ignored"`
	} `json:"rows"`
}

// sameLines runs the jobs here and in fail2ban and compares every line. It returns how many lines were failures.
func sameLines(t *testing.T, jobs []job) int {
	t.Helper()
	var answers []answer
	oracle(t, map[string]any{"ask": "lines", "jobs": jobs}, &answers)
	if len(answers) != len(jobs) {
		t.Fatalf("%d answers to %d jobs", len(answers), len(jobs))
	}
	matched := 0
	for i, j := range jobs {
		matched += sameJob(t, j, answers[i])
	}
	return matched
}

func sameJob(t *testing.T, j job, want answer) int {
	t.Helper()
	what := fmt.Sprintf("%s %v", j.Filter, j.Options)
	c, err := fail2ban.Open(j.Config)
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation(j.Timezone)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Filter(j.Filter, fail2ban.Options{Set: j.Options, Local: zone, LogTimezone: j.Logzone})
	if (err != nil) != (want.Error != "") {
		t.Errorf("%s: error %v, want %q", what, err, want.Error)
	}
	if err != nil {
		return 0
	}
	matched := 0
	for n, line := range j.Lines {
		raw := []byte(line)
		if j.Bytes {
			raw = raw[:0]
			for _, r := range line {
				raw = append(raw, byte(r))
			}
		}
		got, err := f.Line(fail2ban.Decode(raw), time.Unix(j.Now, 0))
		row := want.Rows[n]
		if row.Error != "" {
			t.Logf("%s: fail2ban itself fails at line %.200q, so the rest is not compared: %s", what, line, row.Error)
			return matched
		}
		if err != nil {
			t.Errorf("%s: line %.300q: %v", what, line, err)
		}
		if got.Match {
			matched++
		}
		sameResult(t, fmt.Sprintf("%s: line %d %.300q", what, n+1, line), f, got, row.Found)
	}
	return matched
}

// sameResult compares what was found in one line.
func sameResult(t *testing.T, what string, f *fail2ban.Filter, got fail2ban.Result, want []found) {
	t.Helper()
	if got.Match != (len(want) > 0) {
		t.Errorf("%s:\n got  match %v %+v\n want %+v", what, got.Match, got, want)
		return
	}
	if len(want) == 0 {
		return
	}
	w := want[0]
	if got.ID != w.Host {
		t.Errorf("%s: host %q, want %q", what, got.ID, w.Host)
	}
	if got.Regex != w.Regex {
		t.Errorf("%s: failregex %d, want %d", what, got.Regex, w.Regex)
	}
	switch {
	case w.Time == nil && !got.Time.IsZero():
		t.Errorf("%s: time %v, want none", what, got.Time)
	case w.Time != nil && (got.Time.IsZero() || got.Time.UnixMicro() != int64(*w.Time*1e6+0.5)):
		t.Errorf("%s: time %v, want %v", what, got.Time, time.UnixMicro(int64(*w.Time*1e6+0.5)).UTC())
	}
	captures := map[string]string{}
	for _, c := range got.Captures {
		captures[c.Name] = c.Value
	}
	for name, v := range w.Groups {
		if parts, ok := v.([]any); ok { // as Python shows it
			for i := range parts {
				parts[i] = fmt.Sprintf("'%v'", parts[i])
			}
			w.Groups[name] = "(" + strings.Trim(strings.ReplaceAll(fmt.Sprint(parts), "' '", "', '"), "[]") + ")"
		}
	}
	for name, v := range captures {
		if fmt.Sprint(w.Groups[name]) != v {
			t.Errorf("%s: capture %s %q, want %q", what, name, v, w.Groups[name])
		}
	}
	for _, name := range f.Tags() {
		if v, ok := w.Groups[name]; ok && captures[name] != fmt.Sprint(v) {
			t.Errorf("%s: capture %s %q, want %q", what, name, captures[name], v)
		}
	}
	if len(w.Matches) <= 20 && !slices.Equal(got.Lines, w.Matches) && !slices.ContainsFunc(w.Matches, func(s string) bool { return len(s) > 1000 }) {
		t.Errorf("%s: lines\n got  %q\n want %q", what, got.Lines, w.Matches)
	}
}

// sampleLogs is where Debian's package keeps the logs that fail2ban is tested with.
const sampleLogs = "/usr/lib/python3/dist-packages/fail2ban/tests/files/logs"

var sampleOptions = regexp.MustCompile(`^#.*filterOptions:(.+)$`)

// samples are the jobs of one sample log: each set of options that is named there meets the lines that follow it.
func samples(t *testing.T, name string) []job {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sampleLogs, name))
	if err != nil {
		t.Fatal(err)
	}
	byOptions := map[string]*job{}
	current := []string{"{}"}
	for _, line := range strings.SplitAfter(string(text), "\n") {
		if m := sampleOptions.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			current = optionSets(t, m[1])
			continue
		}
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		for _, key := range current {
			j := byOptions[key]
			if j == nil {
				j = &job{Config: installed, Filter: name, Now: 1124013600, Timezone: "Europe/Zurich"}
				if err := json.Unmarshal([]byte(key), &j.Options); err != nil {
					t.Fatal(err)
				}
				byOptions[key] = j
			}
			j.Lines = append(j.Lines, strings.TrimRight(line, "\r\n"))
		}
	}
	var all []job
	for _, key := range slices.Sorted(maps.Keys(byOptions)) {
		all = append(all, *byOptions[key])
	}
	return all
}

// optionSets reads {...} or [{...}, ...] without the settings of fail2ban's own test.
func optionSets(t *testing.T, text string) []string {
	t.Helper()
	var sets []map[string]string
	if err := json.Unmarshal([]byte(text), &sets); err != nil {
		sets = []map[string]string{{}}
		if err := json.Unmarshal([]byte(text), &sets[0]); err != nil {
			t.Fatalf("options %q: %v", text, err)
		}
	}
	var keys []string
	for _, s := range sets {
		maps.DeleteFunc(s, func(k, _ string) bool { return strings.HasPrefix(k, "test.") })
		key, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(key))
	}
	return keys
}

func TestSampleLogsGiveWhatFail2banFinds(t *testing.T) {
	files, err := os.ReadDir(sampleLogs)
	if err != nil {
		t.Skipf("left out: fail2ban's own sample logs are not installed: %v", err)
	}
	var jobs []job
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(installed, "filter.d", file.Name()+".conf")); err == nil && !file.IsDir() {
			jobs = append(jobs, samples(t, file.Name())...)
		}
	}
	if n := sameLines(t, jobs); n < 900 {
		t.Errorf("%d failures are too few to compare", n)
	}
}

// ownJobs reads testdata/lines.txt: lines of our own, below the filter and the options that they are for.
func ownJobs(t *testing.T) []job {
	t.Helper()
	text, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC).Unix()
	var all []job
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if head, ok := strings.CutPrefix(line, "== "); ok {
			name, options, _ := strings.Cut(head, " ")
			j := job{Config: installed, Filter: name, Now: now, Timezone: "Europe/Berlin"}
			if options != "" {
				if err := json.Unmarshal([]byte(options), &j.Options); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
			all = append(all, j)
			continue
		}
		j := &all[len(all)-1]
		j.Lines = append(j.Lines, line)
	}
	return all
}

func TestOwnLinesGiveWhatFail2banFinds(t *testing.T) {
	jobs := ownJobs(t)
	filters := map[string]bool{}
	lines := 0
	for _, j := range jobs {
		filters[j.Filter] = true
		lines += len(j.Lines)
	}
	n := sameLines(t, jobs)
	t.Logf("%d lines for %d filters: %d failures", lines, len(filters), n)
	if n < lines/3 || len(filters) < 40 {
		t.Errorf("%d failures in %d lines for %d filters are too few to compare", n, lines, len(filters))
	}
}

// What a jail may state wins over the filter, as an option of the filter does in fail2ban.
func TestOptionsGiveWhatFail2banFinds(t *testing.T) {
	var jobs []job
	for _, options := range []map[string]string{
		{"maxlines": "4"}, {"datepattern": "%Y-%m-%d[T ]%H:%M:%S"}, {"datepattern": "{NONE}"}, {"datepattern": ""}, {"datepattern": "^%b %d %H:%M:%S\n{^LN-BEG}"},
		{"failregex": "^Failed .* from <HOST>\n^Invalid user <F-USER>.*</F-USER> from <ADDR>"}, {"usedns": "no"}, {"usedns": "raw"}, {"usedns": "odd"}, {"prefregex": ""},
		{"ignoreregex": "port 4000\\d"}, {"prefregex": "^.*?sshd\\[\\d+\\]: <F-CONTENT>.*</F-CONTENT>$", "ignoreregex": "^Invalid"}, {"mode": "nothing"}, {"mode": "<mode>"},
		{"_daemon": "(?:sshd|CRON)"}, {"publickey": "ignore"}, {"logtype": "short"}, {"logtype": "rfc5424"}, {"failregex": "no host"}, {"failregex": "(<HOST>"}, {"maxlines": "x"}, {"maxlines": "0"}, {"maxlines": "-1"},
	} {
		for _, j := range ownJobs(t)[:2] {
			j.Options = options
			jobs = append(jobs, j)
		}
	}
	if n := sameLines(t, jobs); n < 200 {
		t.Errorf("%d failures are too few to compare", n)
	}
}
