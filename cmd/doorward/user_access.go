package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/config"
)

// completeRoles completes a flag with the roles of the configuration file, or with the built-in ones when it cannot be read.
func completeRoles(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return knownRoles(c), cobra.ShellCompDirectiveNoFileComp
}

func knownRoles(c *cobra.Command) []string {
	known := auth.Config{}.RoleNames()
	if path, err := c.Flags().GetString("config"); err == nil {
		if cfg, err := config.LoadStore(path); err == nil {
			known = cfg.Auth.RoleNames()
		}
	}
	return names(known)
}

// checkRoles finds a role that no account can have, before a person types a password in vain. Whoever has the store decides.
func checkRoles(known, roles []string) error {
	for _, role := range roles {
		if !slices.Contains(known, role) {
			return failure("", "roles must not contain %q: only %s exist", role, strings.Join(known, ", "))
		}
	}
	return nil
}

func newUserShow(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "show NAME",
		Short: "Show an account with its factors, sessions and API tokens",
		Args:  exactly("NAME"),
	}
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		d, err := client.Details(ctx, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, d)
		}
		t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		for _, line := range [][2]string{
			{"name", d.Name}, {"display name", d.DisplayName}, {"email", d.Email}, {"phone", d.Phone},
			{"roles", rolesOf(d.Principal)}, {"privileges", strings.Join(d.Privileges, ",")}, {"state", stateOf(d.Disabled)},
			{"origin", d.Origin}, {"created", stamp(d.Created)}, {"last sign-in", stamp(d.LastSignIn)}, {"password", passwordState(d)},
			{"authenticator app", since(d.Factors)}, {"passkeys", passkeyNames(d.Factors.Passkeys)},
			{"recovery codes", fmt.Sprintf("%d left", d.Factors.RecoveryCodes)}, {"sessions", fmt.Sprint(len(d.Sessions))}, {"API tokens", tokenNames(d.Tokens)},
		} {
			fmt.Fprintf(t, "%s\t%s\n", line[0], cell(line[1]))
		}
		return t.Flush()
	})
}

// rolesOf lists an account's roles and marks those that the configuration has no more.
func rolesOf(p api.Principal) string {
	names := make([]string, len(p.Roles))
	for i, name := range p.Roles {
		names[i] = name
		for _, unknown := range p.Unknown {
			if name == unknown {
				names[i] += " (unknown)"
			}
		}
	}
	return strings.Join(names, ",")
}

func stateOf(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

func passwordState(d api.Details) string {
	switch {
	case d.PasswordChanged.IsZero():
		return "none"
	case d.MustChange:
		return "chosen " + stamp(d.PasswordChanged) + ", must be changed at the next sign-in"
	}
	return "chosen " + stamp(d.PasswordChanged)
}

func since(f api.Factors) string {
	if !f.TOTP {
		return "no"
	}
	return "since " + stamp(f.TOTPSince)
}

// passkeyNames lists passkeys; one without a name is there all the same, and opens the account.
func passkeyNames(list []api.Passkey) string {
	var names []string
	for _, p := range list {
		name := p.Name
		if name == "" {
			name = "(unnamed, added " + p.Created.UTC().Format(time.DateOnly) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func tokenNames(list []api.Token) string {
	var names []string
	for _, t := range list {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}

func newUserRoles(s streams) *cobra.Command {
	var roles []string
	c := &cobra.Command{
		Use:   "roles NAME --set ROLE,...",
		Short: "Give an account these roles and no others, and end its sessions",
		Long: `Roles gives an account exactly the roles that --set names: owner, admin, agent, user, or roles of your own from
the configuration file. The account's sessions end, and so do its API tokens with a privilege that the new roles do not give.
The last enabled owner stays an owner.`,
		Example: "  doorward user roles maria --set admin,agent",
		Args:    exactly("NAME"),
	}
	c.Flags().StringSliceVar(&roles, "set", nil, "the roles, with commas")
	c.RegisterFlagCompletionFunc("set", completeRoles)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if len(roles) == 0 {
			return usage("doorward user roles "+args[0]+" --set agent", "--set is missing")
		}
		if err := client.SetRoles(ctx, args[0], roles); err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine(args[0]+" has the roles "+strings.Join(roles, ", ")+"; its sessions have ended"))
		return nil
	})
}

func newUserAddresses(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "addresses NAME",
		Short: "List the networks that a person has signed in from",
		Long:  `Addresses lists IPv4 addresses and IPv6 networks (/64), the one used last first, and until when each is trusted.`,
		Args:  exactly("NAME"),
	}
	return listCommand(c, s, "NETWORK\tHOW\tFIRST SEEN\tLAST SEEN\tTRUSTED UNTIL",
		func(ctx context.Context, client *api.Client, args []string) ([]api.Address, error) {
			return client.Addresses(ctx, args[0])
		},
		func(a api.Address) []string {
			return []string{a.Network, a.How, stamp(a.Created), stamp(a.LastSeen), stamp(a.TrustedUntil)}
		})
}

func newUserTrust(s streams) *cobra.Command {
	var address string
	c := &cobra.Command{
		Use:   "trust NAME --address ADDRESS",
		Short: "Let a person's sign-ins from an address pass without a release by mail",
		Long: `Trust is for when mail is down, or has not arrived: the person can sign in from the address, for as long as their
roles trust one (trusted_addresses.period). Make sure that it is the person who asks, and that the address is theirs.`,
		Example: "  doorward user trust maria --address 198.51.100.7",
		Args:    exactly("NAME"),
	}
	c.Flags().StringVar(&address, "address", "", "the IP address that the person signs in from; of IPv6 its /64 is trusted")
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if address == "" {
			return usage("doorward user trust "+args[0]+" --address 198.51.100.7", "--address is missing")
		}
		trusted, err := client.TrustAddress(ctx, args[0], address)
		if err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine("trusted for "+args[0]+" until "+stamp(trusted.Until)+": "+address))
		return nil
	})
}

func newUserForgetAddress(s streams) *cobra.Command {
	var network string
	c := &cobra.Command{
		Use:   "forget-address NAME --address NETWORK",
		Short: "Take the trust in a network back, and the knowledge of it",
		Long:  `Forget-address takes a network as doorward user addresses shows it, or an address in it. Sessions from there go on.`,
		Args:  exactly("NAME"),
	}
	c.Flags().StringVar(&network, "address", "", "the network or address")
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if network == "" {
			return usage("doorward user addresses "+args[0]+" shows the networks", "--address is missing")
		}
		if err := client.ForgetAddress(ctx, args[0], network); err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine("forgotten for "+args[0]+": "+network))
		return nil
	})
}

func newUserResetFactors(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "reset-factors NAME",
		Short: "Remove every second factor of an account and end its sessions",
		Long: `Reset-factors is for a person who has lost them. Until a new factor is set up, the password alone opens the account
for whoever knows it: make sure that it is the person who asks, by another way than e-mail, and consider a new password too
(doorward user reset NAME --must-change).`,
		Args: exactly("NAME"),
	}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.ResetFactors(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine("removed the second factors of "+args[0]+"; its sessions have ended"))
		return nil
	})
}

func newUserRequireChange(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "require-password-change NAME",
		Short: "Have a person choose a new password at the next sign-in, and end the account's sessions",
		Args:  exactly("NAME"),
	}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.RequirePasswordChange(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine(args[0]+" has to choose a new password at the next sign-in; its sessions have ended"))
		return nil
	})
}
