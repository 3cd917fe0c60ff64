package event_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// yesterday is noon of the day before, so that no test runs over the end of a day.
func yesterday() time.Time {
	return time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
}

func counts(t *testing.T, l *event.Log, q event.CountQuery) []event.Count {
	t.Helper()
	got, err := l.Counts(t.Context(), q)
	if err != nil {
		t.Fatalf("Counts(%+v): %v", q, err)
	}
	return got
}

func total(all []event.Count) (sum int64) {
	for _, c := range all {
		sum += c.Events
	}
	return sum
}

func top(t *testing.T, l *event.Log, list event.List, from, to time.Time) event.Top {
	t.Helper()
	got, err := l.Top(t.Context(), list, from, to, 512)
	if err != nil {
		t.Fatalf("Top(%s): %v", list, err)
	}
	return got
}

func TestCountsAndTopLists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, noon := start(t, db, event.Config{}), yesterday()
		one, two := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::2")
		add := func(n int, e event.Event) {
			for range n {
				l.Append(e)
			}
			flush(t, l) // in several batches
		}
		target := func(s string) []event.Field { return []event.Field{{Key: "target", Value: s}} }
		add(3, event.Event{Time: noon, Class: event.HTTP, Outcome: event.Success, Action: "GET", Source: one, User: "ada", Site: "x", Fields: target("/a?id=1")})
		add(2, event.Event{Time: noon.Add(time.Minute), Class: event.HTTP, Outcome: event.Refused, Action: "GET", Source: two, Site: "x", Fields: target("/a?id=2")})
		add(1, event.Event{Time: noon.Add(time.Hour), Class: event.Authentication, Outcome: event.Failure, Action: "sign-in", Source: netip.MustParseAddr("2001:db8::3"), User: "ada", Site: "y"})
		add(4, event.Event{Time: noon.Add(-24 * time.Hour), Class: event.HTTP, Outcome: event.Success, Action: "GET", Source: one, Site: "y"})

		want := []event.Count{{Class: event.Authentication, Outcome: event.Failure, Events: 1}, {Class: event.HTTP, Outcome: event.Refused, Events: 2}, {Class: event.HTTP, Outcome: event.Success, Events: 7}}
		if diff := cmp.Diff(want, counts(t, l, event.CountQuery{})); diff != "" {
			t.Errorf("all counts, -want +got:\n%s", diff)
		}
		want = []event.Count{
			{Time: noon, Class: event.HTTP, Outcome: event.Success, Site: "x", Events: 3},
			{Time: noon.Add(time.Minute), Class: event.HTTP, Outcome: event.Refused, Site: "x", Events: 2},
		}
		q := event.CountQuery{From: noon, To: noon.Add(2 * time.Minute), Step: time.Minute, BySite: true}
		if diff := cmp.Diff(want, counts(t, l, q)); diff != "" {
			t.Errorf("by minute and site, -want +got:\n%s", diff)
		}
		if got := total(counts(t, l, event.CountQuery{Site: "y"})); got != 5 {
			t.Errorf("events of y: got %d, want 5", got)
		}
		if got := total(counts(t, l, event.CountQuery{Class: event.HTTP, Outcome: event.Refused})); got != 2 {
			t.Errorf("refused requests: got %d, want 2", got)
		}

		for list, want := range map[event.List][]event.TopItem{
			event.Sources:       {{Value: "203.0.113.1", Count: 7}, {Value: "2001:db8::/64", Count: 3}},
			event.Users:         {{Value: "ada", Count: 4}},
			event.Actions:       {{Value: "GET", Count: 9}, {Value: "sign-in", Count: 1}},
			event.Paths:         {{Value: "/a", Count: 5}},
			event.DeniedSources: {{Value: "2001:db8::/64", Count: 3}},
			event.DeniedUsers:   {{Value: "ada", Count: 1}},
			event.DeniedActions: {{Value: "GET", Count: 2}, {Value: "sign-in", Count: 1}},
			event.DeniedPaths:   {{Value: "/a", Count: 2}},
		} {
			got := top(t, l, list, time.Time{}, time.Time{})
			if diff := cmp.Diff(want, got.Items); diff != "" || got.Error != 0 {
				t.Errorf("%s, error %d, -want +got:\n%s", list, got.Error, diff)
			}
		}
		got := top(t, l, event.Sources, noon.Add(10*time.Minute), noon.Add(20*time.Minute))
		if diff := cmp.Diff([]event.TopItem{{Value: "203.0.113.1", Count: 3}, {Value: "2001:db8::/64", Count: 2}}, got.Items); diff != "" || !got.From.Equal(noon) || !got.To.Equal(noon.Add(time.Hour)) {
			t.Errorf("one hour, %v to %v, -want +got:\n%s", got.From, got.To, diff)
		}
		if _, err := l.Top(t.Context(), "shoes", noon, noon, 1); err == nil {
			t.Error("a list that there is not: got no error")
		}
	})
}

// TestSitesAreCapped: a stranger who makes up sites fills neither memory nor disk, and no event is lost from the sum.
func TestSitesAreCapped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, noon := start(t, db, event.Config{}), yesterday()
		for i := range 200 {
			l.Append(event.Event{Time: noon, Class: event.HTTP, Outcome: event.Success, Site: fmt.Sprintf("site-%03d", i)})
			if i%50 == 0 {
				flush(t, l)
			}
		}
		flush(t, l)
		got := counts(t, l, event.CountQuery{BySite: true})
		if len(got) != 65 || total(got) != 200 {
			t.Errorf("got %d sites with %d events, want 64 and the others with 200", len(got), total(got))
		}
		if others := counts(t, l, event.CountQuery{Site: event.OtherSites}); len(others) != 1 || others[0].Events != 136 {
			t.Errorf("events of other sites: got %+v, want 136", others)
		}
		page, err := l.Search(t.Context(), event.Query{Site: "site-199"}, "")
		if err != nil || len(page.Events) != 1 {
			t.Errorf("a search for a site that is not counted apart: got %d events, %v; want 1", len(page.Events), err)
		}
	})
}

// TestTopListAtItsCap: values that a stranger makes up push no frequent one out, and the stated error holds.
func TestTopListAtItsCap(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, noon := start(t, db, event.Config{}), yesterday()
		const made, often = 30_000, 900
		for i := range made {
			l.Append(event.Event{Time: noon, Class: event.HTTP, Action: fmt.Sprintf("made-up-%d", i)})
			if i%(made/often) == 0 && i/(made/often) < often {
				l.Append(event.Event{Time: noon, Class: event.HTTP, Action: "often"})
			}
			if i%400 == 0 {
				flush(t, l) // enough batches for their summaries to be put together
			}
		}
		flush(t, l)
		got := top(t, l, event.Actions, time.Time{}, time.Time{})
		if len(got.Items) > 512 || got.Error == 0 || got.Error > (made+often)/512 {
			t.Errorf("got %d values with an error of %d, want 512 at most and an error of 1 to %d", len(got.Items), got.Error, (made+often)/512)
		}
		if len(got.Items) == 0 || got.Items[0].Value != "often" || got.Items[0].Count > often || got.Items[0].Count < often-got.Error {
			t.Errorf("first: got %+v, error %d; want often with about %d", got.Items[:min(1, len(got.Items))], got.Error, often)
		}
	})
}

// TestHistogramIsCapped: a question for too many steps is refused, not answered by a part.
func TestHistogramIsCapped(t *testing.T) {
	l, noon := start(t, storetest.SQLite(t), event.Config{}), yesterday()
	outcomes := []event.Outcome{event.Success, event.Failure, event.Refused, event.Unknown}
	for i := range 8 * 1440 {
		at := noon.Add(-12 * time.Hour).Add(time.Duration(i%1440) * time.Minute)
		l.Append(event.Event{Time: at, Class: []event.Class{event.HTTP, event.Email}[i/1440/4], Outcome: outcomes[i/1440%4]})
	}
	flush(t, l)
	if got := counts(t, l, event.CountQuery{Step: time.Minute, Class: event.HTTP}); total(got) != 5760 || len(got) != 5760 {
		t.Errorf("requests: got %d in %d counts, want 5760 in as many", total(got), len(got))
	}
	if _, err := l.Counts(t.Context(), event.CountQuery{Step: time.Minute}); !errors.Is(err, event.ErrSteps) {
		t.Errorf("11,520 counts: got %v, want %v", err, event.ErrSteps)
	}
}

// TestCountersOfOlderLog: events from before there were counters are counted when the log is opened or asked.
func TestCountersOfOlderLog(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		cfg, noon := event.Config{Dir: filepath.Join(t.TempDir(), "events")}, yesterday()
		l := start(t, db, cfg)
		for i := range 5000 {
			l.Append(request(noon.Add(time.Duration(i)*time.Second), i))
		}
		flush(t, l)
		forgetCounters(t, db, filepath.Join(cfg.Dir, "events-"+noon.Format(time.DateOnly)+".db"))
		l = start(t, db, cfg)
		if got := total(counts(t, l, event.CountQuery{})); got != 5000 {
			t.Errorf("events counted again: got %d, want 5000", got)
		}
		if got := top(t, l, event.Paths, time.Time{}, time.Time{}); len(got.Items) != 1 || got.Items[0].Count != 5000 {
			t.Errorf("paths counted again: got %+v, want one 5000 times", got.Items)
		}
		if got := len(feedAll(t, l, noon)); got != 5000 {
			t.Errorf("events in the order of arrival: got %d, want 5000", got)
		}
	})
}

// forgetCounters makes of the log one that was written before there were counters.
func forgetCounters(t *testing.T, db *store.DB, path string) {
	t.Helper()
	var target *sql.DB
	var err error
	if db.Dialect() == store.PostgreSQL {
		target, err = db.SeparatePool(1)
	} else {
		target, err = sql.Open("sqlite", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	for _, table := range []string{"event_minute", "event_hour", "event_batch"} {
		if _, err := target.ExecContext(t.Context(), "DROP TABLE "+table); err != nil {
			t.Fatal(err)
		}
	}
}
