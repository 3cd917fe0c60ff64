package sigma

import "slices"

// Limits bounds what events can make grow. Zero is the default.
type Limits struct {
	Groups int // of one correlation; the one that was longest without an event is let go first. Default 50,000
	Marks  int // events remembered by one correlation in all its groups. Default 500,000
	State  int // bytes of saved state. Default 32 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Groups <= 0 {
		l.Groups = 50_000
	}
	if l.Marks <= 0 {
		l.Marks = 500_000
	}
	if l.State <= 0 {
		l.State = 32 << 20
	}
	return l
}

// Counters says what an engine has done, and what it could not keep.
type Counters struct {
	Events, Matches uint64
	Cut             uint64 // events with more fields than are looked at
	Evicted         uint64 // groups let go because of a limit
	Trimmed         uint64 // events forgotten by a full group
	Ungrouped       uint64 // events without a field that a correlation groups by or counts
	Untimed         uint64 // events without a time
	Dropped         uint64 // saved groups that no longer fit, when state was restored
}

// Engine holds events against rules. It is for one goroutine at a time.
type Engine struct {
	limits    Limits
	rules     []*compiledRule
	chains    []*correlator
	questions []question
	slots     map[string]int
	sources   map[Logsource]*source
	counters  Counters

	whole   []map[string][]int32 // by slot: rules that hang on a value as a whole
	parts   []*automaton         // by slot, the last for keywords: rules that hang on a part of it
	every   []bool               // by rule: it hangs on nothing
	noSieve bool                 // ask every rule; tests compare

	view       *view
	turn       uint32   // number of the event, for what is remembered of it
	answers    []uint32 // by atom: the turn doubled, and whether it was true
	marked     []uint32 // by rule: the turn it was last a candidate
	candidates []int32
	member     []bool // of the source that is looked at
	pending    [][]int
	waiting    []int
	mark       func(int32)
}

// maxSources is how many logsources are remembered. Parsers name a few dozen.
const maxSources = 1024

// source is the rules that meet events of one logsource.
type source struct {
	member []bool  // by rule
	rules  []int32 // all of them
	every  []int32 // those that hang on nothing
	slots  []int   // slots that a rule hangs on
	words  bool    // a keyword rule is among them
}

// buildFilters makes the tables that find the rules an event could meet.
func (e *Engine) buildFilters() {
	n := len(e.slots)
	e.whole, e.parts, e.every = make([]map[string][]int32, n), make([]*automaton, n+1), make([]bool, len(e.rules))
	texts := make([]map[string][]int32, n+1)
	for i, r := range e.rules {
		e.every[i] = r.needs == nil
		for _, l := range r.needs {
			table := &texts[n]
			if l.slot >= 0 {
				table = &texts[l.slot]
				if l.whole {
					table = &e.whole[l.slot]
				}
			}
			if *table == nil {
				*table = make(map[string][]int32)
			}
			if ids := (*table)[l.text]; len(ids) == 0 || ids[len(ids)-1] != int32(i) {
				(*table)[l.text] = append(ids, int32(i))
			}
		}
	}
	for i, t := range texts {
		if len(t) > 0 {
			e.parts[i] = newAutomaton(t)
		}
	}
	e.mark = func(rule int32) {
		if e.member[rule] && e.marked[rule] != e.turn {
			e.marked[rule] = e.turn
			e.candidates = append(e.candidates, rule)
		}
	}
}

// source returns the rules for a logsource.
func (e *Engine) source(l Logsource) *source {
	if s, known := e.sources[l]; known {
		return s
	}
	if len(e.sources) >= maxSources {
		clear(e.sources)
	}
	s := &source{member: make([]bool, len(e.rules))}
	for i, r := range e.rules {
		if !r.rule.Logsource.covers(l) {
			continue
		}
		s.member[i], s.rules = true, append(s.rules, int32(i))
		if e.every[i] {
			s.every = append(s.every, int32(i))
		}
		for _, need := range r.needs {
			if need.slot < 0 {
				s.words = true
			} else if !slices.Contains(s.slots, need.slot) {
				s.slots = append(s.slots, need.slot)
			}
		}
	}
	e.sources[l] = s
	return s
}

// Process holds one event against all rules of its logsource, lets the correlations count it, and returns what matched:
// rules in the order they were read, then correlations, those that others are made of first. It returns nil if nothing did.
// The event must not change meanwhile; nothing of it but Ref and short values of group-by fields is kept.
func (e *Engine) Process(event *Event) []Match {
	e.counters.Events++
	s := e.source(event.Source)
	if len(s.rules) == 0 {
		return nil
	}
	if e.turn++; e.turn == 1<<31 {
		clear(e.answers)
		clear(e.marked)
		e.turn = 1
	}
	e.view.set(event)
	if e.view.fields < len(event.Fields) {
		e.counters.Cut++
	}
	e.candidates = e.candidates[:0]
	if e.noSieve {
		e.candidates = append(e.candidates, s.rules...)
	} else {
		e.sieve(s)
	}
	var matches []Match
	for _, i := range e.candidates {
		r := e.rules[i]
		if !e.holds(r.root) {
			continue
		}
		if r.told {
			matches = append(matches, Match{Rule: r.rule, Time: event.Time, Count: 1, First: event.Time, Last: event.Time})
		}
		for _, f := range r.feeds {
			e.await(f)
		}
	}
	if len(e.waiting) > 0 {
		matches = e.correlate(matches)
	}
	e.counters.Matches += uint64(len(matches))
	return matches
}

// sieve finds the rules that the event could meet.
func (e *Engine) sieve(s *source) {
	e.member = s.member
	for _, i := range s.every {
		e.mark(i)
	}
	for _, slot := range s.slots {
		whole, parts := e.whole[slot], e.parts[slot]
		if parts != nil {
			parts.begin()
		}
		for i := e.view.head[slot]; i >= 0; i = e.view.next[i] {
			low := e.view.lower(i)
			for _, rule := range whole[string(low)] {
				e.mark(rule)
			}
			if parts != nil {
				parts.find(low, e.mark)
			}
		}
	}
	if s.words {
		words := e.parts[len(e.parts)-1]
		words.begin()
		for i := range e.view.fields + 1 {
			words.find(e.view.lower(i), e.mark)
		}
	}
	slices.Sort(e.candidates)
}

// holds evaluates a condition.
func (e *Engine) holds(s *step) bool {
	switch s.op {
	case opAnd:
		for _, kid := range s.kids {
			if !e.holds(kid) {
				return false
			}
		}
		return true
	case opOr:
		for _, kid := range s.kids {
			if e.holds(kid) {
				return true
			}
		}
		return false
	case opNot:
		return !e.holds(s.kids[0])
	}
	known := &e.answers[s.atom]
	if *known>>1 != e.turn {
		q := &e.questions[s.atom]
		*known = e.turn << 1
		if e.view.ask(q.atom, q.slot, q.other) {
			*known |= 1
		}
	}
	return *known&1 == 1
}

// await notes that a correlation has to count the event.
func (e *Engine) await(f feed) {
	if len(e.pending[f.correlation]) == 0 {
		at, _ := slices.BinarySearch(e.waiting, f.correlation)
		e.waiting = slices.Insert(e.waiting, at, f.correlation)
	}
	e.pending[f.correlation] = append(e.pending[f.correlation], f.position)
}

// correlate lets the correlations count, those that others are made of first: they have the lower numbers.
func (e *Engine) correlate(matches []Match) []Match {
	if e.view.event.Time.IsZero() {
		e.counters.Untimed++
		for _, c := range e.waiting {
			e.pending[c] = e.pending[c][:0]
		}
		e.waiting = e.waiting[:0]
		return matches
	}
	for len(e.waiting) > 0 {
		index := e.waiting[0]
		e.waiting = slices.Delete(e.waiting, 0, 1)
		c := e.chains[index]
		slices.Sort(e.pending[index])
		met := c.count(e, e.pending[index])
		e.pending[index] = e.pending[index][:0]
		if len(met) == 0 {
			continue
		}
		c.last, c.lastTurn = met[0].Group, e.turn
		if c.told {
			matches = append(matches, met...)
		}
		for _, f := range c.feeds {
			e.await(f)
		}
	}
	return matches
}

// Counters says what happened since the engine was made.
func (e *Engine) Counters() Counters { return e.counters }

// Rules and Correlations are what the engine holds events against, in the order of their matches.
func (e *Engine) Rules() []*Rule {
	list := make([]*Rule, 0, len(e.rules))
	for _, r := range e.rules {
		list = append(list, r.rule)
	}
	return list
}

// Correlations is like Rules.
func (e *Engine) Correlations() []*Correlation {
	list := make([]*Correlation, 0, len(e.chains))
	for _, c := range e.chains {
		list = append(list, c.rule)
	}
	return list
}
