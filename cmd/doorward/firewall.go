package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/audit/fix"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/firewall/ruleset"
)

func newFirewall(s streams) *cobra.Command {
	c := group("firewall", "Show what the kernel drops, and set the base ruleset",
		newFirewallShow(s), newFirewallPlan(s), newFirewallApply(s), newFirewallConfirm(s), newFirewallRevert(s), newFirewallWatch(s))
	c.Long = `The kernel's firewall has two tables of Doorward's own: the bans, which doorward enforce keeps, and the base ruleset, which says what
is let in at all. No other table is read or changed. The base ruleset comes from the section firewall of the configuration file.`
	return c
}

// keeperFlags adds the flags that say where the base ruleset is kept.
func keeperFlags(c *cobra.Command, k *ruleset.Keeper) {
	c.Flags().StringVar(&k.State, "state", ruleset.DefaultState, "the folder of what was there before, root's own")
	c.Flags().StringVar(&k.File, "file", ruleset.DefaultFile, "the ruleset that is loaded when the host starts")
	c.MarkFlagDirname("state")
}

func needRoot(what string) error {
	if os.Geteuid() != 0 {
		return failure("run it with sudo", "%s, which only root may", what)
	}
	return nil
}

// wantedRules is the base ruleset of the configuration.
func wantedRules(path string) (*ruleset.Config, error) {
	cfg, err := loadConfig(path, config.LoadFirewall)
	if err != nil {
		return nil, err
	}
	return &cfg.Firewall.Rules, nil
}

func newFirewallPlan(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "plan",
		Short: "Write the base ruleset in nft's language, and change nothing",
		Long: `Plan writes the base ruleset that the configuration asks for, as nft -f reads it. As root it also has the kernel try it, in a
network of its own that nothing is connected to.`,
		Example: "  doorward firewall plan\n  doorward firewall plan | nft -c -f -",
		Args:    exactly(),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		rules, err := wantedRules(*path)
		if err != nil {
			return err
		}
		fmt.Fprint(s.out, rules.Text())
		if err := rules.Usable(); err != nil {
			return failure("", "%w", err)
		}
		if os.Geteuid() == 0 {
			_, err = ruleset.Written(c.Context(), rules.Text())
		}
		return err
	}
	return c
}

func newFirewallApply(s streams) *cobra.Command {
	var k ruleset.Keeper
	var within time.Duration
	var yes, force bool
	c := &cobra.Command{
		Use:   "apply",
		Short: "Put the base ruleset into force, for now",
		Long: `Apply puts the base ruleset of the configuration into force, in one transaction. It is taken back by itself, unless somebody signs in
anew within the time of --confirm-within and runs doorward firewall confirm; a restart of the host takes it back too. A ruleset
that would refuse a new connection of the SSH session that it is run from is refused.`,
		Example: "  doorward firewall apply --confirm-within 3m",
		Args:    exactly(),
	}
	path := configFlag(c)
	keeperFlags(c, &k)
	c.Flags().DurationVar(&within, "confirm-within", 5*time.Minute, "how long the ruleset holds unless it is confirmed")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&force, "force", false, "also when this SSH session could not be opened again")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := needRoot("apply changes the kernel's rules"); err != nil {
			return err
		}
		if within <= 0 || within > 24*time.Hour {
			return usage("for instance: --confirm-within 5m", "--confirm-within has to be between 1s and 24h")
		}
		if !yes && !isTerminal(s.in) {
			return usage("look at doorward firewall plan first, then add --yes", "there is no terminal to ask on")
		}
		rules, err := wantedRules(*path)
		if err != nil {
			return err
		}
		if err := rules.Usable(); err != nil && !force {
			return failure("--force closes SSH to everybody", "%w", err)
		}
		if err := keepsSession(rules); err != nil && !force {
			return failure("add your network to firewall.admin_networks, or use --force", "%w", err)
		}
		if !yes {
			fmt.Fprint(s.out, rules.Text())
			if !agreed(c.Context(), s) {
				return failure("", "nothing was changed")
			}
		}
		if k.Program, err = os.Executable(); err != nil {
			return err
		}
		state, err := k.Apply(c.Context(), rules.Text(), within, func() (string, time.Duration) { now := fix.Now(); return now.Boot, now.SinceBoot })
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "in force until %s; sign in anew and run: doorward firewall confirm\n", state.Deadline.Local().Format(time.TimeOnly))
		return nil
	}
	return c
}

// keepsSession refuses rules that would not let the SSH session in again that this command is run from.
func keepsSession(rules *ruleset.Config) error {
	from, port, ok := fix.SSHSession(os.Getpid())
	if !ok || rules.Admits(from, port) {
		return nil
	}
	return fmt.Errorf("this ruleset would not let you in again: you are signed in by SSH from %s to port %d, which it refuses", from, port)
}

func newFirewallConfirm(s streams) *cobra.Command {
	var k ruleset.Keeper
	c := &cobra.Command{
		Use:   "confirm",
		Short: "Keep the base ruleset, also after a restart",
		Long: `Confirm keeps the ruleset that apply put into force: it writes it to the file that doorward-firewall.service loads when the host starts,
and switches that unit on. It has to be run from an SSH connection that began after apply, which shows that people can still sign in.`,
		Args: exactly(),
	}
	keeperFlags(c, &k)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := needRoot("confirm writes what is loaded at the start"); err != nil {
			return err
		}
		shown, starts, err := k.Confirm(c.Context(), func(last ruleset.State) (string, error) {
			return fix.LoginSince(fix.Moment{Boot: last.Boot, SinceBoot: last.SinceBoot, At: last.Made}, os.Getpid(), "doorward firewall confirm")
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "kept, by %s; written to %s\n", oneLine(shown), k.File)
		if !starts {
			fmt.Fprintf(s.err, "doorward: warning: %s could not be switched on, so nothing loads the ruleset when the host starts; install it, and run systemctl enable %s\n",
				ruleset.UnitName, ruleset.UnitName)
		}
		return nil
	}
	return c
}

func newFirewallRevert(s streams) *cobra.Command {
	var k ruleset.Keeper
	var force bool
	c := &cobra.Command{
		Use:   "revert",
		Short: "Bring back what was in force before the last apply",
		Args:  exactly(),
	}
	keeperFlags(c, &k)
	c.Flags().BoolVar(&force, "force", false, "also when the ruleset's file was changed since it was confirmed")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := needRoot("revert changes the kernel's rules"); err != nil {
			return err
		}
		err := k.Revert(c.Context(), "taken back by hand", force)
		if errors.Is(err, ruleset.ErrChanged) {
			return failure("--force loses that change", "%w", err)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(s.out, "taken back")
		return nil
	}
	return c
}

// newFirewallWatch is what apply starts beside itself.
func newFirewallWatch(_ streams) *cobra.Command {
	var k ruleset.Keeper
	c := &cobra.Command{Use: "watch", Short: "Wait for the deadline of apply, and take it back", Hidden: true, Args: exactly()}
	keeperFlags(c, &k)
	c.RunE = func(c *cobra.Command, _ []string) error { return k.Watch(c.Context()) }
	return c
}
