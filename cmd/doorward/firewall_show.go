package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/firewall/ruleset"
)

// firewallView is what firewall show prints.
type firewallView struct {
	Bans bansView `json:"bans"`
	Base baseView `json:"base"`
}

type bansView struct {
	// Enforce is how doorward enforce fares; missing when it does not answer, and then Problem says why.
	Enforce *firewall.Status `json:"enforce,omitempty"`
	Problem string           `json:"problem,omitempty"`
	// Table is whether the kernel has the table of bans.
	Table    bool                      `json:"table"`
	Elements []banView                 `json:"elements"`
	Dropped  map[string]firewall.Count `json:"dropped"`
	// Missing and Extra are how the kernel differs from what enforce wants.
	Missing []string `json:"missing"`
	Extra   []string `json:"extra"`
}

type banView struct {
	Network string     `json:"network"`
	Until   *time.Time `json:"until,omitempty"` // missing: for good
}

type baseView struct {
	InForce string `json:"in_force"` // as nft writes it; empty: none
	// Status is what became of the last apply; empty: there was none.
	Status   string     `json:"status,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Deadline *time.Time `json:"deadline,omitempty"`
	// Drift is the difference from what is in force to what the configuration asks for; empty: there is none.
	Drift string `json:"drift"`
}

func newFirewallShow(s streams) *cobra.Command {
	var k ruleset.Keeper
	c := &cobra.Command{
		Use:   "show",
		Short: "Show bans, counters and base ruleset in force, and how they differ from what is wanted",
		Long: `Show reads the kernel, doorward enforce and the configuration, and tells where they differ. It exits with 1 when they do: bans that
are missing or nobody asked for, no answer from doorward enforce, or another base ruleset than the configuration's.`,
		Example: "  doorward firewall show --json",
		Args:    exactly(),
	}
	path := configFlag(c)
	keeperFlags(c, &k)
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := needRoot("show reads the kernel's rules"); err != nil {
			return err
		}
		cfg, err := loadConfig(*path, config.LoadFirewall)
		if err != nil {
			return err
		}
		var v firewallView
		if v.Bans, err = viewBans(c.Context(), cfg.Firewall); err != nil {
			return err
		}
		if v.Base, err = viewBase(c.Context(), k, &cfg.Firewall.Rules); err != nil {
			return err
		}
		if *asJSON {
			err = writeJSON(s.out, v)
		} else {
			err = v.write(s.out)
		}
		if err == nil && (len(v.Bans.Missing)+len(v.Bans.Extra) > 0 || v.Bans.Problem != "" || v.Base.Drift != "") {
			return failure(v.advice(), "the kernel is not as the configuration and doorward enforce want it")
		}
		return err
	}
	return c
}

// advice says what to do about the difference.
func (v *firewallView) advice() string {
	switch {
	case v.Bans.Problem != "":
		return "the gateway refuses them all the same, and the bans that are in the kernel stay until their time; systemctl status doorward-enforce.socket doorward-enforce tells more"
	case v.Base.Drift != "":
		return "doorward firewall apply brings the configuration's ruleset into force"
	}
	return "doorward enforce puts it right within seconds; if not, its log says why: journalctl -u doorward-enforce"
}

// viewBans compares the kernel's bans with enforce's.
func viewBans(ctx context.Context, cfg firewall.Config) (bansView, error) {
	v := bansView{Elements: []banView{}, Missing: []string{}, Extra: []string{}}
	var wanted []firewall.Element
	if cfg.Enforce {
		link, err := firewall.Dial(ctx, cfg.Socket)
		if err == nil {
			defer link.Close()
			var status firewall.Status
			if status, err = link.Status(); err == nil {
				v.Enforce, v.Problem = &status, status.Error
				wanted, err = link.List()
			}
		}
		if err != nil {
			v.Problem = err.Error()
		}
	}
	kernel, err := firewall.ReadKernel()
	if err != nil {
		return v, err
	}
	v.Table, v.Dropped = kernel.Present, kernel.Counts
	soon := time.Now().Add(2 * time.Second) // what ends now may be on one side only
	there := map[netip.Prefix]bool{}
	for _, e := range kernel.Elements {
		there[e.Prefix] = true
		v.Elements = append(v.Elements, viewBan(e))
	}
	if v.Enforce == nil {
		return v, nil
	}
	known := map[netip.Prefix]bool{}
	for _, e := range wanted {
		known[e.Prefix] = true
		if !there[e.Prefix] && (e.Until.IsZero() || e.Until.After(soon)) {
			v.Missing = append(v.Missing, e.Prefix.String())
		}
	}
	for _, e := range kernel.Elements {
		if !known[e.Prefix] && (e.Until.IsZero() || e.Until.After(soon)) {
			v.Extra = append(v.Extra, e.Prefix.String())
		}
	}
	return v, nil
}

func viewBan(e firewall.Element) banView {
	v := banView{Network: e.Prefix.String()}
	if e.Prefix.IsSingleIP() {
		v.Network = e.Prefix.Addr().String()
	}
	if !e.Until.IsZero() {
		until := e.Until.UTC().Truncate(time.Second)
		v.Until = &until
	}
	return v
}

// viewBase compares the base ruleset in force with the configuration's. A host on which none was applied has no drift.
func viewBase(ctx context.Context, k ruleset.Keeper, rules *ruleset.Config) (baseView, error) {
	var v baseView
	var err error
	if v.InForce, err = ruleset.InForce(ctx); err != nil {
		return v, err
	}
	last, err := k.Last()
	switch {
	case errors.Is(err, ruleset.ErrNone):
	case err != nil:
		return v, err
	default:
		v.Status, v.Reason = last.Status, last.Reason
		if last.Waits() {
			v.Deadline = &last.Deadline
		}
	}
	if v.InForce == "" && v.Status != ruleset.Confirmed && v.Status != ruleset.Unconfirmed {
		return v, nil
	}
	v.Drift, err = ruleset.Drift(ctx, v.InForce, rules.Text())
	return v, err
}

// write is the view for people.
func (v firewallView) write(w io.Writer) error {
	b := v.Bans
	switch {
	case b.Enforce != nil && b.Problem == "":
		fmt.Fprintf(w, "bans: %d in the kernel, kept by doorward enforce since %s\n", len(b.Elements), b.Enforce.Since.Local().Format(time.DateTime))
	case b.Problem != "":
		fmt.Fprintf(w, "bans: %d in the kernel; doorward enforce: %s\n", len(b.Elements), oneLine(b.Problem))
	default:
		fmt.Fprintf(w, "bans: %d in the kernel; firewall.enforce is off\n", len(b.Elements))
	}
	const most = 50
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, e := range b.Elements {
		if i == most {
			fmt.Fprintf(t, "… and %d more (--json lists all)\n", len(b.Elements)-most)
			break
		}
		until := "for good"
		if e.Until != nil {
			until = "until " + e.Until.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "  %s\t%s\n", e.Network, until)
	}
	for _, name := range sortedNames(b.Dropped) {
		if n := b.Dropped[name]; n.Packets > 0 {
			fmt.Fprintf(t, "  dropped %s\t%d packets\t%d bytes\n", name, n.Packets, n.Bytes)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range b.Missing {
		fmt.Fprintf(w, "  missing in the kernel: %s\n", p)
	}
	for _, p := range b.Extra {
		fmt.Fprintf(w, "  nobody asked for: %s\n", p)
	}
	switch {
	case v.Base.InForce == "":
		fmt.Fprintln(w, "base ruleset: none; doorward firewall apply puts it into force")
	case v.Base.Deadline != nil:
		fmt.Fprintf(w, "base ruleset: in force, and taken back at %s unless it is confirmed\n", v.Base.Deadline.Local().Format(time.DateTime))
	default:
		fmt.Fprintf(w, "base ruleset: in force, %s\n", cell(v.Base.Status))
	}
	fmt.Fprint(w, v.Base.InForce)
	if v.Base.Drift != "" {
		fmt.Fprintf(w, "it differs from the configuration (- is in force, + is wanted):\n%s", v.Base.Drift)
	}
	return nil
}

func sortedNames(m map[string]firewall.Count) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
