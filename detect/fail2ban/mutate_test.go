package fail2ban_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// forged makes lines that a stranger could have had a hand in from true ones: parts of other lines in the middle of them, names and
// addresses of other kinds, lines cut short, doubled, out of order.
func forged(r *rand.Rand, lines []string, n int) []string {
	hosts := []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.2", "host.example.org", "[2001:db8::2]", "999.1.1.1", "1.2.3.4.5", "::", "-", "ü.example", "192.0.2.3 from 203.0.113.1"}
	all := make([]string, 0, n)
	for len(all) < n {
		line := lines[r.IntN(len(lines))]
		other := lines[r.IntN(len(lines))]
		at := 0
		if len(line) > 0 {
			at = r.IntN(len(line))
		}
		switch r.IntN(9) {
		case 0: // a whole line within another
			line = line[:at] + other + line[at:]
		case 1: // the end of one on the start of another
			line = line[:at] + other[min(at, len(other)):]
		case 2: // cut short
			line = line[:at]
		case 3: // something else for the address
			for _, word := range strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" []()'\"=,;#<>", c) }) {
				if strings.Count(word, ".") == 3 && strings.Trim(word, "0123456789.") == "" {
					line = strings.ReplaceAll(line, word, hosts[r.IntN(len(hosts))])
					break
				}
			}
		case 4: // letters of all kinds
			line = line[:at] + []string{"\x00", "\t", "é", "\u2028", "\u00a0", "\u0660", "\r", "\ufffd", "\x1c", "\x85"}[r.IntN(10)] + line[at:]
		case 5: // a word doubled
			words := strings.SplitAfter(line, " ")
			i := r.IntN(len(words))
			line = strings.Join(words[:i+1], "") + strings.Join(words[i:], "")
		case 6: // a word left out
			words := strings.SplitAfter(line, " ")
			i := r.IntN(len(words))
			line = strings.Join(words[:i], "") + strings.Join(words[i+1:], "")
		case 7: // other case
			line = strings.ToUpper(line[:at]) + line[at:]
		}
		if line = strings.ToValidUTF8(strings.ReplaceAll(line, "\n", " "), "?"); strings.TrimSpace(line) != "" {
			all = append(all, line)
		}
	}
	return all
}

// DOORWARD_FORGED is how many forged lines each filter gets, and DOORWARD_SEED which ones; a few always.
func TestForgedLinesGiveWhatFail2banFinds(t *testing.T) {
	files, err := os.ReadDir(sampleLogs)
	if err != nil {
		t.Skipf("left out: fail2ban's own sample logs are not installed: %v", err)
	}
	n, seed := 20, uint64(1)
	if v, err := strconv.Atoi(os.Getenv("DOORWARD_FORGED")); err == nil {
		n = v
	}
	if v, err := strconv.ParseUint(os.Getenv("DOORWARD_SEED"), 10, 64); err == nil {
		seed = v
	}
	var jobs []job
	for i, file := range files {
		if _, err := os.Stat(filepath.Join(installed, "filter.d", file.Name()+".conf")); err != nil || file.IsDir() {
			continue
		}
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for _, j := range samples(t, file.Name()) {
			j.Lines = forged(r, j.Lines, n)
			j.Timezone = []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"}[r.IntN(4)]
			j.Now += int64(r.IntN(400)) * 86400
			if r.IntN(4) == 0 {
				j.Logzone = []string{"UTC+0200", "GMT-03:30", "UTC"}[r.IntN(3)]
			}
			if r.IntN(8) == 0 {
				set := map[string]string{}
				for k, v := range j.Options {
					set[k] = v
				}
				set["maxlines"] = fmt.Sprint(1 + r.IntN(5))
				j.Options = set
			}
			jobs = append(jobs, j)
		}
	}
	found := sameLines(t, jobs)
	t.Logf("%d jobs of %d lines: %d failures", len(jobs), n, found)
	if found < 2*len(jobs) {
		t.Errorf("%d failures are too few to compare", found)
	}
}
