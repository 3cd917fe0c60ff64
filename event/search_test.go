package event_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// feedAll reads a day in the order of arrival, a few events at a time.
func feedAll(t *testing.T, l *event.Log, at time.Time) []event.Event {
	t.Helper()
	var all []event.Event
	for position := (event.Position{}); ; {
		events, next, err := l.Feed(t.Context(), at.UTC().Format(time.DateOnly), position, 700)
		if err != nil {
			t.Fatalf("Feed(%+v): %v", position, err)
		}
		if len(events) == 0 {
			return all
		}
		all, position = append(all, events...), next
	}
}

func searchAll(t *testing.T, l *event.Log, q event.Query) (all []event.Event, pages int) {
	t.Helper()
	for cursor := ""; ; pages++ {
		page, err := l.Search(t.Context(), q, cursor)
		if err != nil {
			t.Fatalf("Search(%+v, %q): %v", q, cursor, err)
		}
		all = append(all, page.Events...)
		if cursor = page.Next; cursor == "" {
			return all, pages + 1
		}
	}
}

func TestSearch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, noon := start(t, db, event.Config{}), yesterday()
		one, two := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::2")
		for _, e := range []event.Event{
			{Time: noon, Class: event.HTTP, Outcome: event.Success, Action: "a", Source: one, Severity: event.Low, Fields: []event.Field{{Key: "status", Value: "200"}, {Key: "odd", Value: "Köln"}}},
			{Time: noon.Add(time.Second), Class: event.HTTP, Outcome: event.Refused, Action: "b", Source: two, Severity: event.High, Raw: "Failed PASSWORD for %root_"},
			{Time: noon.Add(time.Hour), Class: event.Authentication, Outcome: event.Failure, Action: "c", Source: one, User: "Ada", Fields: []event.Field{{Key: "status", Value: "401"}, {Key: "host", Value: "200"}}},
			{Time: noon.Add(-24 * time.Hour), Class: event.HTTP, Outcome: event.Success, Action: "d", Site: "Shop"},
		} {
			l.Append(e)
		}
		flush(t, l)
		for _, test := range []struct {
			name string
			give event.Query
			want string
		}{
			{"all", event.Query{}, "c b a d"},
			{"network", event.Query{Network: netip.MustParsePrefix("203.0.113.0/24")}, "c a"},
			{"network, IPv6", event.Query{Network: netip.MustParsePrefix("2001:db8::/64")}, "b"},
			{"network, IPv4 in IPv6", event.Query{Network: netip.MustParsePrefix("::ffff:203.0.113.0/120")}, "c a"},
			{"action", event.Query{Action: "b"}, "b"},
			{"severity", event.Query{Severity: event.Medium}, "b"},
			{"field", event.Query{Fields: []event.Field{{Key: "status", Value: "200"}}}, "a"},
			{"two fields", event.Query{Fields: []event.Field{{Key: "status", Value: "401"}, {Key: "host", Value: "200"}}}, "c"},
			{"key without a code", event.Query{Fields: []event.Field{{Key: "odd", Value: "Köln"}}}, "a"},
			{"text in the line, in another case", event.Query{Text: "password FOR"}, "b"},
			{"text with the signs of LIKE", event.Query{Text: "%root_"}, "b"},
			{"text that LIKE would find", event.Query{Text: "F%d"}, ""},
			{"text in a field, another letter Ö", event.Query{Text: "KÖLN"}, ""},
			{"text in a field, in another case", event.Query{Text: "köLN"}, "a"},
			{"text in a field, as it is", event.Query{Text: "Köln"}, "a"},
			{"text in the user", event.Query{Text: "ada"}, "c"},
			{"text in the site", event.Query{Text: "shop"}, "d"},
			{"text over the end of a value", event.Query{Text: "200\x03odd"}, ""},
			{"time", event.Query{From: noon, To: noon.Add(time.Minute)}, "b a"},
			{"class and outcome", event.Query{Class: event.HTTP, Outcome: event.Success}, "a d"},
			{"all at once", event.Query{Class: event.HTTP, Text: "root", Network: netip.MustParsePrefix("2001:db8::/32"), Severity: event.High}, "b"},
		} {
			for limit := range 3 {
				q := test.give
				q.Limit = limit // 0: all on a page
				got, pages := searchAll(t, l, q)
				if actions(got) != test.want {
					t.Errorf("%s, %d a page: got %q, want %q", test.name, limit, actions(got), test.want)
				}
				if limit == 0 && pages != 1 {
					t.Errorf("%s: got %d pages, want 1", test.name, pages)
				}
			}
			if got := actions(query(t, l, test.give)); got != test.want {
				t.Errorf("%s, Query: got %q, want %q", test.name, got, test.want)
			}
		}
		if _, err := l.Search(t.Context(), event.Query{}, "nonsense"); !errors.Is(err, event.ErrCursor) {
			t.Errorf("a cursor that is none: got %v, want %v", err, event.ErrCursor)
		}
		if _, err := l.Search(t.Context(), event.Query{Text: strings.Repeat("x", 300)}, ""); !errors.Is(err, event.ErrQuery) {
			t.Errorf("a long text: got %v, want %v", err, event.ErrQuery)
		}
	})
}

// TestSearchGoesOn: with many events of the same moment, and new ones between the pages, each old one is found once.
func TestSearchGoesOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, noon := start(t, db, event.Config{}), yesterday()
		for i := range 2500 {
			l.Append(request(noon.Add(time.Duration(i/500)*time.Microsecond), i))
		}
		flush(t, l)
		seen := map[string]bool{}
		for cursor, pages := "", 0; ; pages++ {
			page, err := l.Search(t.Context(), event.Query{Limit: 300}, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				if seen[e.ID] {
					t.Fatalf("page %d shows %s again", pages, e.ID)
				}
				seen[e.ID] = true
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			l.Append(request(noon.Add(time.Hour), 1))
			flush(t, l)
		}
		if len(seen) != 2500 {
			t.Errorf("found %d events, want 2500", len(seen))
		}
	})
}

// TestSearchIsBounded: a search for what is not there stops, says how far it came, and goes on from there.
func TestSearchIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 300,000 events")
	}
	l, noon := start(t, storetest.SQLite(t), event.Config{Queue: 1 << 19}), yesterday()
	const all = 300_000
	l.Append(event.Event{Time: noon.Add(-time.Minute), Class: event.HTTP, Action: "oldest", Raw: "needle"})
	for i := range all {
		l.Append(event.Event{Time: noon.Add(time.Duration(i) * 10 * time.Millisecond), Class: event.HTTP, Action: "x", Raw: "hay"})
		if i%20_000 == 0 {
			flush(t, l)
		}
	}
	flush(t, l)
	page, err := l.Search(t.Context(), event.Query{Text: "needle"}, "")
	if err != nil || page.Next == "" || len(page.Events) != 0 || page.Scanned > 300_000 || page.At.Before(noon) {
		t.Fatalf("first page: got %d events, %d scanned, to %v, next %q, %v; want none and a place to go on", len(page.Events), page.Scanned, page.At, page.Next, err)
	}
	if got, pages := searchAll(t, l, event.Query{Text: "needle"}); len(got) != 1 || got[0].Action != "oldest" || pages < 2 {
		t.Errorf("got %q after %d pages, want oldest", actions(got), pages)
	}
	// The counters know that no minute has a refusal.
	page, err = l.Search(t.Context(), event.Query{Outcome: event.Refused, Text: "hay"}, "")
	if err != nil || page.Next != "" || page.Scanned != 0 {
		t.Errorf("refusals: got %d scanned, next %q, %v; want nothing to look at", page.Scanned, page.Next, err)
	}
}

// TestFeed: events come in the order of arrival, also those that state an older time, once each, in parts of any size.
func TestFeed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		cfg, noon := event.Config{Dir: filepath.Join(t.TempDir(), "events")}, yesterday()
		l := start(t, db, cfg)
		day := noon.Format(time.DateOnly)
		add := func(at time.Time, names ...string) {
			for _, name := range names {
				l.Append(event.Event{Time: at, Class: event.HTTP, Action: name})
			}
			flush(t, l)
		}
		add(noon, "a", "b", "c")
		add(noon.Add(-time.Hour), "d", "e")
		add(noon, "f")
		if got := actions(feedAll(t, l, noon)); got != "a b c d e f" {
			t.Errorf("got %q, want a b c d e f", got)
		}
		position := event.Position{}
		var got []string
		for range 6 {
			events, next, err := l.Feed(t.Context(), day, position, 1)
			if err != nil || len(events) != 1 {
				t.Fatalf("Feed(%+v): got %d events, %v; want one", position, len(events), err)
			}
			got, position = append(got, events[0].Action), next
		}
		if want := "a b c d e f"; strings.Join(got, " ") != want {
			t.Errorf("one by one: got %q, want %q", got, want)
		}
		add(noon.Add(-11*time.Hour), "g")
		if events, _, err := l.Feed(t.Context(), day, position, 0); err != nil || actions(events) != "g" {
			t.Errorf("after the end: got %q, %v; want g", actions(events), err)
		}
		days, err := l.Days(t.Context())
		if diff := cmp.Diff([]event.DayEnd{{Day: day, End: event.Position{Batch: 4}}}, days); diff != "" || err != nil {
			t.Errorf("Days: %v, -want +got:\n%s", err, diff)
		}
		if _, _, err := l.Feed(t.Context(), "2001-01-01", event.Position{}, 0); !errors.Is(err, event.ErrDay) {
			t.Errorf("a day that is not there: got %v, want %v", err, event.ErrDay)
		}
	})
}

// TestFeedOfTwoWriters: what two processes write at once is fed once each, read while they write.
func TestFeedOfTwoWriters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := filepath.Join(t.TempDir(), "events")
		noon := yesterday()
		const each = 4000
		var logs []*event.Log
		for range 2 {
			l, err := event.Open(t.Context(), event.Config{Dir: dir}, db, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			run(t, l)
			logs = append(logs, l)
		}
		go func() {
			for i := range each {
				for n, l := range logs {
					l.Append(event.Event{Time: noon.Add(time.Duration(i%700) * time.Second), Class: event.HTTP, Action: fmt.Sprint(n, "-", i)})
				}
				if i%100 == 0 {
					time.Sleep(5 * time.Millisecond)
				}
			}
		}()
		var got []string
		position, end := event.Position{}, time.Now().Add(2*time.Minute)
		for len(got) < 2*each && time.Now().Before(end) {
			events, next, err := logs[0].Feed(t.Context(), noon.Format(time.DateOnly), position, 300)
			if err != nil && !errors.Is(err, event.ErrDay) {
				t.Fatal(err)
			}
			for _, e := range events {
				got = append(got, e.Action)
			}
			position = next
		}
		slices.Sort(got)
		if unique := len(slices.Compact(slices.Clone(got))); len(got) != 2*each || unique != 2*each {
			t.Errorf("fed %d events, %d of them different, want %d", len(got), unique, 2*each)
		}
		if counted := total(counts(t, logs[1], event.CountQuery{})); counted != 2*each {
			t.Errorf("counted %d events, want %d", counted, 2*each)
		}
	})
}
