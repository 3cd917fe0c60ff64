package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newUser(s streams) *cobra.Command {
	return group("user", "Add, list and change accounts",
		newUserAdd(s), newUserList(s), newUserShow(s), newUserRoles(s), newUserDisable(s), newUserEnable(s), newUserReset(s),
		newUserRequireChange(s), newUserResetFactors(s), newUserAddresses(s), newUserTrust(s), newUserForgetAddress(s),
		newUserInvite(s), newUserInvitations(s), newUserRevokeInvitation(s))
}

func newUserAdd(s streams) *cobra.Command {
	var n api.NewPrincipal
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an account",
		Long: `Add makes an account that may sign in at the sites, and, with the privilege use-console, at the console. Roles: owner
(everything), admin (administration of the applications), agent (the application's staff), user (everybody else), and those
of your own in the configuration file.

With --no-password the account has none: for a person who comes by OpenID Connect or a directory, and by passkeys once they have
set one up. At their first sign-in there the account is found by --email, in a directory also by its name (docs/other-ways-in.md).
Nobody chooses a password for it by mail; doorward user reset gives it one.`,
		Example: `  doorward user add maria --role owner --email maria@example.org
  doorward user add joe --role agent --generate-password
  doorward user add zoe --role agent --email zoe@example.org --no-password`,
		Args: exactly("NAME"),
	}
	c.Flags().StringSliceVar(&n.Roles, "role", []string{"user"}, "owner, admin, agent, user or one of your own; several with commas")
	c.RegisterFlagCompletionFunc("role", completeRoles)
	c.Flags().StringVar(&n.Email, "email", "", "e-mail address, which also serves to sign in")
	c.Flags().StringVar(&n.DisplayName, "display-name", "", "the name that people see")
	c.Flags().BoolVar(&n.MustChange, "must-change", false, "have the person choose another password at the first sign-in")
	c.Flags().BoolVar(&n.NoPassword, "no-password", false, "make an account without a password")
	password, asJSON := addPasswordFlags(c), jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		var generated bool
		var err error
		n.Name = args[0]
		if n.NoPassword && (password.stdin || password.generate || n.MustChange) {
			return usage("leave one of them out", "--no-password contradicts --password-stdin, --generate-password and --must-change")
		}
		if err := checkRoles(knownRoles(c), n.Roles); err != nil {
			return err
		}
		if !n.NoPassword {
			if n.Password, generated, err = password.read(ctx, s); err != nil {
				return err
			}
		}
		added, err := client.AddPrincipal(ctx, n)
		if err != nil {
			return err
		}
		shown := ""
		if generated {
			shown = n.Password
		}
		message := "added " + added.Name + " as " + strings.Join(added.Roles, ", ")
		if n.NoPassword {
			message += ", without a password"
		}
		return showPassword(s, *asJSON, added.Name, message, shown)
	})
}

// showPassword writes what was done, and a generated password for the only time it is ever shown.
func showPassword(s streams, asJSON bool, name, message, password string) error {
	if asJSON {
		return writeJSON(s.out, struct {
			Name     string `json:"name"`
			Password string `json:"password,omitempty"`
		}{name, password})
	}
	fmt.Fprintln(s.err, oneLine(message))
	if password != "" {
		fmt.Fprintln(s.out, "password: "+password)
	}
	return nil
}

func newUserList(s streams) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the accounts", Args: exactly()}
	return listCommand(c, s, "NAME\tROLES\tSTATE\tEMAIL\tDISPLAY NAME\tCREATED",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Principal, error) {
			return client.Principals(ctx)
		},
		func(p api.Principal) []string {
			return []string{p.Name, rolesOf(p), stateOf(p.Disabled), p.Email, p.DisplayName, stamp(p.Created)}
		})
}

// stamp is a time in the form that sorts.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func newUserDisable(s streams) *cobra.Command {
	c := &cobra.Command{Use: "disable NAME", Short: "Keep an account from signing in and end its sessions", Args: exactly("NAME")}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.SetDisabled(ctx, args[0], true); err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine("disabled "+args[0]+"; its sessions have ended"))
		return nil
	})
}

func newUserEnable(s streams) *cobra.Command {
	c := &cobra.Command{Use: "enable NAME", Short: "Let a disabled account sign in again", Args: exactly("NAME")}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.SetDisabled(ctx, args[0], false); err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine("enabled "+args[0]))
		return nil
	})
}

func newUserReset(s streams) *cobra.Command {
	c := &cobra.Command{Use: "reset NAME", Short: "Set a new password for an account and end its sessions", Args: exactly("NAME"),
		Long: `Reset replaces an account's password and ends its sessions. An account that had none has one
from then on, and no directory is asked about its password any more.`}
	password, asJSON := addPasswordFlags(c), jsonFlag(c)
	mustChange := c.Flags().Bool("must-change", false, "have the person choose another password at the next sign-in")
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		text, generated, err := password.read(ctx, s)
		if err != nil {
			return err
		}
		if err := client.ResetPassword(ctx, args[0], text, *mustChange); err != nil {
			return err
		}
		if !generated {
			text = ""
		}
		return showPassword(s, *asJSON, args[0], "new password set for "+args[0]+"; its sessions have ended", text)
	})
}
