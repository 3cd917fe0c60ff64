package event

import (
	"net/netip"
	"time"
)

// Class says what kind of thing happened. The classes are a subset of OCSF's.
type Class string

// The classes.
const (
	Authentication Class = "authentication" // OCSF 3002
	HTTP           Class = "http"           // OCSF 4002
	Detection      Class = "detection"      // OCSF 2004
	Compliance     Class = "compliance"     // OCSF 2003
	Incident       Class = "incident"       // OCSF 2005
	Email          Class = "email"          // OCSF 4009
)

// Outcome says how it ended.
type Outcome string

// The outcomes. Refused means that Doorward decided against it; Failure that it was tried and went wrong.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
	Refused Outcome = "refused"
	Unknown Outcome = "unknown"
)

// Severity is OCSF's severity_id: how much it matters to whoever guards the system.
type Severity int

// The severities.
const (
	SeverityUnknown Severity = 0
	Informational   Severity = 1
	Low             Severity = 2
	Medium          Severity = 3
	High            Severity = 4
	Critical        Severity = 5
	Fatal           Severity = 6
)

// String is the severity in one lower-case word.
func (s Severity) String() string {
	names := [...]string{"unknown", "informational", "low", "medium", "high", "critical", "fatal"}
	if s < 0 || int(s) >= len(names) {
		return names[0]
	}
	return names[s]
}

// Field is one further fact of an event. Keys are short lower-case words with underscores.
type Field struct{ Key, Value string }

// Event is one thing that happened. Texts in it may come from strangers; the log cleans them before they
// are stored (see the package comment), so what Query returns can be shorter than what was appended.
type Event struct {
	// ID names the event: a UUIDv7 that holds Time and sorts by it. The log makes it; an ID that NewID made
	// for the same Time is kept, any other is replaced.
	ID string
	// Time is when it happened, kept to the microsecond. Append sets it when it is zero. A time more than a
	// day ahead, or before the oldest day that is kept, is taken for a wrong clock: the event is stored
	// with the time of its arrival, and the time it stated becomes the field "stated_time".
	Time time.Time
	// Class, Outcome and Severity are stored as one of their constants; anything else becomes the class "",
	// Unknown and SeverityUnknown.
	Class   Class
	Outcome Outcome
	// Action says in a word what was done: "sign-in", "GET".
	Action string
	// Source is the address it came from, if any.
	Source netip.Addr
	// User and Site are the names of the principal and the site, if any.
	User, Site string
	Severity   Severity
	Fields     []Field
	// Raw is the log line that the event was read from, if any.
	Raw string
}

// size is about what the event holds of memory while it waits, in bytes.
func (e *Event) size() int64 {
	const fixed, perField = 224, 32
	n := fixed + len(e.Action) + len(e.User) + len(e.Site) + len(e.Raw)
	for i := range e.Fields {
		n += perField + len(e.Fields[i].Key) + len(e.Fields[i].Value)
	}
	return int64(n)
}

// Classes are all classes by name.
func Classes() []Class { return classes()[1:] }

// Outcomes are all outcomes by name.
func Outcomes() []Outcome { return outcomes() }

// ParseSeverity reads what String writes; false: it is none.
func ParseSeverity(name string) (Severity, bool) {
	for s := SeverityUnknown; s <= Fatal; s++ {
		if s.String() == name {
			return s, true
		}
	}
	return SeverityUnknown, false
}
