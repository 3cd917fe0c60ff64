package console

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
)

// shownEvents is how many of the newest events the page shows.
const shownEvents = 100

// overviewPage is what the first page shows.
type overviewPage struct {
	Who, Roles   string
	Version, Go  string
	Up           string
	Now          time.Time
	Ready        bool
	Checks       []check
	Sites        []gateway.SiteStatus
	Numbers      []number
	Refused      []number
	Events       []eventRow
	EventsBroken bool
	OnlyRefused  bool
	SeesEvents   bool
	ReviewDue    time.Time // since when the access review is due; zero: it is not
}

// number is a labelled count.
type number struct {
	Label string
	Value uint64
}

// eventRow is one event as people read it; every text is escaped by the template.
type eventRow struct {
	Time                               time.Time
	Class, Outcome, User, Site, Source string
	What, Status, Reason, RequestID    string
	Bad                                bool
}

// showOverview is the console's first page. ?show=refused leaves out what was let through.
func (c *Console) showOverview(x *exchange, r *http.Request) error {
	page := overviewPage{
		Who: x.session.Principal.Name, Version: c.deps.Version, Go: runtime.Version(),
		Up: uptime(x.started.Sub(c.deps.Started)), Now: x.started, Ready: true,
		Checks: c.checks(r.Context()), Sites: c.deps.Sites(),
		OnlyRefused: r.URL.Query().Get("show") == "refused",
	}
	var roles []string
	for _, role := range x.session.Principal.Roles {
		roles = append(roles, string(role))
	}
	page.Roles = strings.Join(roles, ", ")
	for _, check := range page.Checks {
		page.Ready = page.Ready && check.OK
	}
	page.Numbers, page.Refused = c.numbers()
	if due := c.deps.Auth.Stats().ReviewDue; auth.ReviewOverdue(due, x.started) {
		page.ReviewDue = due
	}
	page.SeesEvents = c.deps.Auth.May(x.session.Principal, auth.SeeEvents)
	if err := c.addEvents(r.Context(), &page); err != nil {
		// The page is needed most when the store is in trouble, so it comes with what could be read.
		c.deps.Log.Warn("read last events", slog.Any("error", err))
		page.EventsBroken = true
	}
	var out bytes.Buffer
	if err := c.overview.Execute(&out, page); err != nil {
		return fmt.Errorf("render overview: %w", err)
	}
	x.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = out.WriteTo(x)
	return nil
}

// addEvents puts the newest events on the page of whoever may see them.
func (c *Console) addEvents(ctx context.Context, page *overviewPage) (err error) {
	if page.SeesEvents {
		page.Events, err = c.lastEvents(ctx, page.OnlyRefused)
	}
	return err
}

// numbers are the counters a person asks for first; /metrics has them all.
func (c *Console) numbers() (shown, refused []number) {
	traffic, events := c.deps.Traffic(), c.deps.Events.Stats()
	accounts := c.deps.Auth.Stats()
	shown = []number{
		{"Requests", traffic.Requests},
		{"Open connections", uint64(max(0, traffic.ConnectionsOpen))},
		{"Sessions", uint64(max(0, accounts.Sessions))},
		{"Server errors", traffic.ByStatusClass[5]},
		{"Events written", events.Written},
		{"Events lost", events.Dropped},
	}
	for reason, n := range traffic.Refused {
		refused = append(refused, number{reason, n})
	}
	slices.SortFunc(refused, func(a, b number) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), strings.Compare(a.Label, b.Label))
	})
	return shown, refused
}

// lastEvents reads the newest events. What is still queued gets a moment to be written, so that a person sees
// what they have just done; a store in trouble is not waited for.
func (c *Console) lastEvents(ctx context.Context, onlyRefused bool) ([]eventRow, error) {
	moment, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if err := c.deps.Events.Flush(moment); err != nil {
		c.deps.Log.Debug("show events that are written so far", slog.Any("error", err))
	}
	limit, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	query := event.Query{Limit: shownEvents}
	if onlyRefused {
		query.Outcome = event.Refused
	}
	events, err := c.deps.Events.Query(limit, query) // with an error come the events of the days that could be read
	rows := make([]eventRow, 0, len(events))
	for _, e := range events {
		rows = append(rows, newEventRow(e))
	}
	return rows, err
}

func newEventRow(e event.Event) eventRow {
	row := eventRow{Time: e.Time, Class: string(e.Class), Outcome: string(e.Outcome), User: e.User, Site: e.Site,
		What: e.Action, Bad: e.Outcome != event.Success}
	if e.Source.IsValid() {
		row.Source = e.Source.String()
	}
	for _, field := range e.Fields {
		switch field.Key {
		case "target":
			row.What += " " + shorten(field.Value, 300)
		case "status":
			row.Status = field.Value
		case "reason":
			row.Reason = field.Value
		case "request_id":
			row.RequestID = field.Value
		}
	}
	return row
}

func shorten(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "") + "…"
}

// uptime writes a duration with its two largest units.
func uptime(d time.Duration) string {
	d = max(0, d.Round(time.Second))
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min %d s", minutes, int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}

// clock writes a time of day; the date stands beside it for machines and in the tooltip.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// count writes 1234567 as 1 234 567, with spaces that do not break.
func count(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}
