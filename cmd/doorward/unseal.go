package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/audit/fix"
)

func newUnseal(s streams) *cobra.Command {
	var f fixFlags
	var lasts time.Duration
	var reason, app string
	var end bool
	c := &cobra.Command{
		Use:   "unseal",
		Short: "Lift the seal of an application for a time, for an update",
		Long: `Unseal takes the immutable flag from an application that doorward fix apply I-71 has sealed, and gives its web user the right to write.
When the time is over the seal is put on again by itself, over what the update brought too, and the journal keeps which files
were added, removed and changed. --end does that at once. After a reboot systemd goes on waiting; without systemd, run
doorward unseal --end.

While the seal is lifted, folders are 0770, files 0660 and tools 0770: the guide's 775, 664 and 774 without what everybody else
could read.`,
		Example: `  doorward unseal --app cmdb --for 30m --reason 'update to 33'
  doorward unseal --app cmdb --end`,
		Args: exactly(),
	}
	fixHostFlags(c, &f)
	flags := c.Flags()
	flags.StringVar(&app, "app", "", "the application, by the name under which it was sealed")
	flags.DurationVar(&lasts, "for", 0, "how long, as 30m")
	flags.StringVar(&reason, "reason", "", "why, for the journal")
	flags.BoolVar(&end, "end", false, "put the seal on again now")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case app == "":
			return usage("for instance: --app cmdb", "%s needs --app", c.CommandPath())
		case !end && (lasts <= 0 || reason == ""):
			return usage("for instance: --for 30m --reason 'update to 33'", "%s needs --for and --reason", c.CommandPath())
		case end && (lasts != 0 || reason != ""):
			return usage("", "--end goes with neither --for nor --reason")
		case lasts > 24*time.Hour:
			return usage("an update that takes longer can be unsealed again", "--for %v is longer than a day", lasts)
		}
		fixer, err := openJournal(s, f)
		if err != nil {
			return err
		}
		defer fixer.Close()
		if end {
			report, err := fixer.Reseal(c.Context(), app)
			if err != nil {
				return err
			}
			showSeal(s.out, app, report)
			return nil
		}
		entry, err := fixer.Unseal(c.Context(), app, lasts, reason)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: the seal of %s is lifted until %s; earlier: doorward unseal --app %s --end\n", entry.ID, app, entry.Deadline.Local().Format(time.DateTime), app)
		return nil
	}
	return c
}

// showSeal tells what changed between two seals.
func showSeal(w io.Writer, app string, r fix.SealReport) {
	fmt.Fprintf(w, "%s: %s is sealed again, %d files and folders: %d added, %d removed, %d changed\n", r.Entry.ID, app, r.Files, len(r.Added), len(r.Removed), len(r.Changed))
	for _, part := range []struct {
		sign  string
		names []string
	}{{"+", r.Added}, {"-", r.Removed}, {"~", r.Changed}} {
		for i, name := range part.names {
			if i == 50 {
				fmt.Fprintf(w, "%s … and %d more, in the journal's report.json\n", part.sign, len(part.names)-i)
				break
			}
			fmt.Fprintf(w, "%s %s\n", part.sign, oneLine(name))
		}
	}
}
