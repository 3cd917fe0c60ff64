package quickstart_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/real"
)

// TestServiceOfRequestTracker lets systemd read the unit that docs/request-tracker.md gives.
func TestServiceOfRequestTracker(t *testing.T) {
	real.Require(t, "systemd-analyze", "/usr/bin/plackup")
	page, err := os.ReadFile(filepath.Join(real.Repository(t), "docs", "request-tracker.md"))
	if err != nil {
		t.Fatal(err)
	}
	unit := regexp.MustCompile("(?ms)^```ini\n(.*?)^```$").FindSubmatch(page)
	if unit == nil {
		t.Fatal("docs/request-tracker.md holds no unit")
	}
	file := real.Write(t, t.TempDir(), "request-tracker-doorward.service", string(unit[1]), 0o644)
	// It reads other units as well, and Debian's own are not above reproach: only what it says of this one counts.
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), filepath.Base(file)) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
