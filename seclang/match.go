package seclang

import (
	"fmt"
	"slices"

	"github.com/doorward/doorward/seclang/syntax"
)

// Match is a rule that matched, with its chain.
type Match struct {
	Rule    *syntax.Rule // as it was written: id, phase, tags, severity, whether it is logged
	Message string       // expanded
	LogData string       // expanded
	Found   []Found      // the first of the values that matched
	Values  int          // how many values matched
}

// Found is one value that matched.
type Found struct {
	Variable syntax.Variable
	Key      string // as the request wrote it; "" in what is no collection
	Value    string // after the transformations
	Raw      string // before them
	View     string // how Raw was decoded once more, "base64 json"; "" is the value as it came (SiteConfig.Views)
	Link     int    // 0 is the rule itself, 1 the first link of its chain
}

// Name is the variable with its key, as MATCHED_VAR_NAME has it: ARGS:user.
func (f Found) Name() string {
	if f.Key == "" {
		return f.Variable.String()
	}
	return f.Variable.String() + ":" + f.Key
}

// Interruption is the end that a rule put to a transaction, or would have put to it.
type Interruption struct {
	Action   syntax.Disruption // Deny, Drop or Redirect
	Status   int               // of the answer; 403 when the rule says nothing, 302 for a Redirect
	Location string            // of a Redirect
	Rule     int               // id; 0 is the engine itself
	Phase    syntax.Phase
}

// Dropped counts what did not fit.
type Dropped struct {
	Variables int // TX variables that rules wanted to make of names
	Matches   int // matches that are not in Matches
	Views     int // decoded views that did not fit, and values that were too long to be decoded
	Spared    int // values that no narrowing looked at any more: what a rule found in them stands
	Arguments int // 1 for each of query, body and cookies that held more pairs than are looked at
}

// Caps of what is kept of one transaction.
const (
	maxMatches = 1000
	maxFound   = 8 // of one match
)

// Matches returns the rules that matched until now, in order. They stay valid until Close.
func (t *Transaction) Matches() []Match { return t.matches }

// Looked returns how many bytes transformations, the search for words and operators have been given until now: the work of a
// transaction, on any machine.
func (t *Transaction) Looked() int { return t.looked }

// Interruption returns what ended the transaction, or nil.
func (t *Transaction) Interruption() *Interruption { return t.interruption }

// Detected returns the first interruption that did not happen, because the site only detects; or nil.
func (t *Transaction) Detected() *Interruption { return t.detected }

// Variable returns a TX variable, such as an anomaly score, and whether it is set.
func (t *Transaction) Variable(name string) (string, bool) {
	t.settle()
	slot := t.slotNamed(name, false)
	if slot < 0 || !t.tx.slots[slot].set {
		return "", false
	}
	return t.tx.slots[slot].value, true
}

// disrupt does what a rule that matched says about the transaction.
func (t *Transaction) disrupt(r *syntax.Rule, location *macro) {
	switch r.Disruption {
	case syntax.Allow:
		if t.mode == syntax.EngineOn {
			t.allow, t.allowed = true, r.Scope
		}
		return
	case syntax.Deny, syntax.Drop, syntax.Redirect:
		if t.phase == syntax.PhaseLogging {
			return // the answer is out
		}
	default:
		return
	}
	i := &Interruption{Action: r.Disruption, Status: r.Status, Rule: r.ID, Phase: t.phase}
	if i.Status == 0 {
		i.Status = 403
		if r.Disruption == syntax.Redirect {
			i.Status = 302
		}
	}
	if r.Disruption == syntax.Redirect {
		i.Location = t.expand(location)
	}
	switch {
	case t.mode == syntax.EngineOn && !t.site.detects():
		if t.interruption == nil {
			t.interruption = i
		}
	case t.detected == nil:
		t.detected = i
	}
}

func (s *Site) detects() bool { return s.mode != syntax.EngineOn }

func (t *Transaction) matched(r *rule, m *matching) {
	if len(t.matches) >= maxMatches {
		t.Dropped.Matches++
		t.found = t.found[:m.from]
		return
	}
	found := slices.Clip(t.found[m.from:])
	t.matches = append(t.matches, Match{Rule: r.source, Message: m.message, LogData: m.logData, Found: found, Values: m.values})
}

// Differs says what two transactions of the same request do not agree on: "" when they say the same, else the first
// difference. A site that samples the plain way feeds a request to both and makes an event of what this returns.
func Differs(a, b *Transaction) string {
	for i := range max(len(a.matches), len(b.matches)) {
		switch {
		case i >= len(a.matches):
			return fmt.Sprintf("rule %d matched in the second only", b.matches[i].Rule.ID)
		case i >= len(b.matches):
			return fmt.Sprintf("rule %d matched in the first only", a.matches[i].Rule.ID)
		case a.matches[i].Rule.ID != b.matches[i].Rule.ID:
			return fmt.Sprintf("rule %d matched in the first where rule %d did in the second", a.matches[i].Rule.ID, b.matches[i].Rule.ID)
		case a.matches[i].Values != b.matches[i].Values || !slices.Equal(a.matches[i].Found, b.matches[i].Found):
			return fmt.Sprintf("rule %d matched other values in the first than in the second", a.matches[i].Rule.ID)
		}
	}
	refused := func(t *Transaction) int {
		if t.interruption == nil {
			return 0
		}
		return t.interruption.Rule
	}
	if refused(a) != refused(b) {
		return fmt.Sprintf("refused by rule %d in the first and by rule %d in the second", refused(a), refused(b))
	}
	return ""
}
