package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newWatch(s streams) *cobra.Command {
	return group("watch", "Show what is watched", newWatchStatus(s))
}

func newWatchStatus(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how far each source is read, and what came of it",
		Long: `Status shows, of the running Doorward, each source of watch.sources: how many lines it gave since it was started, how many no parser
knew, how many were malformed, gone or refused, when the last one came, how far it is read, and whether it is silent or
can't be read. Below stand the jails of watch.fail2ban, and what the detections met. With --json each has all its counters
and places.`,
		Example: "  doorward watch status\n  doorward watch status --json",
		Args:    exactly(),
	}
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		w, err := client.Watch(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, w)
		}
		return writeWatch(s.out, w)
	})
}

// writeWatch writes the status for people.
func writeWatch(out io.Writer, w api.Watch) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	row("SOURCE", "LINES", "UNPARSED", "ERRORS", "LAST", "PLACE", "STATE")
	for _, v := range w.Sources {
		row(v.Name, number(v.Lines), number(v.Unparsed), number(v.Malformed+v.Cut+v.Gaps+v.Refused), lineTime(v.LastLine), placeText(v.Places), sourceState(v))
	}
	if len(w.Jails) > 0 {
		fmt.Fprintln(t)
		row("JAIL", "LINES", "FAILURES", "BANS", "LAST", "PLACE", "STATE")
		for _, j := range w.Jails {
			state := j.Problem
			if state == "" {
				state = "ok"
			}
			row(j.Name, number(j.Lines), number(j.Failures), number(j.Proposals), lineTime(j.LastLine), placeText(j.Places), state)
		}
	}
	d := w.Detections
	fmt.Fprintf(t, "\ndetections: %d events, %d matches, %d decisions asked for, %d events missed\n", d.Events, d.Matches, d.Proposals, d.Missed)
	return t.Flush()
}

func sourceState(v api.WatchSource) string {
	var all []string
	if v.Silent {
		all = append(all, "silent")
	}
	if v.Problem != "" {
		all = append(all, v.Problem)
	}
	if len(all) == 0 {
		return "ok"
	}
	return strings.Join(all, ": ")
}

func lineTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// placeText is the first place, and how many more there are.
func placeText(all []api.WatchPlace) string {
	if len(all) == 0 {
		return ""
	}
	text := all[0].Of + ": " + all[0].At
	if n := len(all) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}
