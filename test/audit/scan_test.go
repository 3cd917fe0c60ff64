package audit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/scan"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/test/real"
)

// TestRealScanners runs nmap against a good and a weak server on loopback, and staticcheck over good and bad code, and judges with what they
// wrote. A scan that is stopped on its way counts for nothing.
func TestRealScanners(t *testing.T) {
	real.Require(t, "nmap")
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	status := func(control string, r scan.Report) string {
		t.Helper()
		records := audit.Records{Scans: []scan.Import{{ID: "1", File: "f", By: "test", Made: time.Now(), Report: r}},
			Targets: audit.ScanTargets{Networks: []string{"127.0.0.1"}, Code: []string{"git/app"}}}
		for _, f := range cat.Judge(audit.Profile{}, facts.Facts{Time: time.Now()}, records) {
			if f.ID == control {
				return fmt.Sprint(f.Status, " ", f.Reason)
			}
		}
		return ""
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
		counts scan.Counts
	}{
		"good": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") }, "pass ", scan.Counts{Info: 1}},
		"weak": {shellshocked, "fail 1 of the scans' findings", scan.Counts{Info: 1, High: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			defer server.Close()
			at, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			r, err := scan.Read([]byte(run(t, "nmap", "-sT", "-Pn", "-n", "-p", at.Port(), "--script", "+http-shellshock,+http-vuln-cve2010-0738", "-oX", "-", "127.0.0.1")), scan.Options{Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != scan.Vulnerability || r.Counts != c.counts || time.Since(r.Time) > time.Minute {
				t.Errorf("got %+v, want a scan for weaknesses with %v", r, c.counts)
			}
			for _, control := range []string{"I-91", "F-15"} {
				if got := status(control, r); !strings.HasPrefix(got, c.want) {
					t.Errorf("%s: got %s, want %s", control, got, c.want)
				}
			}
		})
	}
	t.Run("stopped", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "out.xml")
		cmd := exec.CommandContext(t.Context(), "nmap", "-sT", "-Pn", "-n", "-T1", "-p", "1-1000", "-oX", file, "127.0.0.1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "<scaninfo") {
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := scan.Read(text, scan.Options{Now: time.Now()}); err == nil || !strings.Contains(err.Error(), "broken off") {
			t.Errorf("got %v of %q", err, text)
		}
	})
	t.Run("code", func(t *testing.T) { realSARIF(t, status) })
}

// shellshocked does with a header what a shell with CVE-2014-6271 does when its function is read from there.
func shellshocked(w http.ResponseWriter, r *http.Request) {
	_, command, _ := strings.Cut(r.Header.Get("Cookie"), "};")
	out, err := exec.CommandContext(r.Context(), "sh", "-c", command).Output()
	if err == nil {
		w.Write(out)
	}
}

// realSARIF has staticcheck look at code with and without a mistake.
func realSARIF(t *testing.T, status func(string, scan.Report) string) {
	check := filepath.Join(t.TempDir(), "staticcheck")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", check, "honnef.co/go/tools/cmd/staticcheck").CombinedOutput(); err != nil {
		t.Fatalf("build staticcheck: %v\n%s", err, out)
	}
	for value, want := range map[string]string{`1`: "pass ", `"one"`: "fail 1 of the scans' findings"} {
		dir := t.TempDir()
		for name, text := range map[string]string{"go.mod": "module x\n\ngo 1.24\n", "x.go": "package x\n\nimport \"fmt\"\n\nfunc F() { fmt.Printf(\"%d\\n\", " + value + ") }\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), check, "-f", "sarif", "./...")
		cmd.Dir = dir
		text, err := cmd.Output() // it fails when it finds something
		if len(text) == 0 {
			t.Fatalf("staticcheck: %v", err)
		}
		r, err := scan.Read(text, scan.Options{Now: time.Now(), Time: time.Now(), Target: "git/app"})
		if err != nil {
			t.Fatal(err)
		}
		if got := status("F-38", r); !strings.HasPrefix(got, want) {
			t.Errorf("with %s: got %s, want %s", value, got, want)
		}
	}
}
