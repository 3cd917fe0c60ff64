package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newEventTop(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "top source|user|action|path",
		Short: "Show the most frequent sources, users, actions or paths",
		Long: `Top shows the most frequent values of whole hours, from lists that are kept beside the events: it takes no longer for millions of
them. A count is never too high; how much it may be too low is said when there were more values than the lists keep. Addresses
of IPv6 are counted by their /64, paths without what stands behind the question mark.`,
		Example:   "  doorward event top source --denied --since 24h\n  doorward event top path --limit 20 --json",
		Args:      exactly("source, user, action or path"),
		ValidArgs: []string{"source", "user", "action", "path"},
	}
	var f eventFilter
	f.addSpan(c, "24h")
	denied := c.Flags().Bool("denied", false, "only of what was refused or failed")
	limit := c.Flags().Int("limit", 20, "how many at most, up to 512")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		q, err := f.query(time.Now())
		if err != nil {
			return err
		}
		if *limit < 1 || *limit > 512 {
			return usage("", "--limit must be from 1 to 512")
		}
		q.Limit = *limit
		list := args[0]
		if *denied {
			list = "denied-" + list
		}
		top, err := client.EventTop(ctx, list, q)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, top)
		}
		t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "EVENTS\t"+strings.ToUpper(args[0]))
		for _, i := range top.Items {
			fmt.Fprintf(t, "%d\t%s\n", i.Events, cell(i.Value))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if !top.From.IsZero() {
			fmt.Fprintln(s.err, "whole hours from "+stamp(top.From)+" to "+stamp(top.To))
		}
		if top.Error > 0 {
			fmt.Fprintf(s.err, "each count may be up to %d too low\n", top.Error)
		}
		return nil
	})
}

func newEventHistogram(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "histogram",
		Short: "Show how many events there were over time",
		Long: `Histogram adds up counters that are kept for each minute beside the events: it takes no longer for millions of them. With --json it
writes a count for each step, class and outcome.`,
		Example: "  doorward event histogram --since 2h --step 5m --outcome refused",
		Args:    exactly(),
	}
	var f eventFilter
	f.addSpan(c, "24h")
	f.addKinds(c)
	step := c.Flags().Duration("step", 0, "whole minutes; default: what makes up to 48 steps")
	bySite := c.Flags().Bool("by-site", false, "with --json: the counts of each site apart")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		now := time.Now()
		q, err := f.query(now)
		if err != nil {
			return err
		}
		if q.To.IsZero() {
			q.To = now
		}
		width, err := histogramStep(*step, q.From, q.To)
		if err != nil {
			return err
		}
		counts, err := client.EventCounts(ctx, q, width, *bySite)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, counts)
		}
		return drawHistogram(s, counts, width, q.From, q.To)
	})
}

// histogramStep is the step that was asked for, or a handy one.
func histogramStep(step time.Duration, from, to time.Time) (time.Duration, error) {
	if step != 0 {
		if step < time.Minute || step%time.Minute != 0 {
			return 0, usage("", "--step must be whole minutes")
		}
		return step, nil
	}
	for _, minutes := range []time.Duration{1, 2, 5, 10, 15, 30, 60, 120, 240, 720} {
		if !from.IsZero() && to.Sub(from) <= 48*minutes*time.Minute {
			return minutes * time.Minute, nil
		}
	}
	return 24 * time.Hour, nil
}

// drawHistogram writes a line a step, those without an event too, with a bar.
func drawHistogram(s streams, counts []api.EventCount, step time.Duration, from, to time.Time) error {
	const mostLines, barWidth = 2000, 40
	sums := map[int64]map[string]int64{}
	var most int64
	for _, c := range counts {
		at := c.Time.Unix()
		if sums[at] == nil {
			sums[at] = map[string]int64{}
		}
		sums[at][c.Outcome] += c.Events
		sums[at][""] += c.Events
		most = max(most, sums[at][""])
	}
	if len(counts) == 0 {
		fmt.Fprintln(s.err, "no events")
		return nil
	}
	if from.IsZero() {
		from = counts[0].Time
	}
	seconds := int64(step / time.Second)
	first := from.Unix() / seconds * seconds
	if (to.Unix()-first)/seconds > mostLines {
		return usage("choose a longer --step, or use --json", "this makes more than %d lines", mostLines)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tEVENTS\tSUCCESS\tFAILURE\tREFUSED\tUNKNOWN\t")
	for at := first; at < to.Unix(); at += seconds {
		n := sums[at]
		line := []string{stamp(time.Unix(at, 0))}
		for _, outcome := range []string{"", "success", "failure", "refused", "unknown"} {
			line = append(line, strconv.FormatInt(n[outcome], 10))
		}
		line = append(line, strings.Repeat("#", int((n[""]*barWidth+most-1)/most)))
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	return t.Flush()
}
