package api

import "time"

// Decision is one entry of the decision list.
type Decision struct {
	ID        string    `json:"id"`
	Number    int64     `json:"number"` // to ask for the next page
	Action    string    `json:"action"` // ban, challenge or throttle
	Kind      string    `json:"kind"`   // address, account or country
	Target    string    `json:"target"` // 192.0.2.7, 2001:db8::/64, account:NAME, country:XX
	Origin    string    `json:"origin"` // detection:NAME, jail:NAME, admin:NAME, import:NAME
	Reason    string    `json:"reason"`
	Evidence  []string  `json:"evidence"`
	Created   time.Time `json:"created"`
	Until     time.Time `json:"until,omitzero"` // absent: for good
	Repeats   int       `json:"repeats"`        // how many the target had before
	Spoofable bool      `json:"spoofable"`      // only datagrams led to it
}

// NewDecision is what a person decides.
type NewDecision struct {
	Target    string `json:"target"`              // an address, a network, account:NAME or country:XX
	Action    string `json:"action,omitempty"`    // absent: ban
	Seconds   int64  `json:"seconds,omitempty"`   // how long; absent: decisions.default_duration
	Permanent bool   `json:"permanent,omitempty"` // for good
	Reason    string `json:"reason,omitempty"`
	// From is the address that a person at the admin socket came from, so that they do not lock themselves out.
	From string `json:"from,omitempty"`
}

// AddedDecision is the decision that stands now.
type AddedDecision struct {
	Decision
	Result string `json:"result"` // made, extended, or standing: one stood already that lasts as long or longer
}

// ImportedDecisions is a part of a list.
type ImportedDecisions struct {
	Name      string             `json:"name"` // where it comes from; their origin is import:NAME
	Decisions []ImportedDecision `json:"decisions"`
	From      string             `json:"from,omitempty"` // as in NewDecision
}

// ImportedDecision is one line of a list.
type ImportedDecision struct {
	Target    string    `json:"target"`
	Action    string    `json:"action,omitempty"`
	Seconds   int64     `json:"seconds,omitempty"`
	Until     time.Time `json:"until,omitzero"` // instead of seconds: however long the list is on its way, it ends then
	Permanent bool      `json:"permanent,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

// ImportReport is what became of a part of a list.
type ImportReport struct {
	Made         int             `json:"made"`
	Extended     int             `json:"extended"`
	Standing     int             `json:"standing"`
	RefusedCount int             `json:"refused_count"`
	Refused      []RefusedImport `json:"refused"` // the first hundred
}

// RefusedImport is one line that was not taken.
type RefusedImport struct {
	Target  string `json:"target"`
	Problem string `json:"problem"`
}

// LiftedDecisions is what was lifted.
type LiftedDecisions struct {
	Count     int        `json:"count"`
	Decisions []Decision `json:"decisions,omitempty"` // absent where all of an origin were
}

// Bouncer is a program that reads the decisions by CrowdSec's protocol.
type Bouncer struct {
	Name      string    `json:"name"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	LastUsed  time.Time `json:"last_used,omitzero"`
	Address   string    `json:"address,omitempty"`
	Agent     string    `json:"agent,omitempty"`
}

// AddedBouncer is a new bouncer with its key, which is shown this once.
type AddedBouncer struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}
