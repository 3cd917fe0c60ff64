package event_test

import (
	"context"
	"database/sql"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite" // to damage day files

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// actions are the actions of events, in their order.
func actions(events []event.Event) string {
	var names []string
	for _, e := range events {
		names = append(names, e.Action)
	}
	return strings.Join(names, " ")
}

func TestQuery(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{})
		noon := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour).Add(-24 * time.Hour)
		one, two := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::2")
		for _, e := range []event.Event{ // appended in no order; the letters are the order of time
			{Time: noon.Add(-24 * time.Hour), Class: event.HTTP, Outcome: event.Success, Action: "b", Source: one, User: "ada", Site: "x"},
			{Time: noon, Class: event.Authentication, Outcome: event.Refused, Action: "e", Source: two, User: "bob", Site: "y"},
			{Time: noon.Add(-48 * time.Hour), Class: event.HTTP, Outcome: event.Refused, Action: "a", Source: two, User: "bob", Site: "x"},
			{Time: noon.Add(time.Microsecond), Class: event.Incident, Outcome: event.Unknown, Action: "f"},
			{Time: noon.Add(-time.Microsecond), Class: event.HTTP, Outcome: event.Failure, Action: "d", Source: one, User: "ada", Site: "y"},
			{Time: noon.Add(-23 * time.Hour), Class: event.Detection, Outcome: event.Success, Action: "c", Source: one, User: "Ada", Site: "X"},
		} {
			l.Append(e)
			flush(t, l) // each in a batch of its own, so that the store and not the batch must order them
		}
		for _, test := range []struct {
			name string
			give event.Query
			want string
		}{
			{"all", event.Query{}, "f e d c b a"},
			{"limit", event.Query{Limit: 2}, "f e"},
			{"limit over a day's end", event.Query{Limit: 4}, "f e d c"},
			{"negative limit", event.Query{Limit: -1}, "f e d c b a"},
			{"from", event.Query{From: noon}, "f e"},
			{"from, between microseconds", event.Query{From: noon.Add(time.Nanosecond)}, "f"},
			{"to", event.Query{To: noon}, "d c b a"},
			{"from and to", event.Query{From: noon.Add(-24 * time.Hour), To: noon}, "d c b"},
			{"nothing between", event.Query{From: noon.Add(-47 * time.Hour), To: noon.Add(-25 * time.Hour)}, ""},
			{"to before from", event.Query{From: noon, To: noon.Add(-time.Hour)}, ""},
			{"class", event.Query{Class: event.HTTP}, "d b a"},
			{"unknown class", event.Query{Class: "gossip"}, ""},
			{"outcome", event.Query{Outcome: event.Refused}, "e a"},
			{"outcome unknown", event.Query{Outcome: event.Unknown}, "f"},
			{"user, case matters", event.Query{User: "ada"}, "d b"},
			{"site", event.Query{Site: "x"}, "b a"},
			{"source", event.Query{Source: two}, "e a"},
			{"source in its IPv6 form", event.Query{Source: netip.MustParseAddr("::ffff:203.0.113.1")}, "d c b"},
			{"everything at once", event.Query{From: noon.Add(-72 * time.Hour), To: noon, Class: event.HTTP, Outcome: event.Refused, User: "bob", Site: "x", Source: two, Limit: 1}, "a"},
			{"a quote", event.Query{User: `' OR 1=1 --`}, ""},
		} {
			if got := actions(query(t, l, test.give)); got != test.want {
				t.Errorf("%s: got %q, want %q", test.name, got, test.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Query(ctx, event.Query{}); err == nil {
			t.Error("a cancelled query: got no error")
		}
	})
}

// TestOrderInOneMicrosecond: events of one moment come back in the order they were appended, newest first.
func TestOrderInOneMicrosecond(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{})
		now := time.Now()
		for _, action := range []string{"a", "b", "c", "d", "e"} {
			e := request(now, 1)
			e.Action = action
			l.Append(e)
		}
		flush(t, l)
		if got, want := actions(query(t, l, event.Query{})), "e d c b a"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestWrongClocks: a time that cannot be true, as a log line from elsewhere may state, must neither make a
// day that retention never reaches nor hide the event; a clock set back a little is believed.
func TestWrongClocks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{RetentionDays: 3})
		now := time.Now().UTC()
		for action, at := range map[string]time.Time{
			"far-future": now.AddDate(5000, 0, 0), "beyond-years": time.Unix(1<<60, 0), "1970": time.Unix(0, 0), "long-ago": now.AddDate(0, 0, -30),
			"set-back": now.Add(-5 * time.Hour), "ahead": now.Add(2 * time.Hour),
		} {
			l.Append(event.Event{Time: at, Class: event.HTTP, Action: action})
		}
		flush(t, l)
		got := map[string]bool{} // action: was its time believed?
		for _, e := range query(t, l, event.Query{From: now.AddDate(0, 0, -2), To: now.AddDate(0, 0, 2)}) {
			got[e.Action] = len(e.Fields) == 0
			if len(e.Fields) == 1 && e.Fields[0].Key != "stated_time" {
				t.Errorf("%s: got the field %+v, want stated_time", e.Action, e.Fields[0])
			}
		}
		want := map[string]bool{"far-future": false, "beyond-years": false, "1970": false, "long-ago": false, "set-back": true, "ahead": true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("times believed, -want +got:\n%s", diff)
		}
		if got := l.Stats().Retimed; got != 4 {
			t.Errorf("Retimed: got %d, want 4", got)
		}
	})
}

func TestExpire(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{RetentionDays: 3})
		now := time.Now().UTC()
		for i, action := range []string{"today", "yesterday", "before"} {
			l.Append(event.Event{Time: now.Truncate(24*time.Hour).AddDate(0, 0, -i).Add(time.Second), Class: event.HTTP, Action: action})
		}
		flush(t, l)
		for _, step := range []struct {
			ahead, removed int
			want           string
		}{{0, 0, "today yesterday before"}, {1, 1, "today yesterday"}, {1, 0, "today yesterday"}, {3, 2, ""}} {
			removed, err := l.Expire(t.Context(), now.AddDate(0, 0, step.ahead))
			if err != nil || removed != step.removed {
				t.Errorf("Expire %d days later: got %d, %v; want %d days removed", step.ahead, removed, err, step.removed)
			}
			if got := actions(query(t, l, event.Query{})); got != step.want {
				t.Errorf("events %d days later: got %q, want %q", step.ahead, got, step.want)
			}
		}
		l.Append(event.Event{Class: event.HTTP, Action: "again"})
		flush(t, l)
		if got := actions(query(t, l, event.Query{})); got != "again" {
			t.Errorf("events after today's were removed: got %q, want %q", got, "again")
		}
	})
}

// TestRetentionRuns lets days pass and wants the files of old days to go by themselves.
func TestRetentionRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "events")
		l := start(t, storetest.SQLite(t), event.Config{RetentionDays: 1, Dir: dir})
		l.Append(request(time.Now(), 1))
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := filepath.Join(dir, "events-"+time.Now().UTC().Format(time.DateOnly)+".db")
		if _, err := os.Stat(first); err != nil {
			t.Fatalf("the first day's file: %v", err)
		}
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		l.Append(request(time.Now(), 2))
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range left {
			if strings.HasPrefix(path, first) {
				t.Errorf("%s is still there 26 hours later, with a retention of one day", path)
			}
		}
		if got := l.Stats(); got.Expired != 1 || got.Written != 2 {
			t.Errorf("Stats: got %+v, want one day expired and two events written", got)
		}
	})
}

func TestDayFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "events")
	l := start(t, storetest.SQLite(t), event.Config{Dir: dir})
	l.Append(request(time.Now(), 1))
	flush(t, l)
	path := filepath.Join(dir, "events-"+time.Now().UTC().Format(time.DateOnly)+".db")
	for name, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, path: 0o600, path + "-wal": 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: got %v, %v; want mode %v", name, info, err, want)
		}
	}
	file, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var indexes int
	if err := file.QueryRow(`SELECT COUNT(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'event'`).Scan(&indexes); err != nil || indexes != 0 {
		t.Errorf("indexes in the live day: got %d, %v; want none", indexes, err)
	}
	var seen, action string
	if err := file.QueryRow(`SELECT utc, action FROM event_view`).Scan(&seen, &action); err != nil || action != "GET" || !strings.HasPrefix(path, filepath.Join(dir, "events-"+seen[:10])) {
		t.Errorf("the view for people: got %q, %q, %v", seen, action, err)
	}
	// Files that are not ours are neither read nor removed.
	for _, name := range []string{"notes.txt", "events-yesterday.db", "events-2020-13-45.db", "events-2020-01-01.db.bak"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Expire(t.Context(), time.Now()); err != nil {
		t.Errorf("Expire: %v", err)
	}
	if got := len(query(t, l, event.Query{})); got != 1 {
		t.Errorf("events beside strange files: got %d, want 1", got)
	}
	for _, name := range []string{"notes.txt", "events-yesterday.db", "events-2020-13-45.db", "events-2020-01-01.db.bak"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("a file that is not ours: %v", err)
		}
	}
}

// TestDamagedDay damages days in several ways and wants the others, and what can be read of the damaged
// ones, with an error that names them.
func TestDamagedDay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	l := start(t, storetest.SQLite(t), event.Config{Dir: dir})
	today := time.Now().UTC().Truncate(24 * time.Hour).Add(time.Second)
	path := func(back int) string {
		return filepath.Join(dir, "events-"+today.AddDate(0, 0, -back).Format(time.DateOnly)+".db")
	}
	for back, action := range []string{"a", "b", "c", "d", "e"} {
		e := request(today.AddDate(0, 0, -back), back)
		e.Action = action
		l.Append(e)
		flush(t, l)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// The writer keeps two days open; those before are closed and have no write-ahead log any more.
	if left, err := filepath.Glob(filepath.Join(dir, "*-wal")); err != nil || len(left) != 2 {
		t.Errorf("write-ahead logs: got %q, %v; want those of two days", left, err)
	}
	must(os.WriteFile(path(1), []byte(strings.Repeat("not a database at all ", 500)), 0o600))
	must(os.Truncate(path(2), 0))
	file, err := sql.Open("sqlite", path(3))
	must(err)
	_, err = file.Exec(`UPDATE event SET extra = X'0105'`)
	must(err)
	_, err = file.Exec(`INSERT INTO event (id, tail, kind, source) VALUES (1, 1, 999999999, 'nowhere')`)
	must(err)
	must(file.Close())
	must(os.Mkdir(path(5), 0o700))

	got, err := l.Query(t.Context(), event.Query{})
	if want := "a d  e"; actions(got) != want {
		t.Errorf("events that could be read: got %q, want %q", actions(got), want)
	}
	for _, back := range []int{1, 2, 3, 5} {
		if day := today.AddDate(0, 0, -back).Format(time.DateOnly); err == nil || !strings.Contains(err.Error(), "day "+day) {
			t.Errorf("the error does not name the damaged day %s: %v", day, err)
		}
	}
	if err != nil && (!strings.Contains(err.Error(), "fields are damaged") || !strings.Contains(err.Error(), "not an address")) {
		t.Errorf("the error does not say what is damaged: %v", err)
	}
	must(os.Remove(path(5)))
	must(os.Remove(path(1)))
	must(os.Remove(path(2)))
	if got, _ := l.Query(t.Context(), event.Query{}); actions(got) != "a d  e" {
		t.Errorf("events after damaged days were removed by hand: got %q, want %q", actions(got), "a d  e")
	}
}
