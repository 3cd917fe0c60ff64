package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newSession(s streams) *cobra.Command {
	return group("session", "List and end sessions", newSessionList(s), newSessionRevoke(s))
}

func newSessionList(s streams) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the sessions that have not ended", Args: exactly()}
	user := c.Flags().String("user", "", "only those of this account")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, _ []string) error {
		all, err := client.Sessions(ctx, *user)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, all)
		}
		t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ID\tUSER\tHOST\tADDRESS\tNAME\tCOUNTRY\tLEVEL\tMETHODS\tCREATED\tLAST SEEN\tEXPIRES")
		for _, v := range all {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, cell(v.User), cell(v.Host), cell(v.Address),
				cell(v.HostName), cell(v.Country), cell(v.Level), cell(strings.Join(v.Methods, ",")), stamp(v.Created), stamp(v.LastSeen), stamp(v.Expires))
		}
		return t.Flush()
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
