package ingest

import (
	"strings"
	"testing"
	"time"
)

// ReadFormat reads the lines of a text, twice with what is held back saved in between, and fails unless both ways agree and no
// line is lost.
func ReadFormat(t *testing.T, f Format, text string) {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, line)
	}
	now := time.Unix(1764097080, 0)
	read := func(save bool) (all []string) {
		r := f.reader(nil)
		add := func(rec Record) { all = append(all, rec.Text) }
		for _, line := range lines {
			if r.line([]byte(line), false, now, add); save {
				r = f.reader(r.held())
			}
		}
		r.due(now.Add(time.Hour), add)
		return all
	}
	once, saved := read(false), read(true)
	if f == Asterisk && strings.Count(strings.Join(once, "\n"), "\n") != strings.Count(text, "\n") && len(text) < maxTraced {
		t.Errorf("%q became %q", text, once)
	}
	if strings.Join(once, "\n") != strings.Join(saved, "\n") {
		t.Errorf("%q read as %q, and with a restart as %q", text, once, saved)
	}
	if f != Docker && f != Auditd && f != Asterisk && len(once) != len(lines) {
		t.Errorf("%d lines became %d records", len(lines), len(once))
	}
}

// FormatRecords reads the lines of a text.
func FormatRecords(f Format, text string) (all []Record) {
	r, now := f.reader(nil), time.Unix(1764097080, 0)
	add := func(rec Record) { all = append(all, rec) }
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		r.line([]byte(line), false, now, add)
	}
	r.due(now.Add(time.Hour), add)
	return all
}
