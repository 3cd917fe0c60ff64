package syntax

import "io/fs"

// Phase is when a rule runs.
type Phase int

// The five phases.
const (
	PhaseRequestHeaders  Phase = 1
	PhaseRequestBody     Phase = 2
	PhaseResponseHeaders Phase = 3
	PhaseResponseBody    Phase = 4
	PhaseLogging         Phase = 5
)

// Disruption is what a rule does to the transaction when it matches.
type Disruption int

// The disruptions. Inherit is a rule that says "block" or nothing: it does what SecDefaultAction says.
const (
	Inherit Disruption = iota
	Pass
	Deny
	Drop // the connection is closed without an answer
	Redirect
	Allow
)

// String is the word that rules use.
func (d Disruption) String() string {
	names := [...]string{"block", "pass", "deny", "drop", "redirect", "allow"}
	if d < 0 || int(d) >= len(names) {
		return "?"
	}
	return names[d]
}

// Scope is what "allow" lets pass.
type Scope int

// The scopes.
const (
	AllowAll     Scope = iota // the rest of the transaction, but for the logging phase
	AllowPhase                // the rest of this phase
	AllowRequest              // the rest of the request phases
)

// Switch is a yes, a no, or nothing said.
type Switch int

// The switches.
const (
	Unset Switch = iota
	On
	Off
)

// Operator is what a rule asks of each value.
type Operator struct {
	Name     string // in lower case
	Argument Macro
	Negated  bool
}

// String is the operator as rules write it.
func (o Operator) String() string {
	s := "@" + o.Name
	if o.Negated {
		s = "!" + s
	}
	if len(o.Argument) > 0 {
		s += " " + o.Argument.String()
	}
	return s
}

// Rule is a SecRule, a SecAction, or a SecMarker.
type Rule struct {
	Place  Place
	Marker string // of a SecMarker, which has nothing else
	ID     int    // 0 in the links of a chain
	Phase  Phase

	Always   bool // a SecAction: it has no targets and matches always
	Targets  []Target
	Operator Operator
	// Transformations are run over each value before the operator sees it, named in lower case.
	Transformations []string
	MultiMatch      bool // the operator sees what each transformation makes of a value, not the last only
	Capture         bool // TX.0 to TX.9 are what the operator found

	Effects []Effect // run at each match of this link, whatever the rest of its chain says
	Chain   []*Rule  // further rules that must match too

	Disruption Disruption
	Scope      Scope // of Allow
	Status     int   // of the answer when the rule refuses; 0 says nothing
	Location   Macro // of Redirect
	Skip       int   // how many of the following rules of this phase are left out
	SkipAfter  string

	Log, AuditLog    Switch
	Message, LogData Macro
	Tags             []Macro
	Severity         int // 0 (emergency) to 7 (debug); -1 says nothing
	Maturity         int
	Accuracy         int
	Revision         string
	Version          string

	Blocks bool  // "block" or nothing was written: Disruption is what SecDefaultAction says
	Files  fs.FS // the folder of its file, for data files; may be nil

	chained bool // "chain": the next rule belongs to it
}

// HasTag says whether the rule bears the tag, with regard to case.
func (r *Rule) HasTag(tag string) bool {
	for _, t := range r.Tags {
		if t.String() == tag {
			return true
		}
	}
	return false
}

// IDRange is a range of rule ids, both ends in it.
type IDRange struct{ First, Last int }

// Has says whether the id is in the range.
func (r IDRange) Has(id int) bool { return r.First <= id && id <= r.Last }

// Rules is everything that was read, in its order and after the changes that the directives make: removed rules are gone,
// targets and actions are as they were updated, what SecDefaultAction says is filled in.
type Rules struct {
	Items    []*Rule
	Settings Settings
	Notes    []Problem // accepted without an effect, and why
}
