package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/config"
)

func newWAF(s streams) *cobra.Command {
	return group("waf", "Explain what the web application firewall refused, and leave out what is harmless",
		newWAFStatus(s), newWAFExplain(s), newWAFExclude(s), newWAFExclusion(s), newWAFPropose(s))
}

func newWAFStatus(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how the firewall of each site stands",
		Long: `Status shows for each site whether the firewall is off, detects or blocks, until when it learns, how many exclusions the configuration (with
the application's folder) and findings have added, and whether its rules are compiled: they are when the first request comes, first
for the plain way, which is slow, and a second later for the fast one.`,
		Args: exactly(),
	}
	return listCommand(c, s, "SITE\tMODE\tLEARNS UNTIL\tRULES\tLEVEL\tCONFIGURED\tADDED\tCOMPILED",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.WAFSite, error) {
			return client.WAFSites(ctx)
		},
		func(w api.WAFSite) []string {
			mode, until, level, added := w.Mode, "", "", strconv.Itoa(w.Added)
			if w.Learning {
				mode, until = "learns", stamp(w.LearnUntil)
			}
			if w.ParanoiaLevel > 0 {
				level = strconv.Itoa(w.ParanoiaLevel)
			}
			if w.Unused > 0 {
				added += fmt.Sprintf(" (%d fit no rule)", w.Unused)
			}
			return []string{w.Site, mode, until, w.Rules, level, strconv.Itoa(w.Configured), added, w.Compiled}
		})
}

// configuredFirewalls is what is known of the sites' firewalls where nothing is running.
func configuredFirewalls(cfg *config.Config, now time.Time) []api.WAFSite {
	all := []api.WAFSite{}
	for _, site := range cfg.Gateway.Sites {
		if len(site.Hosts) == 0 {
			continue
		}
		w := api.WAFSite{Site: strings.ToLower(site.Hosts[0]), Mode: site.WAF.Mode}
		if w.Mode != "off" {
			w.LearnUntil, w.Learning = site.WAF.LearnUntil.Time, now.Before(site.WAF.LearnUntil.Time)
			w.Rules, w.ParanoiaLevel, w.Configured = cfg.Gateway.WAF.Rules, site.WAF.ParanoiaLevel, len(site.WAF.Exclude)
		}
		all = append(all, w)
	}
	return all
}

func newWAFExplain(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "explain REQUEST-ID",
		Short: "Show which rules a request matched, where, and what would let it pass",
		Long: `Explain shows what the firewall found in one request: the rules, the parameters that they matched, the values (those that may be
secrets are not shown), and the narrowest exclusions that would let such a request pass, with those that are in force already. Of a body
that was too long it tells which limit it went beyond. The id
stands on the page that people get when a request is refused, and in the header X-Request-Id of every answer.`,
		Example: "  doorward waf explain 5SJ6ZT7Q2MXWK3VA",
		Args:    exactly("request id"),
	}
	since := c.Flags().String("since", "30d", "how far back to look: 90m, 2h, 3d, 1w, or a time")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		from, err := timeWord(*since, time.Now())
		if err != nil {
			return usage("", "--since: %w", err)
		}
		f, err := client.WAFFinding(ctx, args[0], from)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, f)
		}
		return writeFinding(s, f)
	})
}

func wafField(e api.Event, key string) string {
	for _, f := range e.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

func writeFinding(s streams, f api.WAFFinding) error {
	e := f.Event
	fmt.Fprintf(s.out, "%s  %s %s at %s from %s", stamp(e.Time), cell(wafField(e, "method")), cell(wafField(e, "target")), cell(e.Site), e.Source)
	if e.User != "" {
		fmt.Fprintf(s.out, ", %s", cell(e.User))
	}
	if f.Exceeded != "" {
		writeExceeded(s, f)
		if len(f.Hits) == 0 {
			return nil
		}
	}
	switch {
	case f.RefusedBy != 0:
		fmt.Fprintf(s.out, "\nrefused by rule %d", f.RefusedBy)
	case f.WouldRefuse != 0:
		fmt.Fprintf(s.out, "\nrule %d would have refused it, but the site only tells", f.WouldRefuse)
	default:
		fmt.Fprint(s.out, "\nlet through: the score stayed below the threshold")
	}
	fmt.Fprintf(s.out, ", score %d", f.Score)
	if f.AnswerScore > 0 {
		fmt.Fprintf(s.out, ", of the answer %d", f.AnswerScore)
	}
	fmt.Fprint(s.out, "\n\n")
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RULE\tSEVERITY\tWHERE\tVALUE\tWHAT")
	for _, h := range f.Hits {
		where := h.Variable
		if h.View != "" {
			where += " (" + h.View + ")"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", h.Rule, cell(h.Severity), cell(where), cell(h.Value), cell(h.Message))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(f.Exclusions) > 0 {
		fmt.Fprintln(s.out, "\nIf such requests are harmless, the narrowest exclusions for this site are these; widen the path where it holds a number:")
		writeExclusions(s, f.Exclusions)
		if slices.ContainsFunc(f.Exclusions, func(x api.WAFExclusion) bool { return x.InForce == "" }) {
			fmt.Fprintf(s.out, "\nTo put them in force now: doorward waf exclude %s\n", cell(wafField(e, "request_id")))
		}
	}
	writeUnnarrowed(s, f.Unnarrowed, f.More)
	return nil
}

// writeExceeded tells which limit the body went beyond, and what raises it.
func writeExceeded(s streams, f api.WAFFinding) {
	did := "its rest was not looked at, and it passed"
	if f.Event.Outcome == "refused" && f.RefusedBy == 0 {
		did = "it was refused (413) before any rule saw it"
	}
	what := "its body was longer than waf.body_limit"
	if f.Exceeded == "fields_limit" {
		what = "its body had more besides uploaded files than waf.fields_limit"
	}
	fmt.Fprintf(s.out, "\n%s of the site, %d bytes: %s\n", what, f.Limit, did)
	if f.Exceeded == "fields_limit" {
		fmt.Fprint(s.out, "If such requests are harmless, raise waf.fields_limit, and where a file of the site's own rules has a SecRequestBodyNoFilesLimit, that one.\n"+
			"Each megabyte may take a processor for one to two seconds.\n")
		return
	}
	fmt.Fprint(s.out, "If such requests are harmless, raise waf.body_limit; the bodies of all requests together take no more memory than waf.memory.\n")
}

// writeExclusions writes exclusions as the configuration has them, and which are in force already.
func writeExclusions(s streams, all []api.WAFExclusion) {
	fmt.Fprintln(s.out, "    waf:\n      exclude:")
	for _, x := range all {
		fmt.Fprintf(s.out, "        - %s", oneLine(x.YAML))
		switch x.InForce {
		case "":
		case "configuration":
			fmt.Fprint(s.out, "  # in force by the configuration")
		default:
			fmt.Fprintf(s.out, "  # in force: %s", x.InForce)
		}
		fmt.Fprintln(s.out)
	}
}

func writeUnnarrowed(s streams, all []api.WAFUnnarrowed, more int) {
	for _, u := range all {
		fmt.Fprintf(s.out, "\nrule %d at %s cannot be left out narrowly: %s", u.Rule, cell(u.Variable), oneLine(u.Problem))
	}
	if len(all) > 0 {
		fmt.Fprintln(s.out, "\nSuch a request may be refused as before. See sites[].waf.exclude, if it is harmless.")
	}
	if more > 0 {
		fmt.Fprintf(s.out, "\n%d further matches are not in the finding. Look again when such a request comes once more.\n", more)
	}
}

func newWAFPropose(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "propose SITE",
		Short: "Propose exclusions from what the firewall found in signed-in people's requests",
		Long: `Propose looks at what the firewall would have refused, or has refused, of people who were signed in, and proposes an exclusion for
each rule and parameter that is not left out yet, with how many requests and people it concerns. Begin with mode: block and a learn_until,
let people work until then, look at each line (an attacker may have an account), and take over what is harmless: with
doorward waf exclude and the request that stands beside it, or in the configuration.`,
		Example: "  doorward waf propose helpdesk.example.org --since 7d --people 2",
		Args:    exactly("site"),
	}
	since := c.Flags().String("since", "7d", "from when on: 90m, 2h, 3d, 1w, or a time")
	people := c.Flags().Int("people", 1, "only what at least so many different people sent")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		from, err := timeWord(*since, time.Now())
		if err != nil {
			return usage("", "--since: %w", err)
		}
		if *people < 1 {
			return usage("", "--people must be 1 or more")
		}
		found, err := client.WAFProposals(ctx, args[0], from, *people)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, found)
		}
		if len(found) == 0 {
			fmt.Fprintf(s.err, "nothing that signed-in people sent to %s since %s would have been refused\n", args[0], *since)
			return nil
		}
		fmt.Fprintln(s.out, "waf:\n  exclude:")
		for _, p := range found {
			fmt.Fprintf(s.out, "    # %s: %d requests of %d people, the last one %s\n    - %s\n", cell(p.Message), p.Requests, p.People, cell(p.Exclusion.Request), oneLine(p.Exclusion.YAML))
		}
		return nil
	})
}
