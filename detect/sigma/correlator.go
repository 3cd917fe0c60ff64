package sigma

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"
)

// Caps on what one group keeps.
const (
	maxMetricMarks = 1024 // events of a value_sum and the like
	spareMarks     = 64   // beyond what a count needs: events out of order
	sameTagMarks   = 4    // of one value of a value_count
	maxRefs        = 5
	maxRefBytes    = 64
	maxKeyValue    = 256 // bytes of one value of a group's key; of longer ones, a hash
)

// mark is what is kept of one event: its time in microseconds, and which rule it met, or its value.
type mark struct {
	at  int64
	tag uint64
}

// group is what is kept of one value of the group-by fields. Its marks are in the order of their times; those of one time,
// in the order of their arrival.
type group struct {
	key          string
	marks        []mark
	refs         []string
	turn         uint32 // the event that was counted last
	older, newer *group
}

// correlator counts for one correlation.
type correlator struct {
	rule       *Correlation
	limits     Limits
	keep       int     // marks of one group at most
	need       int     // marks that are kept however old they are
	costly     bool    // all values of a window must be looked at
	fieldSlots [][]int // by position: the slots of the group-by fields, then of the fields that are counted
	below      []int   // by position: the correlation it refers to, below zero if it is a rule
	told       bool
	feeds      []feed

	groups         map[string]*group
	oldest, newest *group
	marks          int // in all groups

	counts   map[uint64]int // of values in a window, used again
	key      []byte         // of the event that is looked at
	values   []string
	last     []Field // what the last match was grouped by, and when: fields for correlations above
	lastTurn uint32
}

func newCorrelator(c *Correlation, l Limits) *correlator {
	k := &correlator{rule: c, limits: l, told: true, groups: make(map[string]*group), counts: make(map[uint64]int), keep: maxMetricMarks, need: spareMarks, costly: true}
	switch c.Type {
	case EventCount, ValueCount:
		k.need, k.costly = 2, false
		for _, b := range c.bounds {
			k.need = max(k.need, int(b.number)+2)
		}
		k.keep = k.need + spareMarks
		if c.Type == ValueCount {
			k.keep = sameTagMarks*k.need + spareMarks
		}
	case Temporal, TemporalOrdered:
		k.need, k.costly = 4*len(c.Rules), false
		k.keep = spareMarks + k.need
	}
	return k
}

// count takes the event as each of positions and returns matches with those that it completes: one, unless aliases put the
// event into several groups.
func (k *correlator) count(e *Engine, positions []int) []Match {
	var matches []Match
	at := e.view.event.Time.UnixMicro()
	for _, position := range positions {
		tag, ok := uint64(0), k.groupOf(e, position)
		if ok {
			tag, ok = k.tag(e, position)
		}
		if !ok {
			e.counters.Ungrouped++
			continue
		}
		if k.took(matches) {
			continue
		}
		g := k.group(e)
		temporal := k.rule.Type == Temporal || k.rule.Type == TemporalOrdered
		if !temporal && g.turn == e.turn {
			continue // an event that meets several of the rules is still one event
		}
		g.turn = e.turn
		k.note(g, e.view.event.Ref)
		if index := k.insert(e, g, mark{at, tag}); index >= 0 {
			if m, met := k.judge(g, index); met {
				m.Time, m.Correlation, m.Refs, m.Group = e.view.event.Time, k.rule, g.refs, k.named()
				matches = append(matches, m)
				k.remove(g) // the next match needs a whole new count
				continue
			}
		}
		k.evict(e, g)
	}
	return matches
}

// took tells whether the event has completed a match of the group of k.key already. It is no part of the next count.
func (k *correlator) took(matches []Match) bool {
	for _, m := range matches {
		same := true
		for i, f := range m.Group {
			same = same && f.Value == k.values[i]
		}
		if same {
			return true
		}
	}
	return false
}

// named is the group-by fields with their values.
func (k *correlator) named() []Field {
	fields := make([]Field, 0, len(k.values))
	for i, name := range k.rule.GroupBy {
		fields = append(fields, Field{Name: name, Value: k.values[i]})
	}
	return fields
}

// groupOf fills in the key of the event's group; an event without one of the fields has none.
func (k *correlator) groupOf(e *Engine, position int) bool {
	k.key, k.values = k.key[:0], k.values[:0]
	for i, name := range k.rule.GroupBy {
		value, ok := e.view.first(k.fieldSlots[position][i])
		if below := k.below[position]; !ok && below >= 0 && e.chains[below].lastTurn == e.turn {
			value, ok = find(e.chains[below].last, name)
		}
		if !ok {
			return false
		}
		k.values = append(k.values, value)
		if len(value) > maxKeyValue {
			sum := sha256.Sum256([]byte(value))
			value = "sha256:" + hex.EncodeToString(sum[:])
		}
		k.key = binary.AppendUvarint(k.key, uint64(len(value)))
		k.key = append(k.key, value...)
	}
	return true
}

func find(fields []Field, name string) (string, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// tag is what a mark keeps beside the time.
func (k *correlator) tag(e *Engine, position int) (uint64, bool) {
	fields := k.fieldSlots[position][len(k.rule.GroupBy):]
	switch k.rule.Type {
	case EventCount:
		return 0, true
	case Temporal, TemporalOrdered:
		return uint64(position), true
	}
	if k.rule.Type == ValueCount || k.rule.Type == ValuePercentile && k.rule.percent < 0 {
		var text []byte
		for _, slot := range fields {
			value, ok := e.view.first(slot)
			if !ok {
				return 0, false
			}
			text = binary.AppendUvarint(text, uint64(len(value)))
			text = append(text, value...)
		}
		sum := sha256.Sum256(text) // strangers choose the values: no two of them may look like one
		return binary.BigEndian.Uint64(sum[:]), true
	}
	value, ok := e.view.first(fields[0])
	n, err := strconv.ParseFloat(value, 64)
	if !ok || err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, false
	}
	return math.Float64bits(n), true
}

// group returns the group of k.key as the newest.
func (k *correlator) group(e *Engine) *group {
	g := k.groups[string(k.key)]
	if g != nil {
		k.unlink(g)
		k.link(g)
		return g
	}
	g = &group{key: string(k.key)}
	k.groups[g.key] = g
	k.link(g)
	if len(k.groups) > k.limits.Groups {
		k.remove(k.oldest)
		e.counters.Evicted++
	}
	return g
}

// evict lets the oldest groups go while there are too many marks; the group at work stays.
func (k *correlator) evict(e *Engine, at *group) {
	for k.marks > k.limits.Marks && k.oldest != at {
		k.remove(k.oldest)
		e.counters.Evicted++
	}
}

func (k *correlator) link(g *group) {
	g.older, g.newer = k.newest, nil
	if k.newest != nil {
		k.newest.newer = g
	} else {
		k.oldest = g
	}
	k.newest = g
}

func (k *correlator) unlink(g *group) {
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		k.oldest = g.newer
	}
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		k.newest = g.older
	}
	g.older, g.newer = nil, nil
}

func (k *correlator) remove(g *group) {
	k.unlink(g)
	delete(k.groups, g.key)
	k.marks -= len(g.marks)
}

// note keeps what names the newest events of a group.
func (k *correlator) note(g *group, ref string) {
	if ref == "" || len(g.refs) > 0 && g.refs[len(g.refs)-1] == ref {
		return
	}
	if len(ref) > maxRefBytes {
		ref = ref[:maxRefBytes]
	}
	if len(g.refs) == maxRefs {
		g.refs = slices.Delete(g.refs, 0, 1)
	}
	g.refs = append(g.refs, string([]byte(ref))) // not a part of the event's line, which would be kept with it
}

// insert puts a mark in its place and makes room for it. It returns the place, or -1 if the mark says nothing new.
func (k *correlator) insert(e *Engine, g *group, m mark) int {
	i := len(g.marks)
	for i > 0 && g.marks[i-1].at > m.at {
		i--
	}
	switch k.rule.Type {
	case Temporal, TemporalOrdered:
		// Of a run of one rule only the last event matters: whatever follows can follow it as well.
		if i < len(g.marks) && g.marks[i].tag == m.tag {
			return -1
		}
		if i > 0 && g.marks[i-1].tag == m.tag {
			g.marks[i-1] = m
			return i - 1
		}
	case ValueCount:
		i = k.thin(g, m, i)
	}
	g.marks = slices.Insert(g.marks, i, m)
	k.marks++
	i = k.expire(g, m, i)
	if len(g.marks) <= k.keep {
		return i
	}
	e.counters.Trimmed++
	drop := k.surplus(g, i)
	g.marks = slices.Delete(g.marks, drop, drop+1)
	k.marks--
	if drop < i {
		i--
	}
	return i
}

// expire forgets what is so old that not even a late event could be counted with it. As many as the condition needs stay:
// after a jump of the clock to and fro they are worth something again.
func (k *correlator) expire(g *group, m mark, i int) int {
	old := 0
	for old < i && len(g.marks)-old > k.need && m.at-g.marks[old].at > 2*k.rule.Timespan.Microseconds() {
		old++
	}
	g.marks = slices.Delete(g.marks, 0, old)
	k.marks -= old
	return i - old
}

// thin forgets the oldest event of a value that has several: the newest counts as long as any. A few are kept, since events
// out of order may each need their own.
func (k *correlator) thin(g *group, m mark, i int) int {
	same, first := 0, -1
	for j := range g.marks {
		if g.marks[j].tag == m.tag {
			if same++; first < 0 {
				first = j
			}
		}
	}
	if same < sameTagMarks {
		return i
	}
	g.marks = slices.Delete(g.marks, first, first+1)
	k.marks--
	if first < i {
		i--
	}
	return i
}

// surplus chooses what a full group forgets, but never the mark at i that was just put in.
func (k *correlator) surplus(g *group, i int) int {
	if k.rule.Type == Temporal || k.rule.Type == TemporalOrdered {
		// The oldest event of the rule that has most: a flood of one rule must not wash the others out.
		counts := make([]int, len(k.rule.Rules))
		for _, m := range g.marks {
			counts[m.tag]++
		}
		most := uint64(slices.Index(counts, slices.Max(counts)))
		for j, m := range g.marks {
			if m.tag == most && j != i {
				return j
			}
		}
	}
	// The end that is farther away in time: after a jump of the clock, the events of the other time are worth nothing.
	last := len(g.marks) - 1
	if i != 0 && (i == last || g.marks[i].at-g.marks[0].at >= g.marks[last].at-g.marks[i].at) {
		return 0
	}
	return last
}

// judge holds the windows that the mark at i stands in against the condition. With events in order it is one window, which
// ends at i; a late event can complete windows that end at later ones. Of the costly kinds only the first and the last of
// those windows are judged: strangers can send late events as well.
func (k *correlator) judge(g *group, i int) (Match, bool) {
	width := k.rule.Timespan.Microseconds()
	last := i
	for last+1 < len(g.marks) && g.marks[last+1].at-g.marks[i].at <= width {
		last++
	}
	start := 0
	values := tally{counts: k.counts}
	for end := i; end <= last; end++ {
		if k.costly && end > i {
			end = last
		}
		for g.marks[end].at-g.marks[start].at > width {
			start++
		}
		window := g.marks[start : end+1]
		var n float64
		if k.rule.Type == ValueCount {
			n = values.move(g.marks, start, end+1)
		} else {
			n = k.measure(window, g.marks[i].tag)
		}
		if k.met(window, n) {
			return Match{Count: n, First: time.UnixMicro(window[0].at).UTC(), Last: time.UnixMicro(g.marks[end].at).UTC()}, true
		}
	}
	return Match{}, false
}
