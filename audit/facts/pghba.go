package facts

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
)

const (
	maxHBALines = 2000
	maxHBADepth = 10
)

// HBARule is one rule of pg_hba.conf. The first that fits a connection decides; there is no second try.
type HBARule struct {
	Cluster  string   `cel:"cluster"`
	Type     string   `cel:"type"` // local, host, hostssl, hostnossl, hostgssenc, hostnogssenc
	Database []string `cel:"database"`
	User     []string `cel:"user"`
	Address  string   `cel:"address"`
	Method   string   `cel:"method"`
	// Remote says that the rule fits connections of other hosts.
	Remote bool `cel:"remote"`
	// Shadowed is the origin of an earlier rule that fits whatever this one does, so that this one never decides.
	Shadowed string `cel:"shadowed"`
	Origin   string `cel:"origin"`

	network netip.Prefix
	fits    bool // network is known
}

// hbaReader reads pg_hba.conf and what it includes.
type hbaReader struct {
	h       *Host
	cluster string
	rules   []HBARule
	lost    []string
}

func (r *hbaReader) file(name string, depth int) {
	if len(r.lost) > maxLost {
		return
	}
	text, err := r.h.ReadFile(name)
	if err != nil {
		r.lost = append(r.lost, because(err))
		return
	}
	n, start := 0, 0
	pending := ""
	for line := range strings.Lines(string(text)) {
		n++
		if pending == "" {
			start = n
		}
		line = strings.TrimRight(line, "\r\n")
		if strings.HasSuffix(line, `\`) && len(pending) < 1<<16 { // it goes on in the next line
			pending += strings.TrimSuffix(line, `\`)
			continue
		}
		line, pending = pending+line, ""
		if len(r.rules) >= maxHBALines {
			r.lost = append(r.lost, fmt.Sprintf("%s: more than %d rules", name, maxHBALines))
			return
		}
		fields := hbaFields(line)
		if len(fields) >= 2 && strings.HasPrefix(fields[0], "include") {
			r.include(fields[0], fields[1], name, depth)
			continue
		}
		if rule, ok := hbaRule(fields); ok {
			rule.Cluster, rule.Origin = r.cluster, fmt.Sprintf("%s:%d", name, start)
			r.rules = append(r.rules, rule)
		} else if len(fields) > 0 {
			r.lost = append(r.lost, fmt.Sprintf("%s:%d: no rule is understood", name, start))
		}
	}
}

// include reads include, include_if_exists and include_dir, which PostgreSQL 16 brought.
func (r *hbaReader) include(key, other, from string, depth int) {
	if !path.IsAbs(other) {
		other = path.Join(path.Dir(from), other)
	}
	if depth >= maxHBADepth {
		r.lost = append(r.lost, other+": too many files include each other")
		return
	}
	if key != "include_dir" {
		if key == "include" || r.h.Exists(other) {
			r.file(other, depth+1)
		}
		return
	}
	entries, err := r.h.ReadDir(other)
	if err != nil {
		r.lost = append(r.lost, because(err))
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") && !strings.HasPrefix(e.Name(), ".") {
			r.file(path.Join(other, e.Name()), depth+1)
		}
	}
}

// hbaFields splits a line at white space, outside of quotes. A quoted word keeps its quotes' meaning: "all" is a name.
func hbaFields(line string) []string {
	var fields []string
	var field strings.Builder
	inside, inQuotes := false, false
	for i := 0; i <= len(line); i++ {
		end := i == len(line) || !inQuotes && (line[i] == '#' || line[i] == ' ' || line[i] == '\t')
		switch {
		case end && inside:
			fields = append(fields, field.String())
			field.Reset()
			inside = false
		case !end && line[i] == '"':
			inQuotes, inside = !inQuotes, true
			if inQuotes {
				field.WriteByte('"')
			}
		case !end:
			inside = true
			field.WriteByte(line[i])
		}
		if i < len(line) && !inQuotes && line[i] == '#' {
			break
		}
	}
	return fields
}

func hbaRule(fields []string) (HBARule, bool) {
	if len(fields) < 4 {
		return HBARule{}, false
	}
	rule := HBARule{Type: fields[0], Database: strings.Split(fields[1], ","), User: strings.Split(fields[2], ",")}
	if rule.Type == "local" {
		rule.Method = fields[3]
		return rule, true
	}
	if !strings.HasPrefix(rule.Type, "host") || len(fields) < 5 {
		return rule, false
	}
	rule.Address, rule.Method = fields[3], fields[4]
	rule.Remote = true
	if ip, err := netip.ParseAddr(fields[3]); err == nil && len(fields) >= 6 { // an address and a mask apart
		mask, err := netip.ParseAddr(fields[4])
		if err != nil {
			return rule, false
		}
		bits := 0
		for _, b := range mask.AsSlice() {
			for ; b&0x80 != 0; b <<= 1 {
				bits++
			}
		}
		rule.Address, rule.Method = fields[3]+"/"+fmt.Sprint(bits), fields[5]
		rule.network, rule.fits = netip.PrefixFrom(ip, bits).Masked(), true
	} else if network, err := netip.ParsePrefix(fields[3]); err == nil {
		rule.network, rule.fits = network.Masked(), true
	}
	if rule.fits && rule.network.Addr().IsLoopback() && rule.network.Bits() >= 8 {
		rule.Remote = rule.network.Addr().Is6() && rule.network.Bits() < 128
	}
	if rule.Address == "localhost" {
		rule.Remote = false
	}
	return rule, true
}

// shadow notes for each rule whether an earlier one leaves nothing for it.
func shadow(rules []HBARule) {
	for i := range rules {
		for j := range i {
			if rules[j].Cluster == rules[i].Cluster && rules[j].covers(rules[i]) {
				rules[i].Shadowed = rules[j].Origin
				break
			}
		}
	}
}

// covers says whether r fits every connection that other fits.
func (r HBARule) covers(other HBARule) bool {
	return r.coversType(other) && coversNames(r.Database, other.Database, "replication") && coversNames(r.User, other.User, "")
}

func (r HBARule) coversType(other HBARule) bool {
	if r.Type != other.Type && (r.Type != "host" || other.Type == "local") {
		return false
	}
	switch {
	case r.Type == "local", r.Address == "all", r.Address == other.Address:
		return true
	case r.fits && other.fits:
		return r.network.Bits() <= other.network.Bits() && r.network.Contains(other.network.Addr())
	}
	return false
}

// coversNames says whether the names of a rule, which may be all, have all others. all does not mean the word apart.
func coversNames(names, others []string, apart string) bool {
	for _, other := range others {
		if slices.Contains(names, other) || other != apart && slices.Contains(names, "all") {
			continue
		}
		return false
	}
	return true
}
