package fail2ban_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/fail2ban"
	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// hostile are what a stranger repeats to make the search of a date or of a failure slow.
var hostile = []string{"1234567890", "9", "2026-11-25 18:57:5x ", "Nov 25 18:57:5x ", "[", "25/Nov/2026:18:57:5x", "2026-11-25T18:57:50.", "Nov ", " ", "12:34:", "[1-1-", "a",
	"20261125 18:57:5", "2026-13-45 18:57:50 ", `("'<`, "Wed Nov 25 ", "@4000000", "\xff", "ü"}

// TestHostileLines: what a line costs is bounded, whatever it holds and however long it is; a line that costs more matches nothing, is
// an error and is counted. Lines of 4 KB are below the bound in all of Debian's filters.
func TestHostileLines(t *testing.T) {
	if _, err := os.Stat(installed + "/filter.d/sshd.conf"); err != nil {
		t.Skipf("left out: fail2ban's configuration is not installed: %v", err)
	}
	c, err := fail2ban.Open(installed)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(installed + "/filter.d/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	long := map[string][]int{"sshd": {128 << 10, 1 << 20}} // the forms of a date are the same in most
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".conf")
		f, err := c.Filter(name, fail2ban.Options{NoDateIsNow: true})
		if err != nil {
			continue // TestEveryFilterLoads or its report line
		}
		slow := 0
		for _, piece := range hostile {
			for _, size := range append([]int{4 << 10}, long[name]...) {
				line := fail2ban.Decode([]byte(strings.Repeat(piece, size/len(piece))))
				result, err := f.Line(line, now)
				date, rest, maxDate, maxRest := f.Steps()
				if date > maxDate || rest > maxRest {
					t.Errorf("%s takes %d and %d steps for %d bytes of %q, want %d and %d at most", name, date, rest, size, piece, maxDate, maxRest)
				}
				if err != nil {
					slow++
				}
				if err != nil && (!errors.Is(err, pyre.ErrTimeout) || result.Match || size == 4<<10) {
					t.Errorf("%s makes %+v and %v of %d bytes of %q", name, result, err, size, piece)
				}
				if size == 4<<10 && date+rest > (maxDate+maxRest)/20 {
					t.Errorf("%s takes %d steps for 4 KB of %q", name, date+rest, piece)
				}
			}
		}
		if f.Count.Lines != len(hostile)*(1+len(long[name])) || f.Count.Timeouts < slow {
			t.Errorf("%s counts %+v, want %d lines and %d that took too long", name, f.Count, len(hostile)*(1+len(long[name])), slow)
		}
	}
}
