package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Count is what rules dropped.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Look is our table as the kernel has it.
type Look struct {
	// Present says whether the table is there.
	Present bool
	// Elements are the bans in force, by prefix.
	Elements []Element
	// Counts are the drops of each rule: "from v4_32" are packets of banned addresses, "to v4_32" such that are forwarded to them.
	Counts map[string]Count
	// Allowed are the addresses that are let through whatever is banned.
	Allowed []string

	lengths []length
	shape   string // the chains and rules, without counters
}

// ReadKernel reads the bans that are in force. It takes CAP_NET_ADMIN.
func ReadKernel() (Look, error) {
	k, err := newKernelTable(nil)
	if err != nil {
		return Look{}, err
	}
	l, err := k.look(true)
	const tries, pause = 5, 30 * time.Millisecond
	for try := 1; try < tries && err == nil && l.short(); try++ { // see countBack
		time.Sleep(time.Duration(try) * pause)
		l, err = k.look(true)
	}
	slices.SortFunc(l.Elements, func(a, b Element) int { return comparePrefixes(a.Prefix, b.Prefix) })
	return l, err
}

// short says whether fewer elements were read than the kernel counts.
func (l *Look) short() bool {
	sets, err := countSets()
	if err != nil {
		return false
	}
	count := 0
	for _, s := range sets {
		if _, ours := lengthNamed(s.name); ours && s.known {
			count += s.count
		}
	}
	return len(l.Elements) < count
}

// look reads the table, with its elements or without.
func (k *kernelTable) look(elements bool) (Look, error) {
	var l Look
	tables, err := k.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return l, fmt.Errorf("list tables: %w", err)
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == TableName }) {
		return l, nil
	}
	l.Present, l.Counts = true, map[string]Count{}
	if err := k.lookRules(&l); err != nil {
		return l, gone(err, &l)
	}
	sets, err := k.conn.GetSets(k.table())
	if err != nil {
		return l, gone(err, &l)
	}
	now := time.Now()
	for _, s := range sets {
		kind, ok := lengthNamed(s.Name)
		if ok {
			l.lengths = append(l.lengths, kind)
		}
		if !elements || !ok {
			continue
		}
		list, err := dumpSet(s.Name)
		if err != nil {
			return l, gone(err, &l)
		}
		for _, one := range list {
			a, ok := netip.AddrFromSlice(one.key)
			if !ok {
				continue
			}
			e := Element{Prefix: netip.PrefixFrom(a, kind.bits)}
			if one.timeout > 0 {
				e.Until = now.Add(time.Duration(one.expires) * time.Millisecond)
			}
			l.Elements = append(l.Elements, e)
		}
	}
	return l, nil
}

// gone makes an error that the table vanished while it was read no error.
func gone(err error, l *Look) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOENT) {
		*l = Look{}
		return nil
	}
	return fmt.Errorf("read the table %s: %w", TableName, err)
}

func lengthNamed(name string) (length, bool) {
	var l length
	version, bits, ok := strings.Cut(name, "_")
	if !ok || version != "v4" && version != "v6" {
		return l, false
	}
	l.v6 = version == "v6"
	if _, err := fmt.Sscanf(bits, "%d", &l.bits); err != nil || l.bits < 0 || l.bits > l.size()*8 {
		return l, false
	}
	return l, l.name() == name
}

// lookRules reads the chains: their shape, and the counters.
func (k *kernelTable) lookRules(l *Look) error {
	chains, err := k.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return err
	}
	var parts []string
	for _, c := range chains {
		if c.Table.Name != TableName {
			continue
		}
		rules, err := k.conn.GetRules(c.Table, c)
		if err != nil {
			return err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "chain %s %s", c.Name, c.Type)
		if c.Hooknum != nil && c.Priority != nil && c.Policy != nil {
			fmt.Fprintf(&b, " %d %d %d", *c.Hooknum, *c.Priority, *c.Policy)
		}
		for _, r := range rules {
			b.WriteString("\n ")
			writeRule(&b, r.Exprs, strings.TrimRight(c.Name, "46"), l.Counts)
		}
		parts = append(parts, b.String())
	}
	slices.Sort(parts)
	l.shape = strings.Join(parts, "\n")
	return nil
}

// writeRule writes expressions so that equal rules have equal texts, and keeps the counters apart.
func writeRule(b *strings.Builder, exprs []expr.Any, way string, counts map[string]Count) {
	set := ""
	for _, one := range exprs {
		switch e := one.(type) {
		case *expr.Counter:
			counts[way+" "+set] = Count{e.Packets, e.Bytes}
			b.WriteString(" counter")
		case *expr.Lookup:
			set = e.SetName
			fmt.Fprintf(b, " lookup %s %t", e.SetName, e.Invert)
		default:
			fmt.Fprintf(b, " %T%+v", one, one)
		}
	}
}
