package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newJournal(s streams) *cobra.Command {
	return group("journal", "Show and verify the journal of administrative actions",
		newJournalShow(s), newJournalVerify(s), newJournalHead(s))
}

// journalPage is how many entries one question to doorward brings.
const journalPage = 500

func newJournalShow(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "show",
		Short: "Show what was done, by whom and from where",
		Args:  exactly(),
	}
	from := c.Flags().Int64("from", 0, "the first entry to show; the first of all is 0")
	limit := c.Flags().Int("limit", 0, "how many to show at most (default all)")
	return listCommand(c, s, "INDEX\tTIME\tACTOR\tORIGIN\tACTION\tTARGET\tBEFORE\tAFTER",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Entry, error) {
			if *from < 0 || *limit < 0 {
				return nil, usage("", "--from and --limit may not be negative")
			}
			return journalEntries(ctx, client, *from, *limit)
		},
		func(e api.Entry) []string {
			return []string{strconv.FormatInt(e.Index, 10), stamp(e.Time), e.Actor, e.Origin, e.Action, e.Target, e.Before, e.After}
		})
}

// journalEntries asks page by page until there is no more or limit (0: none) is reached.
func journalEntries(ctx context.Context, client *api.Client, from int64, limit int) ([]api.Entry, error) {
	all := []api.Entry{}
	for {
		page := journalPage
		if limit > 0 {
			page = min(page, limit-len(all))
		}
		next, err := client.Entries(ctx, from, page)
		if err != nil {
			return nil, err
		}
		all = append(all, next...)
		if len(next) < page || limit > 0 && len(all) >= limit {
			return all, nil
		}
		from = next[len(next)-1].Index + 1
	}
}

func newJournalVerify(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "verify",
		Short: "Find entries that were changed, removed or reordered",
		Long: `Verify computes the journal's tree anew and compares it with the signed head. Whoever can change the database
and holds the key can cut the journal's end and sign a new head; a head kept elsewhere (doorward journal head) shows
that too.

The exit code is 0 when the journal is intact and 1 when it is not.`,
		Example: `  doorward journal head > head-2026-11-22
  doorward journal verify --head head-2026-11-22`,
		Args: exactly(),
	}
	head := c.Flags().String("head", "", "file with a head that was kept")
	c.MarkFlagFilename("head")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		kept := ""
		if *head != "" {
			text, err := os.ReadFile(*head)
			if err != nil {
				return usage("", "read kept head: %w", err)
			}
			kept = string(text)
		}
		report, err := client.Verify(ctx, kept)
		if err != nil {
			return err
		}
		if *asJSON {
			if err := writeJSON(s.out, report); err != nil {
				return err
			}
		} else {
			for _, p := range report.Problems {
				fmt.Fprintln(s.out, oneLine(p))
			}
		}
		if len(report.Problems) > 0 {
			return failure("keep the database as it is, and compare with a backup", "the journal of %d entries is not intact: %s", report.Size, count(len(report.Problems), "problem"))
		}
		if !*asJSON {
			fmt.Fprintf(s.out, "intact: %d entries\n", report.Size)
			if report.Limits != "" {
				fmt.Fprintln(s.err, "note: "+report.Limits)
			}
		}
		return nil
	})
}

func newJournalHead(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "head",
		Short: "Print the journal's signed head, to be kept elsewhere",
		Long: `Head prints the signed note over all entries so far. Keep it on another machine: doorward journal verify --head
then finds out when entries that it covers were changed or cut off, even by someone who holds the key.`,
		Args: exactly(),
	}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		note, err := client.Head(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(s.out, note)
		return err
	})
}
