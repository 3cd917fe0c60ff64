package api

import "time"

// WAFExclusion leaves a rule of the firewall, or one value of it, out of a site's requests below a path.
type WAFExclusion struct {
	ID        string    `json:"id,omitempty"` // absent: it is not in the store
	Site      string    `json:"site"`
	Path      string    `json:"path"` // a prefix of whole segments
	Rule      int       `json:"rule"`
	Parameter string    `json:"parameter,omitempty"` // whose value is left out
	Target    string    `json:"target,omitempty"`    // or another value; absent, like parameter: the rule does not run
	YAML      string    `json:"yaml"`                // as sites[].waf.exclude has it
	Reason    string    `json:"reason,omitempty"`
	Request   string    `json:"request,omitempty"` // that it was made of
	Created   time.Time `json:"created,omitzero"`
	CreatedBy string    `json:"created_by,omitempty"`
	// InForce says by what it is left out already: an exclusion's id, or configuration.
	InForce string `json:"in_force,omitempty"`
}

// NewWAFExclusion is what a person takes over of a finding.
type NewWAFExclusion struct {
	Request string `json:"request"`           // the finding's request id
	Rule    int    `json:"rule,omitempty"`    // only for this rule; absent: for all that matched
	Path    string `json:"path,omitempty"`    // a prefix of the request's path; absent: all of it
	Reason  string `json:"reason,omitempty"`  // for whoever looks at it later
	DryRun  bool   `json:"dry_run,omitempty"` // change nothing
}

// WAFExclusions is what is left out now, or with dry_run would be.
type WAFExclusions struct {
	Exclusions []WAFExclusion  `json:"exclusions"` // those with in_force were so before
	Unnarrowed []WAFUnnarrowed `json:"unnarrowed"`
	More       int             `json:"more,omitempty"` // matches that are not in the finding
}

// WAFUnnarrowed is a match for which there is no exclusion that leaves out nothing else of the site.
type WAFUnnarrowed struct {
	Rule     int    `json:"rule"`
	Variable string `json:"variable"`
	Problem  string `json:"problem"`
}

// WAFHit is a rule that matched, and a value at which it did.
type WAFHit struct {
	Rule     int    `json:"rule"`
	Message  string `json:"message"`
	Variable string `json:"variable"`       // ARGS:q
	View     string `json:"view,omitempty"` // how the value was decoded once more
	Value    string `json:"value"`          // cut, and not shown where it may be a secret
	Severity string `json:"severity,omitempty"`
	Level    int    `json:"level,omitempty"` // of paranoia
	File     string `json:"file"`
	Line     int    `json:"line"`
	Phase    int    `json:"phase"`
}

// WAFFinding is what the firewall found in one request.
type WAFFinding struct {
	Event       Event           `json:"event"`
	Hits        []WAFHit        `json:"hits"`
	More        int             `json:"more,omitempty"` // matches that are not in hits
	RefusedBy   int             `json:"refused_by,omitempty"`
	WouldRefuse int             `json:"would_refuse,omitempty"`
	Score       int             `json:"score"`
	AnswerScore int             `json:"answer_score,omitempty"`
	Exceeded    string          `json:"exceeded,omitempty"` // the setting that the body went beyond: fields_limit or body_limit
	Limit       int             `json:"limit,omitempty"`    // its value in bytes
	Exclusions  []WAFExclusion  `json:"exclusions"`         // that would let such a request pass
	Unnarrowed  []WAFUnnarrowed `json:"unnarrowed"`
}

// WAFProposal is an exclusion that is not in force, and what speaks for it.
type WAFProposal struct {
	Exclusion WAFExclusion `json:"exclusion"` // with the last such request
	Message   string       `json:"message"`
	Requests  int          `json:"requests"`
	People    int          `json:"people"`
}

// WAFSite is how the firewall of a site stands.
type WAFSite struct {
	Site          string    `json:"site"`
	Mode          string    `json:"mode"` // off, detect or block, as configured
	Learning      bool      `json:"learning"`
	LearnUntil    time.Time `json:"learn_until,omitzero"` // until then a site that learns only detects
	Rules         string    `json:"rules,omitempty"`      // the rule set
	ParanoiaLevel int       `json:"paranoia_level,omitempty"`
	Configured    int       `json:"configured"`         // exclusions of the configuration and the application's folder
	Added         int       `json:"added"`              // exclusions of findings
	Unused        int       `json:"unused"`             // those among them that fit no rule
	Compiled      string    `json:"compiled,omitempty"` // no, plain (slow) or fast; absent: nothing is running
}
