package netfilter

import (
	"fmt"
	"slices"
	"strings"
)

// Bounds of one rule set; what is larger is not judged.
const (
	maxRules    = 50_000
	maxChains   = 5_000
	maxElements = 1_000_000
	maxDepth    = 16 // jumps within each other; the kernel allows no more
)

// Ruleset is all rules of one host. The zero value is that of a host without any.
type Ruleset struct {
	bases    []*chain
	chains   map[place]*chain
	sets     map[place]*values
	rules    int
	elements int
	unread   []string
}

// place is where a chain or set is found. iptables' own tables are kept apart from those of nftables.
type place struct{ source, family, table, name string }

// chain is a list of rules, and where the kernel calls it if it is a base chain.
type chain struct {
	place
	hook   string // prerouting, input, …; empty: only jumped to
	kind   string // filter, nat, route
	prio   int
	drop   bool // policy
	device []string
	rules  []*rule
}

func (c *chain) String() string { return c.family + " " + c.table + " " + c.name }

// rule is what happens in order, until a match does not hold.
type rule struct {
	steps  []step
	text   string
	origin string
}

func (r *rule) String() string { return r.origin + ": " + r.text }

// doing is what a step of a rule does.
type doing int

const (
	match doing = iota
	accept
	drop
	jump
	gotoChain
	back      // return
	verdicts  // a verdict map
	limit     // a rate or number of connections that a single new connection does not exceed
	over      // the same, and matches only what exceeds it
	setMark   //
	setCTMark //
	notrack   //
	dnat      //
	opaque    // not understood: everything can happen
	perhaps   // not understood, but only a match
)

type step struct {
	do     doing
	test   test   // of match and verdicts
	target string // of jumps
	mark   uint32
	known  bool // the mark, or dnat's target
	to     redirection
}

// redirection is the target of dnat and redirect.
type redirection struct {
	addr  number
	moves bool // to addr
	local bool // to the host itself
	port  uint16
}

// how a test compares.
type how int

const (
	equal how = iota
	unequal
	anyBit // a bit of the value is set
	noBit
)

// test compares fields of the packet with values.
type test struct {
	fields []string // more than one: a concatenation
	mask   number
	masked bool
	how    how
	values *values
}

// values are what a test compares with: a set, a map of verdicts, or a single value.
type values struct {
	numbers spans     // of sets of single numbers
	names   []string  // of interfaces; a trailing * stands for anything
	tuples  []element // of concatenations and maps
	why     string    // the values are not understood
}

// element is an entry of a concatenation or map.
type element struct {
	parts   []part
	verdict step
}

// part is one field of an element.
type part struct {
	numbers spans
	names   []string
}

// Unread names what of the host's rules could not be read; then nothing is known of any packet.
func (r *Ruleset) Unread(why string) {
	if !slices.Contains(r.unread, why) && len(r.unread) < 20 {
		r.unread = append(r.unread, why)
	}
}

// Reasons tells why nothing is known of any packet; empty when the rules could be read.
func (r *Ruleset) Reasons() []string { return r.unread }

// Rules is how many rules there are.
func (r *Ruleset) Rules() int { return r.rules }

// Hooked tells the base chains of a hook (input, output, …) as "inet filter input".
func (r *Ruleset) Hooked(hook string) []string {
	var all []string
	for _, c := range r.bases {
		if c.hook == hook {
			all = append(all, c.String())
		}
	}
	return all
}

func (r *Ruleset) add(c *chain) error {
	if r.chains == nil {
		r.chains = map[place]*chain{}
	}
	if r.chains[c.place] != nil {
		return fmt.Errorf("chain %s is there twice", c)
	}
	if len(r.chains) >= maxChains {
		return fmt.Errorf("more than %d chains", maxChains)
	}
	r.chains[c.place] = c
	if c.hook != "" {
		r.bases = append(r.bases, c)
	}
	return nil
}

func (r *Ruleset) addRule(c *chain, one *rule) error {
	if r.rules++; r.rules > maxRules {
		return fmt.Errorf("more than %d rules", maxRules)
	}
	c.rules = append(c.rules, one)
	return nil
}

// at lists the base chains that judge packets of a family at a hook, in the kernel's order.
func (r *Ruleset) at(hook string, v6 bool) []*chain {
	family := "ip"
	if v6 {
		family = "ip6"
	}
	var all []*chain
	for _, c := range r.bases {
		if c.hook == hook && (c.family == family || c.family == "inet" || c.family == "netdev") {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b *chain) int { return a.prio - b.prio })
	return all
}

// named says whether pattern, an interface's name or the beginning of it with *, means name.
func named(pattern, name string) bool {
	switch {
	case strings.HasSuffix(pattern, `\*`):
		return name == strings.TrimSuffix(pattern, `\*`)+"*"
	case strings.HasSuffix(pattern, "*"):
		return strings.HasPrefix(name, strings.TrimSuffix(pattern, "*"))
	}
	return pattern == name
}
