package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newSession(s streams) *cobra.Command {
	return group("session", "List and end sessions", newSessionList(s), newSessionRevoke(s))
}

func newSessionList(s streams) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the sessions that have not ended", Args: exactly()}
	user := c.Flags().String("user", "", "only those of this account")
	return listCommand(c, s, "ID\tUSER\tHOST\tADDRESS\tNAME\tCOUNTRY\tLEVEL\tMETHODS\tCREATED\tLAST SEEN\tEXPIRES",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Session, error) {
			return client.Sessions(ctx, *user)
		},
		func(v api.Session) []string {
			return []string{v.ID, v.User, v.Host, v.Address, v.HostName, v.Country, v.Level, strings.Join(v.Methods, ","),
				stamp(v.Created), stamp(v.LastSeen), stamp(v.Expires)}
		})
}

func newSessionRevoke(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke ID | --user NAME",
		Short: "End one session, or all of an account",
		Long: `Revoke ends a session at once, open streams and WebSockets included. The person may sign in again; to prevent
that, use doorward user disable.`,
		Example: `  doorward session revoke 0197a3c2-5f0e-7c11-9b1e-0d6a4f1c2b3a
  doorward session revoke --user joe`,
	}
	user := c.Flags().String("user", "", "all sessions of this account")
	c.Args = func(c *cobra.Command, args []string) error {
		if *user == "" {
			return exactly("ID or --user NAME")(c, args)
		}
		return exactly()(c, args)
	}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if *user == "" {
			if err := client.RevokeSession(ctx, args[0]); err != nil {
				return err
			}
			fmt.Fprintln(s.err, "ended 1 session")
			return nil
		}
		n, err := client.RevokeAll(ctx, *user)
		if err != nil {
			return err
		}
		fmt.Fprintln(s.err, "ended "+count(n, "session"))
		return nil
	})
}
