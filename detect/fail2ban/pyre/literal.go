package pyre

import (
	"strings"
	"unicode/utf8"
)

// maxLiterals is the most literals one expression gives to a prefilter; an alternation of more says too little.
const maxLiterals = 16

// required is a set of texts of which every match has one; none: unknown.
type required struct {
	texts []string
	fold  bool // one of them came from a place without case
}

// shortest is the measure of a set: its weakest text decides how often it lets a line through.
func (q required) shortest() int {
	n := 0
	for i, t := range q.texts {
		if i == 0 || len(t) < n {
			n = len(t)
		}
	}
	return n
}

func (q required) better(o required) required {
	switch a, b := q.shortest(), o.shortest(); {
	case a > b, a == b && len(q.texts) <= len(o.texts) && a > 0:
		return q
	}
	return o
}

// literals finds what must stand in every match of n.
func (n *node) literals() required {
	switch n.op {
	case nodeRune:
		run := &literalRun{}
		run.add(n)
		return run.best()
	case nodeConcat:
		var best required
		run := &literalRun{}
		for _, sub := range n.flat() {
			switch sub.op {
			case nodeRune:
				run.add(sub)
				continue
			case nodeAt, nodeLook, nodeEmpty: // no width: what stands around it stays together
				continue
			}
			best = best.better(run.best())
			run = &literalRun{}
			best = best.better(sub.literals())
		}
		return best.better(run.best())
	case nodeAlternate:
		var all required
		for _, sub := range n.subs {
			q := sub.literals()
			if len(q.texts) == 0 || len(all.texts)+len(q.texts) > maxLiterals {
				return required{}
			}
			all.texts, all.fold = append(all.texts, q.texts...), all.fold || q.fold
		}
		return all
	case nodeRepeat:
		if n.min > 0 {
			return n.subs[0].literals()
		}
	case nodeGroup, nodeAtomic:
		return n.subs[0].literals()
	}
	return required{}
}

// flat returns the nodes of a concatenation with groups opened, so that a(bc) is read as abc.
func (n *node) flat() []*node {
	var all []*node
	for _, sub := range n.subs {
		switch {
		case sub.op == nodeConcat:
			all = append(all, sub.flat()...)
		case sub.op == nodeGroup && sub.subs[0].op == nodeConcat:
			all = append(all, sub.subs[0].flat()...)
		default:
			all = append(all, sub)
		}
	}
	return all
}

// literalRun collects characters in a row. Where case does not count, a character that equals one outside of ASCII ends
// the run: a prefilter folds ASCII only.
type literalRun struct {
	text    strings.Builder
	longest string
	fold    bool
	folded  bool // of longest
}

func (l *literalRun) add(n *node) {
	r := n.r
	if n.flags&flagIgnoreCase != 0 {
		for _, other := range folds(r, n.flags&flagASCII != 0) {
			if other >= utf8.RuneSelf {
				l.end()
				return
			}
		}
		r, l.fold = lowerASCII(r), l.fold || lowerASCII(r|0x20) >= 'a' && lowerASCII(r|0x20) <= 'z'
	}
	if !utf8.ValidRune(r) {
		l.end()
		return
	}
	l.text.WriteRune(r)
}

func (l *literalRun) end() {
	if l.text.Len() > len(l.longest) {
		l.longest, l.folded = l.text.String(), l.fold
	}
	l.text.Reset()
	l.fold = false
}

func (l *literalRun) best() required {
	l.end()
	if l.longest == "" {
		return required{}
	}
	return required{texts: []string{l.longest}, fold: l.folded}
}
