package audit

import (
	"time"

	"github.com/doorward/doorward/audit/scan"
)

// Status is how a control stands.
type Status string

// The statuses. Unknown is that a fact could not be read, and Errored a defect of ours: neither is ever a pass.
const (
	Pass          Status = "pass"
	Fail          Status = "fail"
	Unknown       Status = "unknown"
	NotApplicable Status = "not-applicable"
	Waived        Status = "waived"
	Attested      Status = "attested"
	Errored       Status = "error"
)

// Evidence is one thing that was looked at.
type Evidence struct {
	Fact   string `json:"fact"`   // its name: sshd.contexts
	Value  string `json:"value"`  //
	Origin string `json:"origin"` // file:line, command or address that says so
	// Offends says that this is what the control does not accept.
	Offends bool `json:"offends,omitempty"`
}

// Finding is how one control stands on one host.
type Finding struct {
	ID       string     `json:"id"`
	Title    string     `json:"title"`
	Status   Status     `json:"status"`
	Severity Severity   `json:"severity"`
	Reason   string     `json:"reason,omitempty"` // why the status is what it is, where the evidence alone does not say
	Evidence []Evidence `json:"evidence"`
	// More is how many pieces of evidence were left out, because a host can have thousands.
	More     int    `json:"more,omitempty"`
	Expected string `json:"expected"`
	Fix      string `json:"fix"`
	Note     string `json:"note,omitempty"`
	// Until is when a waiver or an attestation ends.
	Until *time.Time `json:"until,omitempty"`
	// Underlying is the status that a waiver stands in for.
	Underlying Status `json:"underlying,omitempty"`
}

// Attestation is a person's answer to a control's question.
type Attestation struct {
	Control  string
	Owner    string // who stands for it
	Text     string
	Evidence string // the kept file's name and hash
	Made     time.Time
	Until    time.Time
}

// Waiver accepts that a control is not in force, until a day.
type Waiver struct {
	Control string
	Reason  string
	By      string
	Until   time.Time
}

// Records are what people have said about controls, by id; of several answers the one that holds longest.
type Records struct {
	Attestations map[string]Attestation
	Waivers      map[string]Waiver
	// Accepted are the waivers of single findings of scans: by control, and then by the finding's id.
	Accepted map[string]map[string]Waiver
	// Scans are what other scanners found, with their findings; of each tool and set of targets, its latest is enough.
	Scans []scan.Import
	// Systems are the addresses of the systems of the register.
	Systems []string
	// Targets are what has to be scanned, as it is declared.
	Targets ScanTargets
	// Unread says why the records could not be read; then no control is attested, waived or failed for want of an answer.
	Unread string
}

// String is the evidence in one line: what was looked at, what was there, and where.
func (e Evidence) String() string {
	text := e.Fact + ": " + e.Value
	if e.Origin != "" {
		text += " (" + e.Origin + ")"
	}
	return text
}
