package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newWAFExclude(s streams) *cobra.Command {
	n := api.NewWAFExclusion{}
	c := &cobra.Command{
		Use:   "exclude REQUEST-ID",
		Short: "Leave out, as narrowly as can be, what the firewall found in a request",
		Long: `Exclude puts in force what doorward waf explain proposes for a request: an exclusion for each rule and value that matched, below the
request's path. It holds at once, without a restart, on every node, and after each start. No rule is ever switched off for a whole
site; what cannot be left out narrowly is told. Each exclusion is an entry in the journal, and doorward waf exclusion delete undoes it.
Look at doorward waf explain first: an attacker's request has an id too.`,
		Example: "  doorward waf exclude 5SJ6ZT7Q2MXWK3VA --reason \"customers paste SQL\"\n  doorward waf exclude 5SJ6ZT7Q2MXWK3VA --rule 942100 --dry-run\n" +
			"  doorward waf exclude 5SJ6ZT7Q2MXWK3VA --path /tickets",
		Args: exactly("request id"),
	}
	c.Flags().IntVar(&n.Rule, "rule", 0, "only for this rule (default: all that matched)")
	c.Flags().StringVar(&n.Path, "path", "", "a prefix of the request's path, where that holds a number (default: all of it)")
	c.Flags().StringVar(&n.Reason, "reason", "", "why, for whoever looks at it later")
	c.Flags().BoolVar(&n.DryRun, "dry-run", false, "show what would be left out, and change nothing")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if n.Rule < 0 {
			return usage("", "--rule must be the id of a rule")
		}
		n.Request = args[0]
		out, err := client.AddWAFExclusion(ctx, n)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, out)
		}
		writeExcluded(s, out, n.DryRun)
		return nil
	})
}

// writeExcluded writes the exclusions on out, and what they mean on err.
func writeExcluded(s streams, out api.WAFExclusions, dry bool) {
	made := 0
	for _, x := range out.Exclusions {
		if x.InForce == "" {
			made++
		}
	}
	site := out.Exclusions[0].Site
	writeExclusions(s, out.Exclusions)
	writeUnnarrowed(s, out.Unnarrowed, out.More)
	switch {
	case made == 0:
		fmt.Fprintln(s.err, oneLine("nothing to do: all of it is left out at "+site+" already"))
	case dry:
		fmt.Fprintln(s.err, oneLine(fmt.Sprintf("would leave out %d at %s", made, site)))
	default:
		fmt.Fprintln(s.err, oneLine(fmt.Sprintf("left out %d at %s; to undo it:", made, site)))
		if made == len(out.Exclusions) {
			fmt.Fprintln(s.err, oneLine("doorward waf exclusion delete "+out.Exclusions[0].Request))
			return
		}
		for _, x := range out.Exclusions {
			if x.InForce == "" {
				fmt.Fprintln(s.err, oneLine("doorward waf exclusion delete "+x.ID))
			}
		}
	}
}

func newWAFExclusion(s streams) *cobra.Command {
	return group("exclusion", "List what was left out of the firewall's rules, and undo it", newWAFExclusionList(s), newWAFExclusionDelete(s))
}

func newWAFExclusionList(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List what doorward waf exclude left out",
		Long: `List shows the exclusions that doorward waf exclude made; those of the configuration stand there. With --yaml it writes them as the
configuration has them: move those that proved themselves there, reload, and delete them here.`,
		Example: "  doorward waf exclusion list --site helpdesk.example.org --yaml",
		Args:    exactly(),
	}
	site := c.Flags().String("site", "", "only those of this site")
	asYAML := c.Flags().Bool("yaml", false, "write them as the configuration has them")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		all, err := client.WAFExclusions(ctx, *site)
		switch {
		case err != nil:
			return err
		case *asJSON:
			return writeJSON(s.out, all)
		case *asYAML:
			writeExclusionsOfSites(s, all)
			return nil
		}
		return writeTable(s, "ID\tSITE\tRULE\tPATH\tWHERE\tREASON\tREQUEST\tCREATED\tBY", all, func(x api.WAFExclusion) []string {
			where := x.Target
			if x.Parameter != "" {
				where = "parameter " + x.Parameter
			}
			if where == "" {
				where = "the whole rule"
			}
			return []string{x.ID, x.Site, strconv.Itoa(x.Rule), x.Path, where, shortened(x.Reason, 60), x.Request, stamp(x.Created), x.CreatedBy}
		})
	})
}

// writeExclusionsOfSites writes what belongs into the file, site by site; the list comes in this order.
func writeExclusionsOfSites(s streams, all []api.WAFExclusion) {
	for len(all) > 0 {
		end := slices.IndexFunc(all, func(x api.WAFExclusion) bool { return x.Site != all[0].Site })
		if end < 0 {
			end = len(all)
		}
		fmt.Fprintln(s.out, oneLine("# "+all[0].Site))
		fmt.Fprintln(s.out, "waf:\n  exclude:")
		for _, x := range all[:end] {
			if x.Reason != "" {
				fmt.Fprintf(s.out, "    # %s\n", oneLine(x.Reason))
			}
			fmt.Fprintf(s.out, "    - %s\n", oneLine(x.YAML))
		}
		all = all[end:]
	}
}

func newWAFExclusionDelete(s streams) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "delete ID",
		Short: "Undo an exclusion, or all that were made of a request",
		Long: `Delete undoes an exclusion by its id, or by a request's id all that were made of that request. The rules look at such values
again at once.`,
		Args: exactly("ID"),
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the journal")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		gone, err := client.DeleteWAFExclusion(ctx, args[0], reason)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, gone)
		}
		for _, x := range gone {
			fmt.Fprintln(s.err, oneLine(fmt.Sprintf("no longer left out at %s: %s", x.Site, x.YAML)))
		}
		return nil
	})
}
