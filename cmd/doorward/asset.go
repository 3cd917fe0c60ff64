package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/register"
)

func newAsset(s streams) *cobra.Command {
	return group("asset", "Keep the list of systems: zone, classification, owner",
		newAssetSet(s),
		listCommand(&cobra.Command{Use: "list", Short: "List the systems", Args: exactly()}, s, "NAME\tADDRESS\tZONE\tCLASSIFICATION\tOWNER\tREVIEW BY\tNOTE",
			func(ctx context.Context, client *api.Client, _ []string) ([]register.Asset, error) {
				return client.Assets(ctx)
			},
			func(a register.Asset) []string {
				until := a.Until.Local().Format(time.DateOnly)
				if !a.Until.After(time.Now()) {
					until += " (past)"
				}
				return []string{a.Name, a.Address, a.Zone, a.Classification, a.Owner, until, a.Note}
			}),
		adminCommand(&cobra.Command{Use: "remove NAME", Short: "Forget a system", Args: exactly("NAME")}, s,
			func(ctx context.Context, client *api.Client, args []string) error {
				return client.RemoveAsset(ctx, args[0])
			}),
	)
}

func newAssetSet(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Add a system, or replace what is known of it",
		Long: `Set writes down a system that belongs to the installation, or that talks to the application: where it stands, how precious its data
is, and who answers for it (I-10, F-13). Writing it down again counts as a review.`,
		Example: "  doorward asset set db1 --zone database --classification confidential --owner 'Anna Weber' --address 10.3.0.5",
		Args:    exactly("NAME"),
	}
	flags := c.Flags()
	var in api.NewAsset
	flags.StringVar(&in.Zone, "zone", "", "where it stands, such as dmz or database")
	flags.StringVar(&in.Classification, "classification", "", strings.Join(register.Classifications(), ", "))
	flags.StringVar(&in.Owner, "owner", "", "who answers for it")
	flags.StringVar(&in.Address, "address", "", "its address or name in the network")
	flags.StringVar(&in.Note, "note", "", "what else is to be known")
	until := flags.String("until", "", "the day by which it has to be looked at again, as 2027-01-31; default: in a year")
	return adminCommand(c, s, func(ctx context.Context, client *api.Client, args []string) error {
		var err error
		if in.Until, err = endDay(*until, time.Now(), audit.Control{Attest: &audit.Question{ReviewDays: 365}}, register.Attestation); err != nil {
			return err
		}
		a, err := client.SetAsset(ctx, args[0], in)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: %s, %s, to be reviewed by %s\n", oneLine(a.Name), oneLine(a.Zone), a.Classification, a.Until.Local().Format(time.DateOnly))
		return nil
	})
}
