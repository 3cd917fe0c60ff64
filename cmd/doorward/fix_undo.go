package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/audit/fix"
)

func newFixConfirm(s streams) *cobra.Command {
	var f fixFlags
	c := &cobra.Command{
		Use:   "confirm [ID]",
		Short: "Keep a change of SSH, from a new sign-in",
		Long: `Confirm keeps a change that would otherwise be taken back. It has to be shown that people can still sign in: either the command is
run in a connection of sshd that began after the change (an older one, tmux, screen and the console show nothing), or
/var/log/wtmp has a sign-in from another host that did.`,
		Args: cobra.MaximumNArgs(1),
	}
	fixHostFlags(c, &f)
	c.RunE = func(c *cobra.Command, args []string) error {
		fixer, err := openJournal(s, f)
		if err != nil {
			return err
		}
		defer fixer.Close()
		entry, proof, err := fixer.Confirm(c.Context(), strings.Join(args, ""))
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: kept, by %s\n", entry.ID, oneLine(proof))
		return nil
	}
	return c
}

func newFixUndo(s streams) *cobra.Command {
	var f fixFlags
	var all, force bool
	c := &cobra.Command{
		Use:   "undo [ID]",
		Short: "Take a change back, exactly",
		Long: `Undo brings back what an apply changed: bytes, modes, owners, ACLs and flags. It refuses when something was changed since, and shows
what; --force takes that back too. An apply or undo that was killed on the way is completed. With --all every change that is
in force is taken back, the newest first.`,
		Example: "  doorward fix undo 20261125T101500.000Z-ssh\n  doorward fix undo --all",
		Args:    cobra.MaximumNArgs(1),
	}
	fixHostFlags(c, &f)
	c.Flags().BoolVar(&all, "all", false, "every change that is in force")
	c.Flags().BoolVar(&force, "force", false, "also what was changed since")
	c.RunE = func(c *cobra.Command, args []string) error {
		if all == (len(args) == 1) {
			return usage("doorward fix history lists them", "name one change, or --all")
		}
		fixer, err := openJournal(s, f)
		if err != nil {
			return err
		}
		defer fixer.Close()
		tell := func(id string, notes []string) {
			fmt.Fprintf(s.out, "%s: taken back\n", id)
			for _, n := range notes {
				fmt.Fprintf(s.out, "%s: note: %s\n", id, oneLine(n))
			}
		}
		if all {
			err = fixer.UndoAll(c.Context(), force, func(e fix.Entry, notes []string) { tell(e.ID, notes) })
		} else {
			var notes []string
			if notes, err = fixer.Undo(c.Context(), args[0], force); err == nil {
				tell(args[0], notes)
			}
		}
		var conflict *fix.Conflict
		if errors.As(err, &conflict) {
			for line := range strings.Lines(conflict.Diff) {
				fmt.Fprintln(s.out, safeLine(line))
			}
			return failure("--force takes that back too", "%w", err)
		}
		return err
	}
	return c
}

func newFixHistory(s streams) *cobra.Command {
	var f fixFlags
	c := &cobra.Command{Use: "history", Short: "List what was changed, oldest first", Args: exactly()}
	fixHostFlags(c, &f)
	asJSON := jsonFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		fixer, err := openJournal(s, f)
		if err != nil {
			return err
		}
		defer fixer.Close()
		all, err := fixer.History()
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, all)
		}
		t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ID\tSTATUS\tCONTROLS\tWHAT")
		for _, e := range all {
			what := e.Title
			if e.Reason != "" {
				what += " (" + e.Reason + ")"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", e.ID, fixStatus(e), strings.Join(e.Controls, ","), cell(what))
		}
		return t.Flush()
	}
	return c
}

// fixStatus is an entry's status with the time that is left.
func fixStatus(e fix.Entry) string {
	if !e.Waits() {
		return e.Status
	}
	if time.Now().After(e.Deadline) {
		return e.Status + ", overdue since " + e.Deadline.Local().Format(time.DateTime)
	}
	return e.Status + " until " + e.Deadline.Local().Format(time.DateTime)
}

// newFixWatch is what apply and unseal start beside themselves.
func newFixWatch(s streams) *cobra.Command {
	var f fixFlags
	c := &cobra.Command{Use: "watch ID", Short: "Wait for the deadline of a change, and then act", Hidden: true, Args: exactly("ID")}
	fixHostFlags(c, &f)
	c.RunE = func(c *cobra.Command, args []string) error {
		fixer, err := openJournal(s, f)
		if err != nil {
			return err
		}
		defer fixer.Close()
		return fixer.Watch(c.Context(), args[0])
	}
	return c
}
