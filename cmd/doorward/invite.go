package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newUserInvite(s streams) *cobra.Command {
	var n api.NewInvitation
	var expires string
	c := &cobra.Command{
		Use:   "invite --email ADDRESS",
		Short: "Invite somebody to an account and show the link once",
		Long: `Invite decides on an account that the person completes: they open the link, choose a name and a password, and have the
roles that you give here. With a mail server the link is mailed; it is also shown, so that you can hand it over yourself:
whoever has it gets the account. It works once. An earlier invitation to the same address ends.`,
		Example: `  doorward user invite --email maria@example.org --role agent
  doorward user invite --email joe@example.org --display-name "Joe Doe" --language de --expires 2d`,
		Args: exactly(),
	}
	c.Flags().StringVar(&n.Email, "email", "", "the person's e-mail address")
	c.Flags().StringSliceVar(&n.Roles, "role", []string{"user"}, "owner, admin, agent, user or one of your own; several with commas")
	c.RegisterFlagCompletionFunc("role", completeRoles)
	c.Flags().StringVar(&n.Name, "name", "", "the account's name to propose")
	c.Flags().StringVar(&n.DisplayName, "display-name", "", "the name that people see, to propose")
	c.Flags().StringVar(&n.Language, "language", "", "of the mail and the account, such as de")
	c.Flags().StringVar(&n.Host, "host", "", "the site that the link leads to (default the first)")
	c.Flags().StringVar(&expires, "expires", "7d", "how long the link is good, such as 12h or 7d; at most 30d")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		life, err := parseLife(expires)
		switch {
		case n.Email == "":
			return usage("see: doorward user invite --help", "--email is missing: say whom to invite")
		case err != nil:
			return usage("write 12h or 7d", "--expires: %w", err)
		}
		n.Seconds = int64(life / time.Second)
		made, err := client.Invite(ctx, n)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, made)
		}
		how := "hand the link over yourself: no mail server is configured"
		if made.Mailed {
			how = "the link is on its way by mail"
		}
		fmt.Fprintln(s.err, oneLine("invited "+made.Email+" as "+strings.Join(made.Roles, ", ")+", until "+stamp(made.Expires)+"; "+how))
		fmt.Fprintln(s.out, "link: "+oneLine(made.Link))
		return nil
	})
}

func newUserInvitations(s streams) *cobra.Command {
	c := &cobra.Command{Use: "invitations", Short: "List the invitations, and what became of them", Args: exactly()}
	return listCommand(c, s, "ID\tEMAIL\tROLES\tSTATE\tINVITED BY\tCREATED\tEXPIRES",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Invitation, error) {
			return client.Invitations(ctx)
		},
		func(i api.Invitation) []string {
			return []string{i.ID, i.Email, strings.Join(i.Roles, ","), i.State, i.InvitedBy, stamp(i.Created), stamp(i.Expires)}
		})
}

func newUserRevokeInvitation(s streams) *cobra.Command {
	c := &cobra.Command{Use: "revoke-invitation ID", Short: "Make the link of an open invitation useless", Args: exactly("ID")}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.RevokeInvitation(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintln(s.err, oneLine("revoked "+args[0]))
		return nil
	})
}
