package sigma

import "time"

// Level is how much a match matters, from Informational to Critical. Its numbers are those of OCSF's severity_id, so that
// Level can be used as a severity as it stands. Zero is: not stated.
type Level int

// The levels of the specification.
const (
	Unstated      Level = 0
	Informational Level = 1
	Low           Level = 2
	Medium        Level = 3
	High          Level = 4
	Critical      Level = 5
)

// String is the level as rules write it, or "".
func (l Level) String() string {
	names := [...]string{"", "informational", "low", "medium", "high", "critical"}
	if l < 0 || int(l) >= len(names) {
		return ""
	}
	return names[l]
}

// Logsource says which logs a rule is about, or where an event is from. An empty part of a rule's stands for any.
type Logsource struct{ Category, Product, Service string }

// covers tells whether a rule with this logsource meets events, or rules, of from.
func (l Logsource) covers(from Logsource) bool {
	return (l.Category == "" || l.Category == from.Category) && (l.Product == "" || l.Product == from.Product) &&
		(l.Service == "" || l.Service == from.Service)
}

// Related names another rule and how this one is related to it.
type Related struct{ ID, Type string }

// Head is what rules, correlations and filters have in common. Dates are YYYY-MM-DD as written.
type Head struct {
	Title, ID, Name                          string
	Status, Description, License, Author     string
	Taxonomy, Date, Modified                 string
	References, Falsepositives, Tags, Fields []string
	Scope                                    []string
	Related                                  []Related
	Level                                    Level
	Respond                                  *Response // nil: nothing is to be done
	File                                     string
	Line                                     int
}

// Key names the rule in saved state and in what is told about it: its id, else its name, else its title.
func (h *Head) Key() string {
	switch {
	case h.ID != "":
		return h.ID
	case h.Name != "":
		return h.Name
	}
	return h.Title
}

// Rule is one Sigma rule: what a single event must be like.
type Rule struct {
	Head
	Logsource Logsource
	match     *node // conditions joined by or, filters not yet applied
}

// Filter narrows rules down: an event must meet its condition too.
type Filter struct {
	Head
	Logsource Logsource
	Any       bool     // meant for all rules of its logsource
	Rules     []string // ids or names otherwise
	match     *node
}

// Type is the kind of a correlation.
type Type string

// The kinds of correlations.
const (
	EventCount      Type = "event_count"
	ValueCount      Type = "value_count"
	Temporal        Type = "temporal"
	TemporalOrdered Type = "temporal_ordered"
	ValueSum        Type = "value_sum"
	ValueAvg        Type = "value_avg"
	ValuePercentile Type = "value_percentile"
	ValueMedian     Type = "value_median"
)

// Correlation is one Sigma correlation: what several events must be like together.
type Correlation struct {
	Head
	Type     Type
	Rules    []string                     // ids or names of rules and correlations, in their order
	GroupBy  []string                     // fields or aliases
	Aliases  map[string]map[string]string // alias → rule → field
	Timespan time.Duration
	Generate bool // the rules it is made of count as matches of their own too
	bounds   []bound
	fields   []string // of value_…: what is counted
	percent  float64  // of value_percentile with "percentile"; below zero: not stated
	expr     *node    // of temporal: a condition over the rules; its atoms are indexes into Rules
}

// Action is what is to be done about who a match is about.
type Action string

// The actions of a response.
const (
	Ban       Action = "ban"
	Throttle  Action = "throttle"
	Challenge Action = "challenge"
	Alert     Action = "alert"
)

// Scope is how much around the target the action is for.
type Scope string

// The scopes of a response.
const (
	ScopeAddress  Scope = "address"
	ScopeSubnet64 Scope = "subnet64" // the /64 around an IPv6 address, the address itself for IPv4
	ScopeSubnet   Scope = "subnet"   // the network, as whoever applies it defines it
	ScopeAccount  Scope = "account"
)

// Response is what a match is to lead to. It is our own addition to the format.
type Response struct {
	Action         Action
	For            time.Duration // zero: for good; of an alert: how long the same target is not told again
	EscalateFactor float64       // the duration grows by it at each repeat; zero: it does not
	EscalateMax    time.Duration
	Scope          Scope
	Target         string // the field that names whom it is about
	Spoofable      bool   // the address may be forged, since it comes over UDP
	Line           int
}

// Collection is what was read from files of rules. It is only data until Compile takes it.
type Collection struct {
	Rules        []*Rule
	Correlations []*Correlation
	Filters      []*Filter
}

// Add puts what another file holds behind what is there.
func (c *Collection) Add(other Collection) {
	c.Rules = append(c.Rules, other.Rules...)
	c.Correlations = append(c.Correlations, other.Correlations...)
	c.Filters = append(c.Filters, other.Filters...)
}
