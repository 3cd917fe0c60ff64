package decision

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/gaissmai/bart"

	"github.com/doorward/doorward/store"
)

const (
	namesEvery      = 5 * time.Minute  // how often the names of the allow list are asked for
	ownEvery        = time.Minute      // how often this machine's own addresses are read
	nameLimit       = 10 * time.Second // for one name
	maxNameAnswers  = 64               // addresses of one name
	maxOwnAddresses = 1024
)

// allowTable is who may never be decided about: prefixes, each with why. It is never changed.
type allowTable struct{ prefixes *bart.Table[string] }

func (t *allowTable) contains(addr netip.Addr) bool { return t.prefixes.Contains(addr) }

// touches tells whether a decision about p would hit somebody allowed, and which entry says so.
func (t *allowTable) touches(p netip.Prefix) (netip.Prefix, string, bool) {
	if at, why, ok := t.prefixes.LookupPrefixLPM(p); ok {
		return at, why, true
	}
	for at, why := range t.prefixes.Subnets(p) {
		return at, why, true
	}
	return netip.Prefix{}, "", false
}

// allowSources is what the table is built of. The owner locks.
type allowSources struct {
	cfg   Config
	names map[string][]netip.Addr // the last good answers
	own   []netip.Addr
}

func (s *allowSources) table() *allowTable {
	t := &bart.Table[string]{}
	add := func(p netip.Prefix, why string) {
		if _, known := t.Get(p); !known && p.IsValid() {
			t.Insert(p, why)
		}
	}
	for _, entry := range s.cfg.Allow {
		prefix, name, ok := parseAllowed(entry)
		switch {
		case !ok:
		case name == "":
			add(prefix, "decisions.allow has "+entry)
		default:
			for _, addr := range s.names[name] {
				add(single(addr), "decisions.allow has "+name)
			}
		}
	}
	for _, p := range s.cfg.TrustedProxies {
		if p, ok := canonicalPrefix(p); ok {
			add(p, "it is a trusted proxy")
		}
	}
	if s.cfg.Trial {
		return &allowTable{t}
	}
	add(netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8), "it is this machine")
	add(single(netip.IPv6Loopback()), "it is this machine")
	for _, addr := range s.own {
		add(single(addr), "it is this machine")
	}
	return &allowTable{t}
}

func single(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// ownAddresses reads the addresses of this machine's interfaces.
func ownAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("read own addresses: %w", err)
	}
	var own []netip.Addr
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && len(own) < maxOwnAddresses {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, addr.Unmap())
			}
		}
	}
	return own, nil
}

// rebuildAllowed puts a new table in force after a change of its sources.
func (l *List) rebuildAllowed(change func(*allowSources)) {
	l.allowMu.Lock()
	defer l.allowMu.Unlock()
	change(&l.allowFrom)
	l.allowed.Store(l.allowFrom.table())
	l.allowDirty.Store(true)
}

// refreshOwn reads this machine's addresses anew; on an error those known stay.
func (l *List) refreshOwn() {
	own, err := ownAddresses()
	if err != nil {
		l.log.Warn("own addresses stay as they were", slog.Any("error", err))
		return
	}
	l.allowMu.Lock()
	same := fmt.Sprint(own) == fmt.Sprint(l.allowFrom.own)
	l.allowMu.Unlock()
	if !same {
		l.rebuildAllowed(func(s *allowSources) { s.own = own })
	}
}

// resolve is how names become addresses.
type resolve func(ctx context.Context, name string) ([]netip.Addr, error)

func systemResolve(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

// keepNames asks for the addresses of the allow list's names until ctx ends.
func (l *List) keepNames(ctx context.Context) {
	ticker := time.NewTicker(namesEvery)
	defer ticker.Stop()
	for {
		l.refreshNames(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-l.namesDue:
		}
	}
}

// refreshNames asks once for each name. No answer, and an answer without addresses, leave the last good one in force.
func (l *List) refreshNames(ctx context.Context) {
	for _, name := range l.cfg.Load().names() {
		asking, cancel := context.WithTimeout(ctx, nameLimit)
		found, err := l.resolve(asking, name)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil || len(found) == 0 {
			l.counted.namesFailed.Add(1)
			l.log.Warn("name of the allow list has no answer; its last addresses stay allowed", slog.String("name", name), slog.Any("error", err))
			continue
		}
		found = found[:min(len(found), maxNameAnswers)]
		for i := range found {
			found[i] = found[i].Unmap().WithZone("")
		}
		l.allowMu.Lock()
		same := fmt.Sprint(found) == fmt.Sprint(l.allowFrom.names[name])
		l.allowMu.Unlock()
		if same {
			continue
		}
		l.rebuildAllowed(func(s *allowSources) {
			names := make(map[string][]netip.Addr, len(s.names)+1)
			for other, addrs := range s.names {
				names[other] = addrs
			}
			names[name] = found
			s.names = names
		})
		if err := l.storeName(ctx, name, found); err != nil {
			l.log.Warn("store addresses of the allow list", slog.String("name", name), slog.Any("error", err))
		}
	}
}

// names are the DNS names of the allow list.
func (c *Config) names() []string {
	var names []string
	for _, entry := range c.Allow {
		if _, name, ok := parseAllowed(entry); ok && name != "" && len(names) < maxAllowNames {
			names = append(names, name)
		}
	}
	return names
}

func (l *List) storeName(ctx context.Context, name string, addrs []netip.Addr) error {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return l.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqlForgetName, name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, sqlRememberName, name, strings.Join(texts, " "), store.Micros(time.Now()))
		return err
	})
}

// loadNames reads the last good answers of an earlier run.
func (l *List) loadNames(ctx context.Context) (map[string][]netip.Addr, error) {
	rows, err := l.db.QueryContext(ctx, sqlNames)
	if err != nil {
		return nil, fmt.Errorf("read names of the allow list: %w", err)
	}
	defer rows.Close()
	names := make(map[string][]netip.Addr)
	for rows.Next() {
		var name, texts string
		if err := rows.Scan(&name, &texts); err != nil {
			return nil, fmt.Errorf("read names of the allow list: %w", err)
		}
		for text := range strings.FieldsSeq(texts) {
			if addr, err := netip.ParseAddr(text); err == nil {
				names[name] = append(names[name], addr)
			}
		}
	}
	return names, rows.Err()
}

// Allowed tells whether the address is on the allow list, and so exempt from everything that a decision or a flood limit does.
func (l *List) Allowed(addr netip.Addr) bool {
	return l.allowed.Load().contains(addr.Unmap().WithZone(""))
}

// AllowedPrefixes returns the allow list as it is now: configured entries, answers of names, trusted proxies and own addresses.
func (l *List) AllowedPrefixes() []netip.Prefix {
	var all []netip.Prefix
	for p := range l.allowed.Load().prefixes.AllSorted() {
		all = append(all, p)
	}
	return all
}
