package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
)

func newToken(s streams) *cobra.Command {
	return group("token", "Add, list and revoke API tokens", newTokenAdd(s), newTokenList(s), newTokenRevoke(s))
}

func newTokenAdd(s streams) *cobra.Command {
	n := api.NewToken{}
	var expires string
	c := &cobra.Command{
		Use:   "add NAME --name LABEL --privilege PRIVILEGE,...",
		Short: "Add an API token of an account and show it once",
		Long: `Add makes a token with which a program acts as the account NAME: at the sites, with the privilege use-sites, and at
the API of the console, with the other privileges. It can do no more than the account's roles allow, and never what takes a
second factor. The token is shown this once; Doorward keeps only its hash. It ends by itself, at the latest after 366 days.

A program sends it as: Authorization: Bearer dw_…`,
		Example: `  doorward token add maria --name backup --privilege see-journal --expires 90d
  doorward token add robot --name ticket-import --privilege use-sites --network 192.0.2.7 --host helpdesk.example.org`,
		Args: exactly("NAME"),
	}
	c.Flags().StringVar(&n.Name, "name", "", "what the token is for")
	c.Flags().StringSliceVar(&n.Privileges, "privilege", nil, "what it may do, with commas: "+privilegeNames())
	c.RegisterFlagCompletionFunc("privilege", cobra.FixedCompletions(names(auth.Privileges()), cobra.ShellCompDirectiveNoFileComp))
	c.Flags().StringVar(&expires, "expires", "90d", "how long it is good, such as 12h or 90d; at most 366d")
	c.Flags().StringSliceVar(&n.Networks, "network", nil, "the only networks or addresses where it is good (default all)")
	c.Flags().StringSliceVar(&n.Hosts, "host", nil, "the only hosts where it is good (default all)")
	asJSON := jsonFlag(c)
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		life, err := parseLife(expires)
		switch {
		case n.Name == "":
			return usage("see: doorward token add --help", "--name is missing: say what the token is for")
		case len(n.Privileges) == 0:
			return usage("one or several of "+privilegeNames(), "--privilege is missing")
		case err != nil:
			return usage("write 12h or 90d", "--expires: %w", err)
		}
		n.Seconds = int64(life / time.Second)
		added, err := client.AddToken(ctx, args[0], n)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(s.out, added)
		}
		fmt.Fprintln(s.err, oneLine("added "+added.Name+" of "+added.User+", good until "+stamp(added.Expires)+"; it is not shown again"))
		fmt.Fprintln(s.out, "token: "+added.Secret)
		return nil
	})
}

func privilegeNames() string { return strings.Join(names(auth.Privileges()), ", ") }

// parseLife reads a duration in which days may be written: 90d, or what time.ParseDuration takes.
func parseLife(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 366 {
			return 0, fmt.Errorf("%q is not a number of days from 1 to 366", days)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	life, err := time.ParseDuration(text)
	if err != nil || life < time.Second {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	return life, nil
}

func newTokenList(s streams) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the API tokens that were not revoked", Args: exactly()}
	user := c.Flags().String("user", "", "only those of this account")
	return listCommand(c, s, "ID\tUSER\tNAME\tPRIVILEGES\tHOSTS\tNETWORKS\tEXPIRES\tLAST USED",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Token, error) {
			return client.Tokens(ctx, *user)
		},
		func(v api.Token) []string {
			expires := stamp(v.Expires)
			if time.Now().After(v.Expires) {
				expires += " (expired)"
			}
			return []string{v.ID, v.User, v.Name, strings.Join(v.Privileges, ","), strings.Join(v.Hosts, ","), strings.Join(v.Networks, ","),
				expires, stamp(v.LastUsed)}
		})
}

func newTokenRevoke(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke ID",
		Short: "End an API token",
		Long:  `Revoke ends a token at once, on every node within a second, open connections included. It cannot be taken back.`,
		Args:  exactly("ID"),
	}
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		if err := client.RevokeToken(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintln(s.err, "revoked 1 API token")
		return nil
	})
}
