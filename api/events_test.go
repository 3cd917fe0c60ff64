package api_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
)

// write appends events to the rig's log and has them written.
func (r *rig) write(t *testing.T, events ...event.Event) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.events.Run(ctx) }()
	for _, e := range events {
		r.events.Append(e)
	}
	if err := r.events.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func names(events []api.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Action)
	}
	return strings.Join(all, " ")
}

func TestEvents(t *testing.T) {
	r := newRig(t)
	noon := time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
	r.write(t,
		event.Event{Time: noon, Class: event.HTTP, Outcome: event.Success, Action: "a", Source: netip.MustParseAddr("203.0.113.1"), Fields: []event.Field{{Key: "target", Value: "/x?y"}}},
		event.Event{Time: noon.Add(time.Second), Class: event.HTTP, Outcome: event.Refused, Severity: event.Medium, Action: "b", User: "ada", Site: "s", Raw: "a line"},
		event.Event{Time: noon.Add(time.Minute), Class: event.Authentication, Outcome: event.Failure, Action: "c"})
	c, ctx := dial(t, r.serve(t)), t.Context()
	for want, q := range map[string]api.EventQuery{
		"c b a": {}, "b": {Outcome: "refused"}, "a": {Source: "203.0.113.0/24", Fields: []string{"target=/x?y"}}, "c b": {Limit: 2}, "b a": {To: noon.Add(time.Minute)}, "": {User: "nobody"},
	} {
		if page, err := c.Events(ctx, q, ""); err != nil || names(page.Events) != want {
			t.Errorf("%+v: got %q, %v; want %q", q, names(page.Events), err, want)
		}
	}
	page, err := c.Events(ctx, api.EventQuery{Severity: "medium"}, "")
	if err != nil || len(page.Events) != 1 || page.Events[0].Raw != "a line" || page.Events[0].Severity != "medium" || page.Events[0].User != "ada" {
		t.Errorf("got %+v, %v; want b with all it has", page, err)
	}
	if page, err = c.Events(ctx, api.EventQuery{Limit: 2}, ""); err != nil || page.Next == "" {
		t.Fatalf("two of three: got %+v, %v; want a cursor", page, err)
	}
	if page, err = c.Events(ctx, api.EventQuery{Limit: 2}, page.Next); err != nil || names(page.Events) != "a" {
		t.Errorf("the rest: got %q, %v; want a", names(page.Events), err)
	}
	counts, err := c.EventCounts(ctx, api.EventQuery{Class: "http"}, time.Minute, false)
	if err != nil || len(counts) != 2 || counts[0].Events != 1 || !counts[0].Time.Equal(noon) {
		t.Errorf("counts: got %+v, %v; want two", counts, err)
	}
	if top, err := c.EventTop(ctx, "path", api.EventQuery{}); err != nil || len(top.Items) != 1 || top.Items[0].Value != "/x" {
		t.Errorf("top paths: got %+v, %v; want /x", top, err)
	}
	days, err := c.EventDays(ctx)
	if err != nil || len(days) != 1 || days[0].Batch == 0 {
		t.Fatalf("days: got %+v, %v; want one", days, err)
	}
	if feed, err := c.EventFeed(ctx, api.EventQuery{Class: "http"}, days[0].Day, 0, 0); err != nil || names(feed.Events) != "a b" {
		t.Errorf("feed: got %q, %v; want a b", names(feed.Events), err)
	}
	for name, q := range map[string]api.EventQuery{"class": {Class: "gossip"}, "severity": {Severity: "grave"}, "source": {Source: "here"}, "field": {Fields: []string{"x"}}, "text": {Text: strings.Repeat("x", 300)}} {
		if _, err := c.Events(ctx, q, ""); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a bad %s: got %v, want an error that names it", name, err)
		}
	}
	if _, err := c.EventFeed(ctx, api.EventQuery{}, "2001-01-01", 0, 0); err == nil || !strings.Contains(err.Error(), "no such day") {
		t.Errorf("a day that is not there: got %v", err)
	}
}

// TestEventsNeedThePrivilege: a token reads events only with the privilege for it.
func TestEventsNeedThePrivilege(t *testing.T) {
	d := newDoor(t)
	d.account("olga", "owner")
	may := d.token("olga", func(n *auth.NewToken) { n.Privileges = []auth.Privilege{auth.SeeEvents} })
	mayNot := d.token("olga", func(n *auth.NewToken) { n.Privileges = []auth.Privilege{auth.SeeAccounts} })
	for _, path := range []string{"/api/v1/events", "/api/v1/events/counts", "/api/v1/events/top?list=source", "/api/v1/events/days", "/api/v1/events/feed?day=2026-01-01"} {
		if answer, text := d.send(mayNot, "GET", path, ""); answer.StatusCode != 403 {
			t.Errorf("%s without the privilege: got %d, %s; want 403", path, answer.StatusCode, text)
		}
		if answer, text := d.send(may, "GET", path, ""); answer.StatusCode != 200 && !strings.Contains(text, "no such day") {
			t.Errorf("%s with it: got %d, %s; want 200", path, answer.StatusCode, text)
		}
		if answer, _ := d.send("", "GET", path, ""); answer.StatusCode != 401 {
			t.Errorf("%s without a token: got %d, want 401", path, answer.StatusCode)
		}
	}
}
