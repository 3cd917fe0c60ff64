package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/report"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// sample is a report with one finding of each status.
func sample(t *testing.T) report.Report {
	t.Helper()
	day := now.AddDate(0, 1, 0)
	later := day.AddDate(0, 1, 0)
	findings := []audit.Finding{
		{ID: "D-23", Title: "Files are not root's", Status: audit.Pass, Severity: audit.Medium, Expected: "another owner", Evidence: []audit.Evidence{{Fact: "trees", Value: "owner=app", Origin: "/srv/app"}}},
		{ID: "D-30", Title: "No data is served", Status: audit.NotApplicable, Severity: audit.High, Reason: "there is no data folder", Evidence: []audit.Evidence{}},
		{ID: "I-03", Title: "Root stays out", Status: audit.Fail, Severity: audit.High, Expected: "PermitRootLogin no", Fix: "set it",
			Evidence: []audit.Evidence{{Fact: "sshd.contexts", Value: "permit_root_login=yes <script>", Origin: "/etc/ssh/sshd_config:12", Offends: true}, {Fact: "sshd.installed", Value: "true"}}},
		{ID: "I-04", Title: "Keys are strong", Status: audit.Unknown, Severity: audit.Low, Reason: "keys: no rights", Evidence: []audit.Evidence{}},
		{ID: "I-05", Title: "Keys are allowed", Status: audit.Waived, Severity: audit.Critical, Reason: "until the move (ben)", Underlying: audit.Fail, Until: &day, Evidence: []audit.Evidence{}},
		{ID: "I-20", Title: "A copy lies elsewhere", Status: audit.Attested, Severity: audit.Low, Until: &later, Evidence: []audit.Evidence{}},
		{ID: "I-21", Title: "It cannot be told", Status: audit.Errored, Severity: audit.Low, Reason: "division by zero", Evidence: []audit.Evidence{}},
	}
	f := facts.Facts{Time: now, Missing: []facts.Missing{{Fact: "keys", Reason: "no rights"}}}
	r := report.New(audit.Profile{Name: "all", Title: "All guides"}, findings, f, map[string]string{"D": "Deskpro"})
	r.Host, r.Root, r.System = "desk", "/", "Debian 12"
	return r
}

func TestCoverage(t *testing.T) {
	r := sample(t)
	want := report.Coverage{Controls: 7, Answered: 5, Pass: 1, Attested: 1, Fail: 1, Waived: 1, NotApplicable: 1, Unknown: 1, Error: 1}
	if r.Coverage != want {
		t.Errorf("got %+v, want %+v", r.Coverage, want)
	}
	if got := r.Coverage.Score(); got != 33 { // 2 of the 6 that apply
		t.Errorf("the score is %d, want 33", got)
	}
	if len(r.Guides) != 2 || r.Guides[0].Title != "Deskpro" || r.Guides[0].Score != 100 || r.Guides[1].Score != 20 {
		t.Errorf("got %+v", r.Guides)
	}
	if (report.Coverage{}).Score() != 0 {
		t.Error("nothing that applies has a score")
	}
}

func TestThreshold(t *testing.T) {
	r := sample(t)
	for _, c := range []struct {
		least  audit.Severity
		strict bool
		want   int
	}{{audit.Low, false, 1}, {audit.High, false, 1}, {audit.Critical, false, 0}, {audit.Low, true, 3}, {audit.Medium, true, 1}} {
		if got := r.Failed(c.least, c.strict); got != c.want {
			t.Errorf("%s, strict %v: got %d, want %d", c.least, c.strict, got, c.want)
		}
	}
}

func TestFormats(t *testing.T) {
	for format, want := range map[string][]string{
		"text":   {"answered 5 of 7 controls (71 %)", "FAIL  I-03  high  Root stays out", "found     sshd.contexts: permit_root_login=yes <script> (/etc/ssh/sshd_config:12)", "until     2026-12-25", "to be looked at again within 30 days\n  I-05  waived until 2026-12-25"},
		"json":   {`"profile": "all"`, `"answered": 5`, `"origin": "/etc/ssh/sshd_config:12"`},
		"html":   {"<strong>5 of 7 controls are answered.</strong>", "permit_root_login=yes &lt;script&gt;", `<rect class="fail"`},
		"sarif":  {`"ruleId": "I-03"`, `"level": "error"`, `"uri": "file:///etc/ssh/sshd_config"`, `"startLine": 12`, `"kind": "open"`, `"justification": "until the move (ben)"`},
		"junit":  {`<testsuite name="I" `, `tests="5" failures="1" errors="2" skipped="1"`, `message="expected: PermitRootLogin no"`},
		"nagios": {"DOORWARD CRITICAL - 2 of 6 controls in force, 1 fail, 2 not answered | score=33%;;;0;100 fail=1"},
	} {
		t.Run(format, func(t *testing.T) {
			out := &strings.Builder{}
			if err := sample(t).Write(out, format); err != nil {
				t.Fatal(err)
			}
			for _, part := range want {
				if !strings.Contains(out.String(), part) {
					t.Errorf("%q is not in:\n%s", part, out)
				}
			}
			switch format {
			case "json", "sarif":
				if !json.Valid([]byte(out.String())) {
					t.Error("it is no JSON")
				}
			case "junit":
				if err := xml.Unmarshal([]byte(out.String()), new(struct{})); err != nil {
					t.Errorf("it is no XML: %v", err)
				}
			case "html":
				if strings.Contains(out.String(), "<script") {
					t.Error("a value from the host became an element")
				}
			}
		})
	}
	if err := sample(t).Write(&strings.Builder{}, "pdf"); err == nil || !strings.Contains(err.Error(), "text, json, html") {
		t.Errorf("got %v, want the formats named", err)
	}
}

func TestCompare(t *testing.T) {
	earlier, later := sample(t), sample(t)
	later.Results[0].Status = audit.Fail
	later.Results[2].Status = audit.Pass
	later.Results = later.Results[:6]
	later.Compare(earlier)
	want := []report.Change{
		{ID: "D-23", Title: "Files are not root's", Before: audit.Pass, After: audit.Fail},
		{ID: "I-03", Title: "Root stays out", Before: audit.Fail, After: audit.Pass},
		{ID: "I-21", Title: "It cannot be told", Before: audit.Errored},
	}
	if len(later.Changes) != 3 || later.Changes[0] != want[0] || later.Changes[1] != want[1] || later.Changes[2] != want[2] {
		t.Errorf("got %+v, want %+v", later.Changes, want)
	}
	if drift := later.Drifted(); len(drift) != 1 || drift[0].ID != "D-23" {
		t.Errorf("the drift is %+v, want D-23", drift)
	}
}

func TestSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if _, err := report.OpenSpool(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v for a folder that is not there", err)
	}
	s, err := report.MakeSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	if last, err := s.Last("all"); last != nil || err != nil {
		t.Fatalf("got %v, %v from an empty folder", last, err)
	}
	r := sample(t)
	for i := range 95 {
		r.Time = now.Add(time.Duration(i) * time.Hour)
		if err := s.Keep(r); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := s.Runs("all")
	if err != nil || len(runs) != 92 {
		t.Fatalf("%d runs are kept, %v; want 92", len(runs), err)
	}
	last, err := s.Last("all")
	if err != nil || !last.Time.Equal(r.Time) || len(last.Results) != len(r.Results) {
		t.Errorf("got %+v, %v", last, err)
	}
	if other, err := s.Last("idoit"); other != nil || err != nil {
		t.Errorf("got %v, %v for another profile", other, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := report.OpenSpool(dir); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("got %v for a folder that everybody writes in", err)
	}
	if os.Geteuid() != 0 {
		return // only root can give a folder away
	}
	if err := errors.Join(os.Chmod(dir, 0o750), os.Chown(dir, 12345, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := report.OpenSpool(dir); err == nil || !strings.Contains(err.Error(), "chown root") {
		t.Errorf("got %v for a folder of somebody else", err)
	}
}

// TestSpoolIsShared: a report gets the group of the folder, so that the daemon reads what root's own audit left there too.
func TestSpoolIsShared(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := filepath.Join(t.TempDir(), "reports")
	s, err := report.MakeSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	const group = 65533
	if err := os.Chown(dir, 0, group); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(report.Report{Profile: "all", Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	runs, err := s.Runs("all")
	if err != nil || len(runs) != 1 {
		t.Fatalf("got %v, %v", runs, err)
	}
	info, err := os.Stat(runs[0].File)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Gid != group || st.Uid != 0 || info.Mode().Perm() != 0o640 {
		t.Errorf("got owner %d, group %d, mode %v; want 0, %d, 0640", st.Uid, st.Gid, info.Mode(), group)
	}
}
