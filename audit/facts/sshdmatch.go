package facts

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// sshdClient is who connects, from where and to which address of the host: what Match blocks look at.
type sshdClient struct {
	user    string
	exists  bool // there is an account of that name
	root    bool // its user id is 0, whatever its name
	groups  []string
	host    string // the address again, unless UseDNS is on
	address string
	local   string // address
	port    string // local
	rdomain string
}

// matches says whether c fulfils all criteria of the block.
func (m *sshdMatch) matches(c sshdClient) bool {
	for _, criterion := range m.criteria {
		if !criterion.matches(c) {
			return false
		}
	}
	return true
}

func (k sshdCriterion) matches(c sshdClient) bool {
	switch k.kind {
	case "user":
		return matchList(c.user, k.list) > 0
	case "group":
		return matchGroups(c.groups, k.list)
	case "host":
		return matchList(strings.ToLower(c.host), strings.ToLower(k.list)) > 0
	case "address":
		got, _ := matchAddresses(c.address, k.list) // the list was checked when it was read
		return got > 0
	case "localaddress":
		got, _ := matchAddresses(c.local, k.list)
		return got > 0
	case "localport":
		return c.port == k.list
	case "rdomain":
		return c.rdomain != "" && matchList(c.rdomain, k.list) > 0
	}
	return false // invalid-user: it cannot sign in
}

// matchList is 1 when one of the patterns matches, -1 when one that is negated does, 0 else.
func matchList(s, patterns string) int {
	got := 0
	for p := range strings.SplitSeq(patterns, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if matchPattern(s, p) {
			if negated {
				return -1
			}
			got = 1
		}
	}
	return got
}

// matchGroups says whether one of groups matches and none is negated before it.
func matchGroups(groups []string, patterns string) bool {
	found := false
	for _, g := range groups {
		switch matchList(g, patterns) {
		case 1:
			found = true
		case -1:
			return false
		}
	}
	return found
}

// matchPattern matches s with * and ?, in time that grows with the product of the lengths at most.
func matchPattern(s, pattern string) bool {
	i, j, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, mark = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// matchAddresses is matchList for addresses: each pattern is an address, a network or an address with wildcards. A
// network whose host part is not zero is an error, as it is to sshd.
func matchAddresses(address, patterns string) (int, error) {
	addr, _ := netip.ParseAddr(address)
	got := 0
	for p := range strings.SplitSeq(patterns, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if p == "" {
			return 0, fmt.Errorf("an address in %q is empty", patterns)
		}
		prefix, ok, err := parseNetwork(p)
		if err != nil {
			return 0, err
		}
		hit := ok && addr.IsValid() && prefix.Contains(addr.Unmap()) || !ok && matchPattern(strings.ToLower(address), strings.ToLower(p))
		if hit && negated {
			return -1, nil
		}
		if hit {
			got = 1
		}
	}
	return got, nil
}

// parseNetwork reads an address or a network; ok is false when it is neither, and so a pattern with wildcards.
func parseNetwork(text string) (p netip.Prefix, ok bool, err error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true, nil
	}
	if p, err = netip.ParsePrefix(text); err != nil {
		return p, false, nil
	}
	if p != p.Masked() {
		return p, false, fmt.Errorf("the network %s has bits behind its mask", text)
	}
	return p, true, nil
}

// sshdSet is what the directives come to for one client.
type sshdSet struct {
	values map[string]Setting // multiple values are joined by a space
	lists  map[string][]string
}

// cumulative are the directives of which every line counts; of all others the first does.
func cumulative(keyword string) bool {
	return slices.Contains([]string{"port", "listenaddress", "hostkey", "acceptenv", "allowusers", "denyusers", "allowgroups", "denygroups", "subsystem", "setenv"}, keyword)
}

// lastCounts leaves of those directives of which the last line counts that one only. Up to OpenSSH 9.7 sshd takes the
// last line of three of them, against its own manual, and against what everybody expects of a drop-in.
func lastCounts(lines []sshdLine, version float64) []sshdLine {
	if version >= 9.8 {
		return lines
	}
	last := map[string]int{}
	for i, d := range lines {
		if slices.Contains([]string{"maxstartups", "persourcemaxstartups", "persourcenetblocksize"}, d.keyword) {
			last[d.keyword] = i
		}
	}
	var kept []sshdLine
	for i, d := range lines {
		if at, ok := last[d.keyword]; !ok || at == i {
			kept = append(kept, d)
		}
	}
	return kept
}

// evaluateSshd finds what holds for c: the first value in a Match block that matches, else the first global one, else
// the default. lines begin with the directives of the command line, which win over the file.
func evaluateSshd(lines []sshdLine, defaults map[string]string, c sshdClient) sshdSet {
	matched := map[*sshdMatch]bool{}
	holds := func(when []*sshdMatch) bool {
		for _, m := range when {
			ok, known := matched[m]
			if !known {
				ok = m.matches(c)
				matched[m] = ok
			}
			if !ok {
				return false
			}
		}
		return true
	}
	set := sshdSet{map[string]Setting{}, map[string][]string{}}
	take := func(lines []sshdLine, wanted func(d sshdLine) bool) {
		here := map[string]bool{} // set in this pass: more lines of a list add to it
		for _, d := range lines {
			if !wanted(d) {
				continue
			}
			_, before := set.values[d.keyword]
			if before && !(cumulative(d.keyword) && here[d.keyword]) {
				continue
			}
			here[d.keyword] = true
			if before {
				set.lists[d.keyword] = append(set.lists[d.keyword], d.args...)
				continue
			}
			set.values[d.keyword] = Setting{Origin: d.origin}
			set.lists[d.keyword] = slices.Clone(d.args)
		}
	}
	// A list from the command line and one from the file add up; both are global.
	take(lines, func(d sshdLine) bool { return len(d.when) > 0 && holds(d.when) })
	take(lines, func(d sshdLine) bool { return len(d.when) == 0 })
	for keyword, args := range set.lists {
		set.values[keyword] = Setting{sshdValue(keyword, args), set.values[keyword].Origin}
	}
	for keyword, value := range defaults {
		if _, ok := set.values[keyword]; !ok {
			set.values[keyword] = Setting{value, "default"}
			if cumulative(keyword) || keyword == "authenticationmethods" || keyword == "authorizedkeysfile" {
				set.lists[keyword] = strings.Fields(value)
			}
		}
	}
	return set
}

// value returns the value of a directive; "" when it is not set and has no default that is known.
func (s sshdSet) value(keyword string) string { return s.values[keyword].Value }

func (s sshdSet) yes(keyword string) bool { return s.value(keyword) == "yes" }

// admits says whether AllowUsers and its like let c in.
func (s sshdSet) admits(c sshdClient) bool {
	user := func(pattern string) bool {
		name, from, ok := cutLast(pattern, "@")
		if !ok {
			return matchPattern(c.user, pattern)
		}
		return matchPattern(c.user, name) && matchHost(c, from)
	}
	group := func(pattern string) bool {
		return slices.ContainsFunc(c.groups, func(g string) bool { return matchPattern(g, pattern) })
	}
	allowUsers, allowGroups := s.lists["allowusers"], s.lists["allowgroups"]
	return !slices.ContainsFunc(s.lists["denyusers"], user) &&
		(len(allowUsers) == 0 || slices.ContainsFunc(allowUsers, user)) &&
		!slices.ContainsFunc(s.lists["denygroups"], group) &&
		(len(allowGroups) == 0 || slices.ContainsFunc(allowGroups, group))
}

func matchHost(c sshdClient, patterns string) bool {
	ip, err := matchAddresses(c.address, patterns)
	host := matchList(strings.ToLower(c.host), strings.ToLower(patterns))
	return err == nil && ip >= 0 && host >= 0 && (ip > 0 || host > 0)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
