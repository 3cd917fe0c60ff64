package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/detect/fail2ban"
)

func newFail2banImport(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "import DIR",
		Short: "Say how the jails of a fail2ban configuration would run",
		Long: `Import reads jail.conf, jail.local, jail.d, filter.d and action.d below DIR as fail2ban does, and says for each jail what it
reads, when it bans and for how long, and what is different from fail2ban and why. Nothing is written and no command of
the configuration is run.

The exit code is 1 when a jail that is enabled can't run.`,
		Example: `  doorward fail2ban import /etc/fail2ban
  doorward fail2ban import --all --json /etc/fail2ban`,
		Args: exactly("DIR"),
	}
	all := c.Flags().Bool("all", false, "report the jails that are not enabled too")
	asJSON := jsonFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		config, err := fail2ban.Open(args[0])
		if err != nil {
			return usage("", "%w", err)
		}
		result, err := config.Import(*all)
		if err != nil {
			return failure("", "%w", err)
		}
		if *asJSON {
			if err := writeJSON(s.out, result); err != nil {
				return err
			}
		} else {
			writeImport(s.out, result)
		}
		stuck := 0
		for _, j := range result.Jails {
			if j.Enabled && !j.Runs {
				stuck++
			}
		}
		if stuck > 0 {
			return failure("the report says why", "%s can't run", count(stuck, "jail"))
		}
		return nil
	}
	return c
}

// writeImport writes the report for people.
func writeImport(w io.Writer, result *fail2ban.Import) {
	for _, j := range result.Jails {
		writeJail(w, j)
	}
	for _, p := range result.Problems {
		fmt.Fprintf(w, "%s: %s\n", oneLine(p.What), oneLine(p.Why))
	}
	off := 0 // that are not among those above
	for _, name := range result.Off {
		if !slices.ContainsFunc(result.Jails, func(j fail2ban.Jail) bool { return j.Name == name }) {
			off++
		}
	}
	fmt.Fprintf(w, "%s; %d more not enabled\n", count(len(result.Jails), "jail"), off)
}

func writeJail(w io.Writer, j fail2ban.Jail) {
	say := func(label, format string, args ...any) {
		fmt.Fprintf(w, "  %-8s %s\n", label, oneLine(fmt.Sprintf(format, args...)))
	}
	state := "runs"
	if !j.Runs {
		state = "cannot run"
	}
	if !j.Enabled {
		state += ", not enabled"
	}
	fmt.Fprintf(w, "%s: %s\n", oneLine(j.Name), state)
	if j.FilterName != "" {
		say("filter", "%s, %s", j.FilterName, count(j.Expressions, "expression"))
	}
	for _, what := range j.Reads() {
		say("reads", "%s", what)
	}
	if j.Runs {
		say("bans", "after %s in %v for %s%s", count(j.MaxRetry, "failure"), j.FindTime, banTime(j.BanTime), growth(j.Increment))
	}
	if len(j.IgnoreIP) > 0 || j.IgnoreSelf {
		never := j.IgnoreIP
		if j.IgnoreSelf {
			never = append([]string{"this machine"}, never...)
		}
		say("never", "%s", strings.Join(never, ", "))
	}
	for _, a := range j.Actions {
		say(string(a.Kind), "%s: %s%s", a.Name, a.Why, ports(a))
	}
	for _, p := range j.Problems {
		say("differs", "%s: %s", p.What, p.Why)
	}
}

func banTime(d time.Duration) string {
	if d < 0 {
		return "good"
	}
	return d.String()
}

func growth(in fail2ban.Increment) string {
	if !in.On {
		return ""
	}
	text := ", longer with each ban"
	if in.Max > 0 {
		text += fmt.Sprintf(" up to %v", in.Max)
	}
	return text
}

// ports says which ports an action closes.
func ports(a fail2ban.Action) string {
	if len(a.Ports) == 0 {
		return ""
	}
	var all []string
	for _, p := range a.Ports {
		if p.From == p.To {
			all = append(all, fmt.Sprint(p.From))
		} else {
			all = append(all, fmt.Sprintf("%d-%d", p.From, p.To))
		}
	}
	return fmt.Sprintf(" (%s %s)", a.Protocol, strings.Join(all, ", "))
}
