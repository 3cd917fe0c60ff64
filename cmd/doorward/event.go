package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newEvent(s streams) *cobra.Command {
	return group("event", "Search, count and export what happened", newEventSearch(s), newEventTop(s), newEventHistogram(s), newEventExport(s))
}

// eventFilter are the flags that select events.
type eventFilter struct {
	q            api.EventQuery
	since, until string
}

// addSpan adds the flags of the time.
func (f *eventFilter) addSpan(c *cobra.Command, since string) {
	c.Flags().StringVar(&f.since, "since", since, "from when on: 90m, 2h, 3d, 1w, today, yesterday, 2026-11-25, or RFC 3339")
	c.Flags().StringVar(&f.until, "until", "", "until when, in the same words; default: now")
}

// addKinds adds the flags that the counters know.
func (f *eventFilter) addKinds(c *cobra.Command) {
	c.Flags().StringVar(&f.q.Class, "class", "", "authentication, http, detection, compliance, incident or email")
	c.Flags().StringVar(&f.q.Outcome, "outcome", "", "success, failure, refused or unknown")
	c.Flags().StringVar(&f.q.Site, "site", "", "the site's name")
}

func (f *eventFilter) addAll(c *cobra.Command) {
	f.addKinds(c)
	c.Flags().StringVar(&f.q.Severity, "severity", "", "the lowest severity: informational, low, medium, high, critical or fatal")
	c.Flags().StringVar(&f.q.User, "user", "", "the account's name")
	c.Flags().StringVar(&f.q.Source, "source", "", "an address or a network, as 203.0.113.5 or 203.0.113.0/24")
	c.Flags().StringVar(&f.q.Action, "action", "", "what was done, as sign-in or GET")
	c.Flags().StringArrayVar(&f.q.Fields, "field", nil, "key=value of a field; may be given several times")
	c.Flags().StringVar(&f.q.Text, "text", "", "a text in the log line, a field's value, the user, action or site")
}

// query is what is asked for at now.
func (f *eventFilter) query(now time.Time) (api.EventQuery, error) {
	q := f.q
	var err error
	if q.From, err = timeWord(f.since, now); err != nil {
		return q, usage("", "--since: %w", err)
	}
	if q.To, err = timeWord(f.until, now); err != nil {
		return q, usage("", "--until: %w", err)
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return q, usage("", "--since is not before --until")
	}
	return q, nil
}

// timeWord reads a moment: how long ago, a day or time of this machine's clock, or RFC 3339. Nothing is the zero time.
func timeWord(text string, now time.Time) (time.Time, error) {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "":
		return time.Time{}, nil
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if n, err := strconv.Atoi(text[:len(text)-1]); err == nil && n >= 0 && n <= 36_600 {
		switch text[len(text)-1] {
		case 'd':
			return now.AddDate(0, 0, -n), nil
		case 'w':
			return now.AddDate(0, 0, -7*n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04", time.DateTime, "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; write 90m, 2h, 3d, 1w, today, yesterday, 2026-11-25, or 2026-11-25T14:00:00Z", text)
}

func newEventSearch(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "search [TEXT]",
		Short: "Find events, the newest first",
		Long: `Search shows events of the log, the newest first. All conditions have to hold. Text is found in the log line, in the values of
fields, and in user, action and site; capital letters from A to Z count as small ones.

With --follow it shows the newest in the order of time, and then what comes, until it is interrupted. With --json each event is
one line.`,
		Example: `  doorward event search --since 2h --outcome refused
  doorward event search --source 203.0.113.0/24 --field status=404 --json
  doorward event search --follow --class authentication`,
		Args: cobra.MaximumNArgs(1),
	}
	var f eventFilter
	f.addSpan(c, "")
	f.addAll(c)
	limit := c.Flags().Int("limit", 100, "how many at most; 0: all")
	cursor := c.Flags().String("cursor", "", "go on where a search said that it stopped")
	follow := c.Flags().Bool("follow", false, "go on with what comes")
	asJSON := c.Flags().Bool("json", false, "write each event as one line of JSON, for scripts")
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if len(args) == 1 {
			f.q.Text = args[0]
		}
		q, err := f.query(time.Now())
		if err != nil {
			return err
		}
		if *limit < 0 {
			return usage("", "--limit may not be negative")
		}
		out := &eventWriter{out: s.out, asJSON: *asJSON}
		if *follow {
			return followEvents(ctx, client, q, *limit, out)
		}
		return searchEvents(ctx, client, s, q, *limit, *cursor, out)
	})
}

// eventPage is how many events one question to doorward brings.
const eventPage = 500

// searchEvents asks page by page until there is no more or limit (0: none) is reached.
func searchEvents(ctx context.Context, client *api.Client, s streams, q api.EventQuery, limit int, cursor string, out *eventWriter) error {
	shown, problem := 0, ""
	for {
		q.Limit = eventPage
		if limit > 0 {
			q.Limit = min(q.Limit, limit-shown)
		}
		page, err := client.Events(ctx, q, cursor)
		if err != nil {
			return err
		}
		if page.Problem != "" {
			problem = page.Problem
		}
		if err := out.write(page.Events); err != nil {
			return err
		}
		shown += len(page.Events)
		if cursor = page.Next; cursor == "" || limit > 0 && shown >= limit {
			break
		}
	}
	if cursor != "" {
		fmt.Fprintln(s.err, "there may be more: --cursor "+cursor+" goes on")
	}
	if problem != "" {
		return failure("", "%s", problem)
	}
	return nil
}

// followPause is how long following waits before it asks again.
const followPause = time.Second

// followEvents shows the newest and then what comes, each once: first it notes where the log ends, so that nothing falls between.
func followEvents(ctx context.Context, client *api.Client, q api.EventQuery, limit int, out *eventWriter) error {
	place, err := endOfLog(ctx, client)
	if err != nil {
		return err
	}
	if q.Limit = 10; limit > 0 {
		q.Limit = min(limit, eventPage)
	}
	page, err := client.Events(ctx, q, "")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range page.Events {
		seen[page.Events[i].ID] = true
	}
	oldestFirst(page.Events)
	if err := out.write(page.Events); err != nil {
		return err
	}
	q.Limit = eventPage
	for {
		err := place.read(ctx, client, q, func(events []api.Event) error {
			fresh := events[:0]
			for _, e := range events {
				if !seen[e.ID] {
					fresh = append(fresh, e)
				}
			}
			return out.write(fresh)
		})
		if err != nil {
			if ctx.Err() != nil {
				return nil // that is how following ends
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

func oldestFirst(events []api.Event) {
	for i, k := 0, len(events)-1; i < k; i, k = i+1, k-1 {
		events[i], events[k] = events[k], events[i]
	}
}

// eventWriter writes events as a table or as lines of JSON.
type eventWriter struct {
	out    io.Writer
	asJSON bool
	begun  bool
}

func (w *eventWriter) write(events []api.Event) error {
	if w.asJSON {
		return writeEventLines(w.out, events)
	}
	if len(events) == 0 && w.begun {
		return nil
	}
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	if !w.begun {
		fmt.Fprintln(t, "TIME\tCLASS\tOUTCOME\tACTION\tSOURCE\tUSER\tSITE\tDETAILS")
		w.begun = true
	}
	for _, e := range events {
		cells := []string{stamp(e.Time), e.Class, e.Outcome, e.Action, e.Source, e.User, e.Site, eventDetails(e)}
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// eventDetails are the fields that tell most, or the log line.
func eventDetails(e api.Event) string {
	const longest = 160
	var parts []string
	for _, f := range e.Fields {
		switch f.Key {
		case "target", "status", "reason", "rule", "to", "error":
			parts = append(parts, f.Key+"="+f.Value)
		}
	}
	text := strings.Join(parts, " ")
	if text == "" {
		text = e.Raw
	}
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

// writeEventLines writes each event as one line of JSON.
func writeEventLines(w io.Writer, events []api.Event) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	for i := range events {
		if err := e.Encode(&events[i]); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
