package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
)

func newFail2banStatus(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how the imported jails are that run inside Doorward",
		Long: `Status shows the jails of watch.fail2ban: what each reads, has read and counted since it was put in force, and why one does not run
or what it cannot read. doorward decision list --origin jail: shows whom they banned.`,
		Example: "  doorward fail2ban status --json",
		Args:    exactly(),
	}
	return listCommand(c, s, "JAIL\tREADS\tLINES\tFAILURES\tBANS\tPROBLEM",
		func(ctx context.Context, client *api.Client, _ []string) ([]api.Jail, error) {
			return client.Jails(ctx)
		},
		func(j api.Jail) []string {
			number := func(n uint64) string { return strconv.FormatUint(n, 10) }
			return []string{j.Name, strings.Join(j.Reads, ", "), number(j.Lines), number(j.Failures), number(j.Proposals), j.Problem}
		})
}
