package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of how many kinds of clients are told apart. Match blocks seldom have more than a handful of patterns.
const (
	maxSshdUsers   = 5_000 // accounts, before those of a kind are taken together
	maxSshdClients = 2_000 // kinds of clients, before those that sshd treats alike are taken together
)

// sshdPatterns are all conditions on clients that a configuration has.
type sshdPatterns struct {
	users, groups, hosts, addresses, locals, domains []string
	criteria                                         []sshdCriterion
	entries                                          []sshdLine // AllowUsers and its like
	directory                                        bool       // accounts may come from elsewhere than /etc/passwd
}

func patternsOf(p *sshdParser) sshdPatterns {
	var all sshdPatterns
	for _, m := range p.matches {
		all.criteria = append(all.criteria, m.criteria...)
		for _, c := range m.criteria {
			list := strings.Split(c.list, ",")
			switch c.kind {
			case "user":
				all.users = append(all.users, list...)
			case "group":
				all.groups = append(all.groups, list...)
			case "host":
				all.hosts = append(all.hosts, list...)
			case "address":
				all.addresses = append(all.addresses, list...)
			case "localaddress":
				all.locals = append(all.locals, list...)
			case "rdomain":
				all.domains = append(all.domains, list...)
			}
		}
	}
	for _, d := range p.lines {
		switch d.keyword {
		case "allowusers", "denyusers":
			all.entries = append(all.entries, d)
			for _, entry := range d.args {
				name, from, _ := cutLast(entry, "@")
				all.users = append(all.users, name)
				all.addresses = append(all.addresses, strings.Split(from, ",")...)
			}
		case "allowgroups", "denygroups":
			all.entries = append(all.entries, d)
			all.groups = append(all.groups, d.args...)
		}
	}
	return all
}

// witness writes an example of what a pattern with wildcards matches.
func witness(pattern string) string {
	return strings.NewReplacer("*", "1", "?", "1").Replace(strings.TrimPrefix(pattern, "!"))
}

// addressesFor are addresses of which at least one lies in each pattern, and some in none.
func addressesFor(patterns []string) []string {
	found := []string{elsewhere, elsewhere6, "127.0.0.1", "192.168.1.20", "10.20.30.40"}
	for _, p := range patterns {
		p = strings.TrimPrefix(p, "!")
		prefix, ok, err := parseNetwork(p)
		if err != nil || p == "" {
			continue
		}
		if ok {
			found = append(found, middle(prefix).String(), prefix.Addr().Next().String(), prefix.Addr().String())
			continue
		}
		if a, err := netip.ParseAddr(witness(p)); err == nil {
			found = append(found, a.String())
		}
	}
	return slices.DeleteFunc(found, func(a string) bool { _, err := netip.ParseAddr(a); return err != nil })
}

// Addresses of documentation (RFC 5737, RFC 3849) stand for the rest of the world.
const (
	elsewhere  = "203.0.113.77"
	elsewhere6 = "2001:db8::77"
)

// middle is an address amid the prefix, where a smaller network that is taken out of it seldom is.
func middle(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	if at := p.Bits() / 8; at < len(b) {
		b[at] |= 0x80 >> (p.Bits() % 8)
		b[len(b)-1] |= 1
	}
	a, _ := netip.AddrFromSlice(b) // the length is that of an address
	return a
}

// usesDirectory says whether nsswitch.conf names more than files for accounts.
func usesDirectory(h *Host) (bool, error) {
	text, err := h.ReadFile("/etc/nsswitch.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if sources, ok := strings.CutPrefix(strings.TrimSpace(line), "passwd:"); ok {
			for source := range strings.FieldsSeq(sources) {
				if !slices.Contains([]string{"files", "compat", "systemd", "db"}, source) && source[0] != '[' {
					return true, nil
				}
			}
		}
	}
	return false, err
}

// sshdUsers are the users to look at: every account, and anybody else, who stands for accounts of services and those
// that are made tomorrow. Where accounts come from a directory, also those that only a pattern names.
func sshdUsers(patterns sshdPatterns, users []User, groups []Group) []sshdClient {
	var all []sshdClient
	known := map[string]bool{}
	of := memberships(users, groups)
	for _, u := range users {
		if len(all) >= maxSshdUsers {
			break
		}
		if u.UID == 0 || u.Login {
			all = append(all, sshdClient{user: u.Name, exists: true, root: u.UID == 0, groups: of[u.Name]})
		}
		known[u.Name] = true
	}
	// root comes first, so that it stands for its kind.
	slices.SortStableFunc(all, func(a, b sshdClient) int { return strings.Compare(b2s(!a.root)+a.user, b2s(!b.root)+b.user) })
	all = append(all, sshdClient{user: "anybody"})
	if !patterns.directory {
		return all
	}
	for _, p := range patterns.users {
		if name := witness(p); name != "" && !known[name] && len(all) < 2*maxSshdUsers {
			known[name] = true
			all = append(all, sshdClient{user: name})
		}
	}
	for _, g := range patterns.groups {
		if g = witness(g); g != "" && len(all) < 3*maxSshdUsers {
			all = append(all, sshdClient{user: "anybody-in-" + g, groups: []string{g}})
		}
	}
	return all
}

func b2s(b bool) string { return strconv.Itoa(map[bool]int{true: 1}[b]) }

// kinds keeps one client of each kind: those for which all conditions on users hold alike, or those on addresses.
func kinds(all []sshdClient, key func(sshdClient) string) []sshdClient {
	seen := map[string]bool{}
	var kept []sshdClient
	for _, c := range all {
		if k := key(c); !seen[k] {
			seen[k] = true
			kept = append(kept, c)
		}
	}
	return kept
}

// sshdPeople keeps one user of each kind.
func sshdPeople(patterns sshdPatterns, users []User, groups []Group) []sshdClient {
	return kinds(sshdUsers(patterns, users, groups), func(c sshdClient) string {
		key := b2s(c.root) + b2s(c.exists && c.root)
		for _, k := range patterns.criteria {
			key += b2s((k.kind == "user" || k.kind == "group") && k.matches(c))
		}
		for _, d := range patterns.entries {
			for _, entry := range d.args {
				name, _, _ := cutLast(entry, "@")
				if strings.HasSuffix(d.keyword, "users") {
					key += b2s(matchPattern(c.user, name))
				} else {
					key += b2s(slices.ContainsFunc(c.groups, func(g string) bool { return matchPattern(g, entry) }))
				}
			}
		}
		return key
	})
}

var errManyClients = errors.New("its Match blocks tell more kinds of clients apart than are looked at")

// sshdClients lists one client of every kind that the configuration can tell apart. admin says whether an address is one
// of administrators.
func sshdClients(patterns sshdPatterns, users []User, groups []Group, base sshdSet, t Target) ([]sshdClient, error) {
	useDNS := base.yes("usedns")
	addressPatterns := patterns.addresses
	if !useDNS {
		addressPatterns = slices.Concat(addressPatterns, patterns.hosts) // the host is the address then
	}
	for _, p := range t.AdminNetworks {
		addressPatterns = append(addressPatterns, p.Masked().String())
	}
	var places []sshdClient
	for _, a := range addressesFor(addressPatterns) {
		places = append(places, sshdClient{address: a, host: a})
		for _, h := range patterns.hosts {
			if useDNS {
				places = append(places, sshdClient{address: a, host: strings.ToLower(witness(h))})
			}
		}
	}
	places = kinds(places, func(c sshdClient) string {
		key := b2s(t.admin(c.address))
		for _, k := range patterns.criteria {
			key += b2s((k.kind == "address" || k.kind == "host") && k.matches(c))
		}
		for _, d := range patterns.entries {
			for _, entry := range d.args {
				_, from, ok := cutLast(entry, "@")
				key += b2s(ok && strings.HasSuffix(d.keyword, "users") && matchHost(c, from))
			}
		}
		return key
	})
	people, doors := sshdPeople(patterns, users, groups), sshdDoors(patterns, base)
	if len(people)*len(places)*len(doors) > maxSshdClients {
		return nil, fmt.Errorf("%w: %d users, %d addresses, %d ports", errManyClients, len(people), len(places), len(doors))
	}
	var all []sshdClient
	for _, u := range people {
		for _, place := range places {
			for _, door := range doors {
				c := u
				c.host, c.address = place.host, place.address
				c.local, c.port, c.rdomain = door.local, door.port, door.rdomain
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// sshdDoors are the kinds of addresses and ports of the host itself.
func sshdDoors(patterns sshdPatterns, base sshdSet) []sshdClient {
	var all []sshdClient
	locals := append([]string{"192.0.2.10"}, addressesFor(patterns.locals)...)
	if len(patterns.locals) == 0 {
		locals = locals[:1]
	}
	for _, port := range sshdPorts(base) {
		for _, local := range locals {
			for _, domain := range append([]string{""}, patterns.domains...) {
				all = append(all, sshdClient{local: local, port: port, rdomain: witness(domain)})
			}
		}
	}
	return kinds(all, func(c sshdClient) string {
		key := ""
		for _, k := range patterns.criteria {
			key += b2s((k.kind == "localaddress" || k.kind == "localport" || k.kind == "rdomain") && k.matches(c))
		}
		return key
	})
}

// sshdPorts are the ports that sshd listens on.
func sshdPorts(base sshdSet) []string {
	ports := slices.Clone(base.lists["port"])
	for _, l := range sshdListens(base) {
		if !slices.Contains(ports, strconv.Itoa(l.Port)) {
			ports = append(ports, strconv.Itoa(l.Port))
		}
	}
	return ports
}

// admin says whether people administer from address: a declared network, or the host itself. Where none is declared, the
// private networks (RFC 1918, RFC 4193) count, which the internet does not route.
func (t Target) admin(address string) bool {
	a, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	if a.IsLoopback() {
		return true
	}
	if len(t.AdminNetworks) == 0 {
		return a.IsPrivate() || a.IsLinkLocalUnicast()
	}
	return slices.ContainsFunc(t.AdminNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}
