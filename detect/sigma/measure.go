package sigma

import (
	"math"
	"math/bits"
	"slices"
)

// measure is what a window is held against the condition by. tag is that of the event that has just come.
func (k *correlator) measure(window []mark, tag uint64) float64 {
	switch k.rule.Type {
	case EventCount:
		return float64(len(window))
	case Temporal:
		return float64(bits.OnesCount32(present(window)))
	case TemporalOrdered:
		return longestChain(window, len(k.rule.Rules))
	case ValueMedian:
		return percentile(window, 50)
	case ValuePercentile:
		if k.rule.percent >= 0 {
			return percentile(window, k.rule.percent)
		}
		return share(window, tag)
	}
	n := 0.0
	for _, m := range window {
		n += math.Float64frombits(m.tag)
	}
	if k.rule.Type == ValueAvg {
		n /= float64(len(window))
	}
	return n
}

// met tells whether the condition holds for a window of measure n.
func (k *correlator) met(window []mark, n float64) bool {
	if k.rule.expr == nil {
		return holds(k.rule.bounds, n)
	}
	rules := present(window)
	return (k.rule.Type == Temporal || n == float64(bits.OnesCount32(rules))) && among(k.rule.expr, rules)
}

// present has a bit for each of the rules in a window; there are at most maxCorrelated.
func present(window []mark) uint32 {
	rules := uint32(0)
	for _, m := range window {
		rules |= 1 << m.tag
	}
	return rules
}

// tally counts the different tags of a window that moves on.
type tally struct {
	counts   map[uint64]int
	from, to int
	begun    bool
}

// move takes the window to marks[from:to]; neither goes back.
func (t *tally) move(marks []mark, from, to int) float64 {
	if !t.begun {
		clear(t.counts)
		t.begun, t.from, t.to = true, from, from
	}
	for ; t.to < to; t.to++ {
		t.counts[marks[t.to].tag]++
	}
	for ; t.from < from; t.from++ {
		if t.counts[marks[t.from].tag]--; t.counts[marks[t.from].tag] == 0 {
			delete(t.counts, marks[t.from].tag)
		}
	}
	return float64(len(t.counts))
}

// among evaluates a condition over rules.
func among(n *node, rules uint32) bool {
	switch n.op {
	case opAnd:
		for _, kid := range n.kids {
			if !among(kid, rules) {
				return false
			}
		}
		return true
	case opOr:
		for _, kid := range n.kids {
			if among(kid, rules) {
				return true
			}
		}
		return false
	case opNot:
		return !among(n.kids[0], rules)
	}
	return rules&(1<<n.index) != 0
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
