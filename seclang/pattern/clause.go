package pattern

import (
	"math"
	"slices"
	"strings"
)

// clause is a set of literals of which every match contains one.
type clause struct {
	any    sequence // none is left or right
	expect float64  // about how many of them stand in a usual text
	cost   float64  // what makes it worse than another: being found, and being large
}

// ofMember is what a literal costs a finder, against the cost of being found once.
const ofMember = 5e-5

// maxMembersOfClause is how many literals a clause may have.
const maxMembersOfClause = 3000

// maxExpect is from where on nearly every text has a member.
const maxExpect = 5

// newClause returns false for a sequence that says nothing, or that would cost more than most.
func newClause(s sequence, r *rarity, most float64) (clause, bool) {
	rough := 0.0
	for _, l := range s {
		if l.text == "" {
			return clause{}, false
		}
		rough += r.expect(l.text)
	}
	// Shorter literals are found no less.
	if len(s) == 0 || len(s) > maxMembersOfClause || rough > min(maxExpect, most) {
		return clause{}, false
	}
	c := clause{any: slices.Clone(s)}
	for i, l := range c.any {
		c.any[i] = literal{text: r.window(l.text)}
	}
	c.any = c.any.tidy()
	return c.weigh(r), true
}

func (c clause) texts() []string {
	set := make([]string, len(c.any))
	for i, l := range c.any {
		set[i] = l.text
	}
	return set
}

// weigh fills in what the clause costs.
func (c clause) weigh(r *rarity) clause {
	c.expect = 0
	for _, l := range c.any {
		c.expect += r.expect(l.text)
	}
	c.cost = c.expect + ofMember*float64(len(c.any))
	return c
}

// merge puts what several literals share in their place, where that costs less than they do together.
func merge(c clause, r *rarity) clause {
	s := slices.Clone(c.any)
	for again := true; again; {
		again = false
		for _, first := range []bool{true, false} {
			groups := make(map[string]float64)
			for _, l := range s {
				if len(l.text) > 1 {
					groups[l.shorter(first)] += r.expect(l.text) + ofMember
				}
			}
			for i, l := range s {
				if len(l.text) < 2 {
					continue
				}
				if short := l.shorter(first); r.expect(short)+ofMember < groups[short] {
					s[i].text, again = short, true
				}
			}
			s = s.tidy()
		}
	}
	c.any = s
	return c.weigh(r)
}

// shorter is the text without its last byte, or without its first.
func (l literal) shorter(last bool) string {
	if last {
		return l.text[:len(l.text)-1]
	}
	return l.text[1:]
}

// window is the shortest part of a literal that is rare enough, or the rarest that is short enough.
func (r *rarity) window(text string) string {
	const enough = 1e-6
	if w, known := r.windows[text]; known {
		return w
	}
	var best [longestWindow + 1]string
	var least [longestWindow + 1]float64
	for i := range len(text) {
		p := r.first(text[i])
		for j := i + 1; j <= min(len(text), i+longestWindow); j++ {
			if j > i+1 {
				p *= r.after(text[j-2], text[j-1])
			}
			size := j - i
			if best[size] != "" && p >= least[size] {
				continue
			}
			if q := r.seen(text[i:j], p); best[size] == "" || q < least[size] {
				best[size], least[size] = text[i:j], q
			}
		}
	}
	size := 1
	for n := 2; n <= min(len(text), longestWindow) && least[size] >= enough; n++ {
		if least[n] < least[size] {
			size = n
		}
	}
	r.windows[text] = best[size]
	return best[size]
}

// longestWindow is how much of a literal is asked for: what has so much of it in common mostly has all of it.
const longestWindow = 7

// keep puts a sequence among the clauses if it says anything, and returns about how many usual texts have a member.
func (p *part) keep(a *analysis, s sequence) (expect float64, ok bool) {
	most := math.Inf(1)
	if len(p.clauses) == maxClauses {
		most = p.clauses[maxClauses-1].cost
	}
	c, ok := newClause(s, a.rarity, most)
	if ok {
		p.keepClause(c)
	}
	return c.expect, ok
}

// keepClause puts a clause in its place among the best.
func (p *part) keepClause(c clause) {
	at, _ := slices.BinarySearchFunc(p.clauses, c, func(a, b clause) int {
		switch {
		case a.cost < b.cost:
			return -1
		case a.cost > b.cost:
			return 1
		}
		return 0
	})
	if at < len(p.clauses) && slices.Equal(p.clauses[at].any, c.any) {
		return
	}
	p.clauses = slices.Insert(slices.Clip(p.clauses), at, c)
	p.clauses = p.clauses[:min(len(p.clauses), maxClauses)]
}

// choose returns up to three clauses that together are found least.
func choose(all []clause) []clause {
	var chosen []clause
	for len(chosen) < 3 {
		best, gain := -1, 0.0
		for i, c := range all {
			if g := c.gain(chosen); g > gain {
				best, gain = i, g
			}
		}
		if best < 0 {
			break
		}
		chosen = append(chosen, all[best])
	}
	return chosen
}

// found is about how many of usual texts have a member.
func (c clause) found() float64 { return 1 - math.Exp(-c.expect) }

// gain is how much less a text is found when it must have a member of c too.
func (c clause) gain(chosen []clause) float64 {
	before, after := 1.0, c.found()
	for _, other := range chosen {
		before = min(before, other.found())
	}
	if len(chosen) > 0 {
		// What has a member of another clause that holds one of c has that one too.
		overlap := 0.0
		for _, other := range chosen {
			overlap = max(overlap, other.overlap(c))
		}
		after = before * (overlap + (1-overlap)*after)
		if after > 0.7*before {
			return 0
		}
	}
	return before - after - ofMember*float64(len(c.any))
}

// overlap is the share of finds of c that are finds of other as well, because its literals share letters.
func (c clause) overlap(other clause) float64 {
	const enough = 64 // literals tell about the others
	shared, asked := 0.0, c.any[:min(len(c.any), enough)]
	for _, l := range asked {
		for _, m := range other.any {
			if strings.Contains(l.text, m.text) || strings.Contains(m.text, l.text) || touch(l.text, m.text) || touch(m.text, l.text) {
				shared += 1
				break
			}
		}
	}
	return shared / float64(len(asked))
}

// touch says whether a ends with the two letters that b begins with, or both have the same mark: they are parts of one
// word then, or of one way to hide it.
func touch(a, b string) bool {
	if len(a) > 1 && len(b) > 1 && a[len(a)-2:] == b[:2] {
		return true
	}
	for i := range len(a) {
		if isMark(a[i]) && strings.IndexByte(b, a[i]) >= 0 {
			return true
		}
	}
	return false
}
