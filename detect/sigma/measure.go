package sigma

import (
	"math"
	"slices"
)

// measure is what a window is held against the condition by, and whether the condition holds. tag is that of the event that
// has just come.
func (k *correlator) measure(window []mark, tag uint64) (float64, bool) {
	n := 0.0
	switch k.rule.Type {
	case EventCount:
		n = float64(len(window))
	case ValueCount:
		n = distinct(window)
	case Temporal:
		n = distinct(window)
	case TemporalOrdered:
		n = longestChain(window, len(k.rule.Rules))
	case ValueSum, ValueAvg:
		for _, m := range window {
			n += math.Float64frombits(m.tag)
		}
		if k.rule.Type == ValueAvg {
			n /= float64(len(window))
		}
	case ValueMedian:
		n = percentile(window, 50)
	case ValuePercentile:
		if k.rule.percent >= 0 {
			n = percentile(window, k.rule.percent)
		} else {
			n = share(window, tag)
		}
	}
	if k.rule.expr == nil {
		return n, holds(k.rule.bounds, n)
	}
	present := make([]bool, len(k.rule.Rules))
	for _, m := range window {
		present[m.tag] = true
	}
	inOrder := k.rule.Type == Temporal || n == distinct(window)
	return n, inOrder && among(k.rule.expr, present)
}

// among evaluates a condition over rules.
func among(n *node, present []bool) bool {
	switch n.op {
	case opAnd:
		for _, kid := range n.kids {
			if !among(kid, present) {
				return false
			}
		}
		return true
	case opOr:
		for _, kid := range n.kids {
			if among(kid, present) {
				return true
			}
		}
		return false
	case opNot:
		return !among(n.kids[0], present)
	}
	return present[n.index]
}

// distinct counts the different tags.
func distinct(window []mark) float64 {
	if len(window) <= 32 {
		n := 0
		for i, m := range window {
			if !slices.ContainsFunc(window[:i], func(o mark) bool { return o.tag == m.tag }) {
				n++
			}
		}
		return float64(n)
	}
	seen := make(map[uint64]struct{}, len(window))
	for _, m := range window {
		seen[m.tag] = struct{}{}
	}
	return float64(len(seen))
}

// longestChain is how many of the rules were met one after the other in their order; some may have been left out.
func longestChain(window []mark, rules int) float64 {
	longest := make([]int, rules) // by rule: the longest chain that ends with it
	most := 0
	for _, m := range window {
		before := 0
		for _, n := range longest[:m.tag] {
			before = max(before, n)
		}
		longest[m.tag] = max(longest[m.tag], before+1)
		most = max(most, longest[m.tag])
	}
	return float64(most)
}

// percentile is the value that p percent of the values do not exceed, between two of them by their distance.
func percentile(window []mark, p float64) float64 {
	values := make([]float64, 0, len(window))
	for _, m := range window {
		values = append(values, math.Float64frombits(m.tag))
	}
	slices.Sort(values)
	place := p / 100 * float64(len(values)-1)
	low := int(place)
	if low+1 >= len(values) {
		return values[len(values)-1]
	}
	return values[low] + (values[low+1]-values[low])*(place-float64(low))
}

// share is how many percent of the values are the one of tag.
func share(window []mark, tag uint64) float64 {
	n := 0
	for _, m := range window {
		if m.tag == tag {
			n++
		}
	}
	return 100 * float64(n) / float64(len(window))
}
