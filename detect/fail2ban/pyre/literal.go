package pyre

import (
	"slices"
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
			if texts := sub.exact(); texts != nil {
				run.choose(texts)
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

// maxExact is the most texts that a part of an expression may be written out as.
const maxExact = 8

// exact returns all texts that n can take if they are few; nil: they are not.
func (n *node) exact() []string {
	switch n.op {
	case nodeRune:
		if n.flags&flagIgnoreCase == 0 && utf8.ValidRune(n.r) {
			return []string{string(n.r)}
		}
	case nodeSet:
		return n.set.few()
	case nodeEmpty:
		return []string{""}
	case nodeConcat:
		all := []string{""}
		for _, sub := range n.subs {
			if all = products(all, sub.exact()); all == nil {
				return nil
			}
		}
		return all
	case nodeAlternate:
		var all []string
		for _, sub := range n.subs {
			texts := sub.exact()
			if texts == nil || len(all)+len(texts) > maxExact {
				return nil
			}
			all = append(all, texts...)
		}
		return all
	case nodeRepeat:
		if texts := n.subs[0].exact(); n.min == 0 && n.max == 1 && texts != nil && len(texts) < maxExact {
			return append(texts, "")
		}
	case nodeGroup, nodeAtomic:
		return n.subs[0].exact()
	}
	return nil
}

// products returns each of the first with each of the second after it; nil if there are too many.
func products(first, second []string) []string {
	if second == nil || len(first)*len(second) > maxExact {
		return nil
	}
	all := make([]string, 0, len(first)*len(second))
	for _, a := range first {
		for _, b := range second {
			all = append(all, a+b)
		}
	}
	return all
}

// few returns the characters of a set of some ASCII characters; nil: it has more, or others.
func (s *runeSet) few() []string {
	if s.negative || s.fold {
		return nil
	}
	for _, item := range s.items {
		if item.category != notCategory || item.negative || item.high >= utf8.RuneSelf {
			return nil
		}
	}
	var all []string
	for r := rune(0); r < utf8.RuneSelf; r++ {
		if s.has(r) {
			if all = append(all, string(r)); len(all) > 4 {
				return nil
			}
		}
	}
	return all
}

// literalRun collects characters in a row, as several texts where there is a choice. Where case does not count, a character that
// equals one outside of ASCII ends the run: a prefilter folds ASCII only.
type literalRun struct {
	texts []string // what stands in a row so far, one of these
	fold  bool
	top   required
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
	l.choose([]string{string(r)})
}

// choose adds one of several texts to the row.
func (l *literalRun) choose(texts []string) {
	if len(l.texts) == 0 {
		l.texts = []string{""}
	}
	if all := products(l.texts, texts); all != nil {
		l.texts = all
		return
	}
	fold := l.fold
	l.end()
	l.texts, l.fold = texts, fold
}

func (l *literalRun) end() {
	l.top = l.top.better(required{texts: shortened(l.texts), fold: l.fold})
	l.texts, l.fold = nil, false
}

// shortened leaves out the texts that hold another one.
func shortened(texts []string) []string {
	var kept []string
	for i, text := range texts {
		if !slices.ContainsFunc(texts[:i], func(t string) bool { return strings.Contains(text, t) }) &&
			!slices.ContainsFunc(texts[i+1:], func(t string) bool { return t != text && strings.Contains(text, t) }) {
			kept = append(kept, text)
		}
	}
	return kept
}

func (l *literalRun) best() required {
	l.end()
	if l.top.shortest() == 0 {
		return required{}
	}
	return l.top
}
