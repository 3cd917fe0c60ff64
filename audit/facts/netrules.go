package facts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/audit/netfilter"
)

// readRules reads all rules of the kernel. What cannot be read makes every answer unknown.
func readRules(ctx context.Context, h *Host) (*netfilter.Ruleset, string) {
	r := &netfilter.Ruleset{}
	var origins []string
	if ipset := h.Look("/usr/sbin/ipset", "/sbin/ipset"); ipset != "" {
		if out, err := h.Run(ctx, ipset, "save"); err == nil && out.Code == 0 {
			r.AddIPSets(out.Stdout)
		}
	}
	tables, err := nftTables()
	if err != nil {
		r.Unread("nftables: " + because(err))
		return r, "nftables"
	}
	managed := map[netfilter.Table]bool{}
	if len(tables) > 0 {
		managed = iptablesNFT(ctx, h, r, tables, &origins)
	}
	if len(managed) < len(tables) {
		nft := h.Look("/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft")
		if nft == "" {
			r.Unread("there are nftables rules, and no program nft to read them")
		} else if err := addNFT(ctx, h, r, nft, managed); err != nil {
			r.Unread(because(err))
		}
		origins = append(origins, "nft -j list ruleset")
	}
	for _, v6 := range []bool{false, true} {
		iptablesLegacy(ctx, h, r, v6, &origins)
	}
	if len(origins) == 0 {
		origins = []string{"the kernel has no packet filter rules"}
	}
	return r, strings.Join(origins, ", ")
}

func addNFT(ctx context.Context, h *Host, r *netfilter.Ruleset, nft string, managed map[netfilter.Table]bool) error {
	out, err := h.Run(ctx, nft, "-j", "list", "ruleset")
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return fmt.Errorf("nft -j list ruleset: exit code %d: %s", out.Code, strings.TrimSpace(string(out.Stderr)))
	}
	return r.AddNFT(out.Stdout, func(t netfilter.Table) bool { return managed[t] })
}

// families of nftables by their number in the kernel's messages.
func nftFamily(n byte) string {
	switch n {
	case 1:
		return "inet"
	case unix.AF_INET:
		return "ip"
	case 3:
		return "arp"
	case 5:
		return "netdev"
	case 7:
		return "bridge"
	case unix.AF_INET6:
		return "ip6"
	}
	return fmt.Sprint(n)
}

// census is what the kernel itself says is in a table of nftables.
type census struct {
	chains []string
	rules  int
}

// nftTables asks the kernel which tables of nftables there are. A kernel without nftables has none.
func nftTables() (map[netfilter.Table]*census, error) {
	const subsystem, getTable, getChain, getRule = 10 << 8, 1, 4, 7 // NFNL_SUBSYS_NFTABLES, NFT_MSG_GET…
	const ofTable, chainName = 1, 3                                 // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE; NFTA_CHAIN_NAME
	all := map[netfilter.Table]*census{}
	for _, kind := range []uint16{getTable, getChain, getRule} {
		n := 0
		err := netlinkDump(unix.NETLINK_NETFILTER, subsystem|kind, make([]byte, 4), func(_ uint16, body []byte) {
			if n++; len(body) < 4 || n > 100_000 {
				return
			}
			t, chain := netfilter.Table{Family: nftFamily(body[0])}, ""
			netlinkAttributes(body[4:], func(kind uint16, value []byte) {
				switch text := strings.TrimRight(string(value), "\x00"); kind {
				case ofTable:
					t.Name = text
				case chainName:
					chain = text
				}
			})
			if all[t] == nil {
				all[t] = &census{}
			}
			switch kind {
			case getChain:
				all[t].chains = append(all[t].chains, chain)
			case getRule:
				all[t].rules++
			}
		})
		if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// iptablesTables are the tables of iptables.
func iptablesTables() []string { return []string{"raw", "mangle", "nat", "filter", "security"} }

// iptablesNFT reads the tables that iptables keeps in nftables from its own program, which knows what its extensions match.
// A table in which nft has put something that iptables leaves out is left to nft.
func iptablesNFT(ctx context.Context, h *Host, r *netfilter.Ruleset, tables map[netfilter.Table]*census, origins *[]string) map[netfilter.Table]bool {
	managed := map[netfilter.Table]bool{}
	for _, family := range []string{"ip", "ip6"} {
		v6, program := family == "ip6", "iptables"
		if v6 {
			program = "ip6tables"
		}
		save := h.Look("/usr/sbin/"+program+"-nft-save", "/sbin/"+program+"-nft-save", "/usr/sbin/"+program+"-save")
		if save == "" {
			continue
		}
		for _, name := range iptablesTables() {
			table := netfilter.Table{Family: family, Name: name}
			if tables[table] == nil {
				continue
			}
			out, err := h.Run(ctx, save, "-t", name)
			if err != nil || out.Code != 0 || !tables[table].equals(string(out.Stdout)) {
				continue
			}
			if err := r.AddIPTables(program+"-nft-save", v6, out.Stdout); err != nil {
				r.Unread(err.Error())
			}
			managed[table] = true
			if o := program + "-nft-save"; !slices.Contains(*origins, o) {
				*origins = append(*origins, o)
			}
		}
	}
	return managed
}

// equals says whether what iptables-save printed has all chains and rules that the kernel has.
func (c *census) equals(saved string) bool {
	for _, chain := range c.chains {
		if !strings.Contains(saved, "\n:"+chain+" ") {
			return false
		}
	}
	return strings.Contains(saved, "(nf_tables)") && strings.Count(saved, "\n-A ") == c.rules
}

// iptablesLegacy reads the tables of the older way, which the kernel keeps beside nftables.
func iptablesLegacy(ctx context.Context, h *Host, r *netfilter.Ruleset, v6 bool, origins *[]string) {
	program, list := "iptables", "/proc/net/ip_tables_names"
	if v6 {
		program, list = "ip6tables", "/proc/net/ip6_tables_names"
	}
	names, err := h.ReadFile(list)
	if err != nil && !h.Exists(list) {
		return // the kernel has never been asked for such a table
	}
	if err != nil {
		r.Unread(program + ": " + because(err))
		return
	}
	if len(strings.Fields(string(names))) == 0 {
		return
	}
	save := h.Look("/usr/sbin/"+program+"-legacy-save", "/sbin/"+program+"-legacy-save", "/usr/sbin/"+program+"-save")
	if save == "" {
		r.Unread("there are rules of " + program + ", and no program to read them")
		return
	}
	for name := range strings.FieldsSeq(string(names)) {
		out, err := h.Run(ctx, save, "-t", name)
		switch {
		case err != nil:
			r.Unread(because(err))
		case out.Code != 0 || strings.Contains(string(out.Stdout), "(nf_tables)"):
			r.Unread(fmt.Sprintf("%s -t %s does not tell the rules of the kernel's older tables", save, name))
		default:
			if err := r.AddIPTables(program+"-legacy-save", v6, out.Stdout); err != nil {
				r.Unread(err.Error())
			}
		}
	}
	*origins = append(*origins, program+"-legacy-save")
}
