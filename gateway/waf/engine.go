package waf

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/doorward/doorward/seclang"
)

// The rule sets.
const (
	CRS      = "crs"      // the Core Rule Set as it is published
	Doorward = "doorward" // the same with decoded views of values and with Doorward's tuning
)

// RuleSets lists the names of the rule sets.
func RuleSets() []string { return []string{Doorward, CRS} }

// Version is the version of the Core Rule Set that is built in.
const Version = "4.25.0"

// Text is rules of the user's: SecLang, and the name of its file for messages.
type Text struct{ Name, Text string }

// Engine holds the compiled rules of all sites and the memory for bodies. It is safe for any number of goroutines; Site is not.
type Engine struct {
	rules    string
	sets     map[[sha256.Size]byte]*ruleset
	memory   *budget
	counters *counters
	measure  *measure
	share    float64 // of requests that are compared
	tell     func(Difference)
	chunks   sync.Pool // of *[]byte that bodies are read with
}

// chunk is room for a piece of a body.
func (e *Engine) chunk() *[]byte {
	if piece, ok := e.chunks.Get().(*[]byte); ok {
		return piece
	}
	piece := make([]byte, chunkSize)
	return &piece
}

// counters count what happened since the first engine was made.
type counters struct {
	inspected, detected, refused, busy, uninspected atomic.Uint64
	bodies, fields                                  atomic.Uint64
	faults                                          faultCounts
	views, spared                                   atomic.Uint64
	compared, differed, skipped                     atomic.Uint64
}

// exceeded counts a body that went beyond a limit.
func (c *counters) exceeded(setting string) {
	if setting == bodyLimit {
		c.bodies.Add(1)
	} else {
		c.fields.Add(1)
	}
}

// drop counts what did not fit into one transaction and does not keep it from being judged.
func (c *counters) drop(d seclang.Dropped) {
	if d.Views > 0 {
		c.views.Add(uint64(d.Views))
	}
	if d.Spared > 0 {
		c.spared.Add(uint64(d.Spared))
	}
}

// Stats is a reading of the counters.
type Stats struct {
	Inspected   uint64 // requests
	Detected    uint64 // requests in which a rule matched that is logged
	Refused     uint64 // requests and answers
	Busy        uint64 // requests that were turned away because there was no memory for their body
	Bodies      uint64 // requests whose body was longer than BodyLimit
	Fields      uint64 // requests whose body had more besides files than FieldsLimit
	Uninspected uint64 // answers in a form that could not be read
	Memory      int64  // bytes of bodies that are held now

	Panics, Limits, Rules uint64 // requests that could not be judged, by the kind of fault

	Views  uint64 // decoded views that did not fit, and values that were too long to be decoded
	Spared uint64 // values that no narrowing looked at any more

	Compared uint64 // requests that the plain way judged too
	Differed uint64 // of them, those on which it said something else
	Skipped  uint64 // that it was to judge, and that were too large or not judged by the fast way

	Fast, Plain int    // rule sets that are compiled, by the way in which they judge now
	States      int64  // bytes of the automata that the rules in force have made
	Flushes     uint64 // times that an expression of the rules in force threw its states away
	Fallbacks   uint64 // texts that Go's regexp had to judge for them
}

// NewEngine makes an engine for one of the rule sets. Of older it takes over the rules that are asked for again, the
// memory and the counters; older may be nil.
func NewEngine(ruleSet string, memory int64, older *Engine) (*Engine, error) {
	if ruleSet != CRS && ruleSet != Doorward {
		return nil, fmt.Errorf("rule set %q: not one of %s", ruleSet, strings.Join(RuleSets(), ", "))
	}
	e := &Engine{rules: ruleSet, sets: map[[sha256.Size]byte]*ruleset{}, memory: &budget{}, counters: &counters{}, measure: newMeasure()}
	if older != nil {
		e.memory, e.counters, e.measure = older.memory, older.counters, older.measure
	}
	e.memory.limit.Store(memory)
	if older != nil && older.rules == ruleSet {
		maps.Copy(e.sets, older.sets)
	}
	return e, nil
}

// Stats reads the counters.
func (e *Engine) Stats() Stats {
	c := e.counters
	st := Stats{Inspected: c.inspected.Load(), Detected: c.detected.Load(), Refused: c.refused.Load(), Busy: c.busy.Load(),
		Bodies: c.bodies.Load(), Fields: c.fields.Load(), Uninspected: c.uninspected.Load(), Memory: e.memory.used.Load(),
		Panics: c.faults.panics.Load(), Limits: c.faults.limits.Load(), Rules: c.faults.rules.Load(),
		Views: c.views.Load(), Spared: c.spared.Load(),
		Compared: c.compared.Load(), Differed: c.differed.Load(), Skipped: c.skipped.Load()}
	for _, r := range e.sets {
		p := r.best.Load()
		if p == nil {
			continue // nobody asked for it yet
		}
		use := p.Usage()
		st.States, st.Flushes, st.Fallbacks = st.States+use.Bytes, st.Flushes+use.Flushes, st.Fallbacks+use.Fallbacks
		if r.fast.Load() {
			st.Fast++
		} else {
			st.Plain++
		}
	}
	return st
}

// RuleSets returns how many different rules the sites have: those with the same share one program.
func (e *Engine) RuleSets() int { return len(e.sets) }

// Keep forgets the rules that none of the sites uses.
func (e *Engine) Keep(sites []*Site) {
	used := map[*ruleset]bool{}
	for _, s := range sites {
		used[s.rules] = true
	}
	maps.DeleteFunc(e.sets, func(_ [sha256.Size]byte, r *ruleset) bool { return !used[r] })
}

// ruleset finds the rules with the user's texts before and after them, compiled or to be compiled.
func (e *Engine) ruleset(before, after []Text) *ruleset {
	hash := sha256.New()
	for _, list := range [][]Text{before, after} {
		for _, t := range list {
			fmt.Fprintf(hash, "%d %s %d %s ", len(t.Name), t.Name, len(t.Text), t.Text)
		}
		fmt.Fprint(hash, "|")
	}
	key := [sha256.Size]byte(hash.Sum(nil))
	r, ok := e.sets[key]
	if !ok {
		r = &ruleset{own: e.rules == Doorward, before: before, after: after}
		e.sets[key] = r
	}
	return r
}
