package pyre

import (
	"strings"
	"unicode/utf8"
)

// probe is one alternative of a look-around that needs no program: a place, a character or a literal. Nearly all
// look-arounds of filters are made of such, as in (?! from ) and (?=\b|\W|$).
type probe struct {
	set     *runeSet
	literal string
	place   place
	isPlace bool
}

// probes returns the alternatives of a look-around; nil if it needs a program.
func probes(n *node) []probe {
	for n.op == nodeConcat && len(n.subs) == 1 || n.op == nodeGroup && n.group == 0 {
		n = n.subs[0]
	}
	subs := []*node{n}
	if n.op == nodeAlternate {
		subs = n.subs
	}
	var all []probe
	for _, sub := range subs {
		p, ok := probeOf(sub)
		if !ok {
			return nil
		}
		all = append(all, p)
	}
	return all
}

func probeOf(n *node) (probe, bool) {
	for n.op == nodeConcat && len(n.subs) == 1 || n.op == nodeGroup && n.group == 0 {
		n = n.subs[0]
	}
	switch n.op {
	case nodeAt:
		return probe{place: n.place, isPlace: true}, true
	case nodeSet:
		return probe{set: n.set}, true
	case nodeRune:
		if set := n.single(); set != nil {
			return probe{set: set}, true
		}
		return probe{literal: string(n.r)}, utf8.ValidRune(n.r)
	case nodeConcat:
		text := ""
		for _, sub := range n.subs {
			if sub.op != nodeRune || !utf8.ValidRune(sub.r) || sub.single() != nil {
				return probe{}, false
			}
			text += string(sub.r)
		}
		return probe{literal: text}, text != ""
	}
	return probe{}, false
}

// probed says whether one of the probes fits at pos, ahead or behind.
func (m *matcher) probed(all []probe, pos int, behind bool) bool {
	for i := range all {
		p := &all[i]
		switch {
		case p.isPlace:
			if m.at(p.place, pos) {
				return true
			}
		case p.set == nil && behind:
			if strings.HasSuffix(m.s[:pos], p.literal) {
				return true
			}
		case p.set == nil:
			m.sees(pos + len(p.literal))
			if strings.HasPrefix(m.s[pos:], p.literal) {
				return true
			}
		case behind:
			if r, n := utf8.DecodeLastRuneInString(m.s[:pos]); n > 0 && p.set.has(r) {
				return true
			}
		default:
			if _, ok := m.one(p.set, pos); ok {
				return true
			}
		}
	}
	return false
}
