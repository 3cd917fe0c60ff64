package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/decision"
)

func newDecision(s streams) *cobra.Command {
	return group("decision", "Ban, slow down or challenge addresses, accounts and countries, and see who is",
		newDecisionList(s), newDecisionAdd(s), newDecisionDelete(s), newDecisionImport(s), newDecisionExport(s), newBouncer(s))
}

func actionNames() []string { return names(decision.Actions()) }

func newDecisionList(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the decisions that stand",
		Long: `List shows who is banned, challenged or slowed down, until when, and why. With --address it shows every decision that
holds for that address: about itself and about networks that it is in. With --json each has its evidence.`,
		Example: "  doorward decision list --address 192.0.2.7\n  doorward decision list --origin detection: --json",
		Args:    exactly(),
	}
	f := filterFlags(c)
	return listCommand(c, s, "ID\tTARGET\tACTION\tORIGIN\tREASON\tUNTIL",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Decision, error) {
			all := []api.Decision{}
			err := eachDecision(ctx, client, *f, func(d api.Decision) error { all = append(all, d); return nil })
			return all, err
		},
		func(d api.Decision) []string {
			return []string{d.ID, d.Target, d.Action, d.Origin, shortened(d.Reason, 60), untilText(d.Until)}
		})
}

func filterFlags(c *cobra.Command) *api.DecisionFilter {
	f := &api.DecisionFilter{}
	c.Flags().StringVar(&f.Address, "address", "", "only those that hold for this address")
	c.Flags().StringVar(&f.Origin, "origin", "", "only those whose origin begins so: detection:, jail:sshd, admin:, import:")
	c.Flags().StringVar(&f.Action, "action", "", "only those of this action: "+strings.Join(actionNames(), ", "))
	c.RegisterFlagCompletionFunc("action", cobra.FixedCompletions(actionNames(), cobra.ShellCompDirectiveNoFileComp))
	return f
}

// eachDecision asks for page after page.
func eachDecision(ctx context.Context, client *api.Client, f api.DecisionFilter, use func(api.Decision) error) error {
	for {
		page, err := client.Decisions(ctx, f)
		if err != nil {
			return err
		}
		for _, d := range page {
			f.After = max(f.After, d.Number)
			if err := use(d); err != nil {
				return err
			}
		}
		if f.Address != "" || len(page) < 1000 {
			return nil
		}
	}
}

// shortened keeps a table readable; --json has the whole text.
func shortened(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func untilText(until time.Time) string {
	if until.IsZero() {
		return "for good"
	}
	return stamp(until)
}

func newDecisionAdd(s streams) *cobra.Command {
	n := api.NewDecision{}
	var length string
	c := &cobra.Command{
		Use:   "add TARGET",
		Short: "Ban a target, or slow it down or challenge it",
		Long: `Add decides about TARGET: an address, a network such as 192.0.2.0/24 or 2001:db8::/64, account:NAME or country:XX. Where a
decision about it stands already, the longer one counts. Nobody on the allow list is banned, nor the address that you use now.`,
		Example: "  doorward decision add 192.0.2.7 --for 12h --reason \"scans for backups\"\n  doorward decision add 2001:db8:1::/64 --action throttle\n" +
			"  doorward decision add account:maria --for 1h --reason \"password found in a leak\"",
		Args: exactly("TARGET"),
	}
	c.Flags().StringVar(&length, "for", "", "how long: 12h, 30d or permanent (default decisions.default_duration)")
	c.Flags().StringVar(&n.Action, "action", "ban", strings.Join(actionNames(), ", "))
	c.RegisterFlagCompletionFunc("action", cobra.FixedCompletions(actionNames(), cobra.ShellCompDirectiveNoFileComp))
	c.Flags().StringVar(&n.Reason, "reason", "", "why, for whoever looks at it later")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		var err error
		if n.Seconds, n.Permanent, err = parseLength(length); err != nil {
			return err
		}
		n.Target, n.From = args[0], terminalFrom()
		added, err := client.AddDecision(ctx, n)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, added)
		}
		length := untilText(added.Until)
		if !added.Until.IsZero() {
			length = "until " + length
		}
		what := map[string]string{"made": "new", "extended": "lasts longer now", "standing": "stood already, as long or longer"}[added.Result]
		fmt.Fprintln(s.err, oneLine(fmt.Sprintf("%s of %s %s (%s)", added.Action, added.Target, length, what)))
		return nil
	})
}

// parseLength reads --for; nothing is the installation's default.
func parseLength(text string) (seconds int64, permanent bool, err error) {
	switch text {
	case "":
		return 0, false, nil
	case "permanent":
		return 0, true, nil
	}
	life, err := parseLife(text)
	if err != nil {
		return 0, false, usage("write 12h, 30d or permanent", "--for: %w", err)
	}
	return int64(life / time.Second), false, nil
}

// terminalFrom is the address that this person's terminal is used from, if sshd has told: it must not ban itself.
func terminalFrom() string {
	address, _, _ := strings.Cut(os.Getenv("SSH_CONNECTION"), " ")
	return address
}

func newDecisionDelete(s streams) *cobra.Command {
	var origin, reason string
	c := &cobra.Command{
		Use:   "delete ID|TARGET",
		Short: "Lift a decision, or all about a target or of an origin",
		Long: `Delete lifts a decision by its id, every decision about exactly TARGET, or with --origin all that came from one list or
detection. What led to it counts for no later escalation.`,
		Example: "  doorward decision delete 192.0.2.7 --reason \"our own scanner\"\n  doorward decision delete --origin import:list.txt",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1) == (origin != "") {
				return usage("doorward decision delete 192.0.2.7", "give one id or target, or --origin")
			}
			return nil
		},
	}
	c.Flags().StringVar(&origin, "origin", "", "lift every decision of this origin, such as import:list.txt")
	c.Flags().StringVar(&reason, "reason", "", "why, for the journal")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		var lifted api.LiftedDecisions
		var err error
		if origin != "" {
			lifted, err = client.DeleteDecisionsOf(ctx, origin, reason)
		} else {
			lifted, err = client.DeleteDecision(ctx, args[0], reason)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, lifted)
		}
		fmt.Fprintf(s.err, "lifted %d\n", lifted.Count)
		return nil
	})
}

func newBouncer(s streams) *cobra.Command {
	return group("bouncer", "Let CrowdSec's bouncers elsewhere read the decisions", newBouncerAdd(s), newBouncerList(s), newBouncerRemove(s))
}

func newBouncerAdd(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a key for a bouncer and show it once",
		Long: `Add makes the key that a bouncer sends as X-Api-Key to the listener of decisions.bouncer_api. It is shown this once; Doorward keeps
only its hash. Give each bouncer a key of its own: how far it has read is kept by the key.`,
		Args: exactly("NAME"),
	}
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		added, err := client.AddBouncer(ctx, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, added)
		}
		fmt.Fprintln(s.err, oneLine("added "+added.Name+"; the key is not shown again"))
		fmt.Fprintln(s.out, "key: "+added.Key)
		return nil
	})
}

func newBouncerList(s streams) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the bouncers", Args: exactly()}
	return listCommand(c, s, "NAME\tADDED\tBY\tLAST USED\tADDRESS\tAGENT",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Bouncer, error) {
			return client.Bouncers(ctx)
		},
		func(b api.Bouncer) []string {
			return []string{b.Name, stamp(b.Created), b.CreatedBy, stamp(b.LastUsed), b.Address, b.Agent}
		})
}

func newBouncerRemove(s streams) *cobra.Command {
	c := &cobra.Command{Use: "remove NAME", Short: "Take a bouncer's key away", Args: exactly("NAME")}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.RemoveBouncer(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine("removed "+args[0]))
		return nil
	})
}
