package event_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func TestCleaning(t *testing.T) {
	tests := []struct{ name, give, want string }{
		{"plain", "GET /index.html?q=1~", "GET /index.html?q=1~"},
		{"other scripts", "Grüße 世界 🙂", "Grüße 世界 🙂"},
		{"NUL", "before\x00after", `before\x00after`},
		{"not UTF-8", "caf\xe9 \xff\xfe", `caf\xe9 \xff\xfe`},
		{"cut in a character", "half \xe4\xb8", `half \xe4\xb8`},
		{"overlong", "\xc0\xaf", `\xc0\xaf`},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"new line", "line\nforged line\r\n", `line\x0aforged line\x0d\x0a`},
		{"terminal", "\x1b[2J\x1b]0;owned\x07", `\x1b[2J\x1b]0;owned\x07`},
		{"C1 control", "a\u009b31mb", `a\u009b31mb`},
		{"right to left", "exe\u202egpj", `exe\u202egpj`},
		{"invisible", "ad\u200bmin\ufeff", `ad\u200bmin\ufeff`},
		{"line separator", "a\u2028b", `a\u2028b`},
		{"delete", "a\x7f", `a\x7f`},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{})
		now := time.Now()
		for i, test := range tests {
			l.Append(event.Event{
				Time: now.Add(-time.Duration(i) * time.Second), Class: event.HTTP, Outcome: event.Success, Action: test.give, User: test.give,
				Site: test.give, Fields: []event.Field{{Key: "target", Value: test.give}, {Key: test.give, Value: "odd key"}}, Raw: test.give,
			})
		}
		flush(t, l)
		got := query(t, l, event.Query{})
		if len(got) != len(tests) {
			t.Fatalf("got %d events, want %d: one was lost", len(got), len(tests))
		}
		for i, test := range tests {
			e := got[i]
			texts := []string{e.Action, e.User, e.Site, e.Fields[0].Value, e.Fields[1].Key}
			if diff := cmp.Diff([]string{test.want, test.want, test.want, test.want, test.want}, texts); diff != "" {
				t.Errorf("%s, -want +got:\n%s", test.name, diff)
			}
			wantRaw := strings.ReplaceAll(test.want, `\x0a`, "\n")
			if e.Raw != wantRaw {
				t.Errorf("%s: raw line: got %q, want %q", test.name, e.Raw, wantRaw)
			}
		}
		if stats := l.Stats(); stats.Cleaned < 60 || stats.Failed != 0 || stats.Dropped != 0 {
			t.Errorf("Stats: got %+v, want 60 or more texts cleaned and nothing lost", stats)
		}
	})
}

func TestCaps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{})
		long := strings.Repeat("ä", 20<<10)
		e := event.Event{Class: event.HTTP, Action: long, User: long, Site: long, Raw: long}
		for i := range 100 {
			e.Fields = append(e.Fields, event.Field{Key: fmt.Sprintf("%02d%s", i, long), Value: long})
		}
		l.Append(e)
		l.Append(event.Event{Class: event.HTTP, Action: strings.Repeat("\x00", 300)})
		flush(t, l)
		got := query(t, l, event.Query{})
		if len(got) != 2 {
			t.Fatalf("got %d events, want 2", len(got))
		}
		for _, e := range got {
			for what, text := range map[string]struct {
				text  string
				limit int
			}{"action": {e.Action, 256}, "user": {e.User, 256}, "site": {e.Site, 256}, "raw": {e.Raw, 16 << 10}} {
				if len(text.text) > text.limit || !utf8.ValidString(text.text) {
					t.Errorf("%s has %d bytes, want at most %d, and whole characters", what, len(text.text), text.limit)
				}
			}
			if len(e.Fields) > 64 {
				t.Errorf("got %d fields, want at most 64", len(e.Fields))
			}
			for _, f := range e.Fields {
				if len(f.Key) > 64 || len(f.Value) > 2048 || !utf8.ValidString(f.Key+f.Value) {
					t.Errorf("a field has a key of %d bytes and a value of %d, want at most 64 and 2048, and whole characters", len(f.Key), len(f.Value))
				}
			}
		}
		if got, want := l.Stats().Truncated, uint64(1+4+2*64+1); got != want {
			t.Errorf("Truncated: got %d, want %d", got, want)
		}
	})
}

// TestCleaningKeepsTheCallersFields: the slice that was appended belongs to the caller's other uses too.
func TestCleaningKeepsTheCallersFields(t *testing.T) {
	l := start(t, storetest.SQLite(t), event.Config{})
	fields := []event.Field{{Key: "target", Value: "a\x00b"}}
	l.Append(event.Event{Class: event.HTTP, Fields: fields})
	flush(t, l)
	if want := "a\x00b"; fields[0].Value != want {
		t.Errorf("the caller's field: got %q, want %q", fields[0].Value, want)
	}
}

// TestUnknownWords: values outside the vocabulary are stored as unknown, not lost.
func TestUnknownWords(t *testing.T) {
	l := start(t, storetest.SQLite(t), event.Config{})
	l.Append(event.Event{Class: "gossip", Outcome: "maybe", Severity: 99, ID: "not-an-id"})
	flush(t, l)
	got := query(t, l, event.Query{})
	if len(got) != 1 || got[0].Class != "" || got[0].Outcome != event.Unknown || got[0].Severity != event.SeverityUnknown || len(got[0].ID) != 36 {
		t.Errorf("got %+v, want one event with unknown class, outcome and severity and a new id", got)
	}
	for s, want := range map[event.Severity]string{event.Informational: "informational", event.Fatal: "fatal", -1: "unknown", 77: "unknown"} {
		if s.String() != want {
			t.Errorf("Severity(%d).String(): got %q, want %q", s, s, want)
		}
	}
}

func TestID(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{})
		now := time.Now()
		fits, strays := request(now, 1), request(now.Add(-time.Second), 2)
		fits.ID, strays.ID = event.NewID(now), event.NewID(now)
		l.Append(fits)
		l.Append(strays)
		flush(t, l)
		got := query(t, l, event.Query{})
		if len(got) != 2 {
			t.Fatalf("got %d events, want 2", len(got))
		}
		if got[0].ID != fits.ID {
			t.Errorf("an id made for the event's time: got %s, want %s", got[0].ID, fits.ID)
		}
		if got[1].ID == strays.ID || got[1].ID >= got[0].ID {
			t.Errorf("an id made for another time: got %s, want a new one before %s", got[1].ID, got[0].ID)
		}
	})
}

func TestKeysAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range event.Keys() {
		if seen[key] {
			t.Errorf("the key %q has two codes", key)
		}
		seen[key] = true
	}
	if event.Keys()[0] != "" || len(event.Keys()) > 256 {
		t.Error("code 0 must be the empty key, and a code is one byte")
	}
}

func FuzzStored(f *testing.F) {
	for _, seed := range []string{"GET", "a\x00b", "\xff\xfe", "\u202e", "x\ny\tz", strings.Repeat("ä", 3000), `\x00`} {
		f.Add(seed, seed, seed, int64(0))
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, key, raw string, offset int64) {
		give := event.Event{Time: now.Add(time.Duration(offset)), Class: event.HTTP, Action: text, User: text,
			Fields: []event.Field{{Key: key, Value: text}, {Key: "target", Value: raw}}, Raw: raw}
		got, _, _, err := event.Stored(give, now)
		if err != nil {
			t.Fatalf("read back: %v", err)
		}
		if got.Time.After(now.Add(24*time.Hour)) || got.Time.Before(now.AddDate(0, 0, -30)) {
			t.Errorf("stored with the time %v", got.Time)
		}
		for _, field := range append(got.Fields, event.Field{Key: got.Action, Value: got.User}) {
			checkText(t, field.Key, 256, false)
			checkText(t, field.Value, 2048, false)
		}
		checkText(t, got.Raw, 16<<10, true)
		again, cleaned, truncated, err := event.Stored(got, now)
		if err != nil || cleaned+truncated != 0 {
			t.Errorf("what was stored is not clean: %d cleaned, %d cut, %v", cleaned, truncated, err)
		}
		if diff := cmp.Diff(got, again, cmp.Comparer(sameAddress)); diff != "" {
			t.Errorf("stored twice, -first +second:\n%s", diff)
		}
	})
}

func checkText(t *testing.T, text string, limit int, lines bool) {
	t.Helper()
	if len(text) > limit || !utf8.ValidString(text) {
		t.Errorf("%q: %d bytes, want at most %d of UTF-8", text, len(text), limit)
	}
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Zl, unicode.Zp) && !(lines && (r == '\n' || r == '\t')) {
			t.Errorf("%q holds the hidden character %U", text, r)
		}
	}
}

func FuzzReread(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0})
	f.Add([]byte{1, 1, 0, 1, 'k', 1, 'v', 3, 'r', 'a', 'w'})
	f.Add([]byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Add([]byte{2, 0, 0})
	f.Fuzz(func(t *testing.T, extra []byte) {
		e, err := event.Reread(extra)
		if err == nil && len(e.Fields) > len(extra) {
			t.Errorf("%d fields came out of %d bytes", len(e.Fields), len(extra))
		}
	})
}
