// Package report tells people and programs how an audit came out: as text, HTML, JSON, SARIF, JUnit and for Nagios, with
// what changed since the last run, and keeps the reports in a folder.
//
// It knows findings and nothing of how they came about.
package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
)

// Report is one audit of one host. Its JSON form is the format "json" and what is kept of a run.
type Report struct {
	Profile  string    `json:"profile"`
	Title    string    `json:"title"`
	Host     string    `json:"host"`
	Root     string    `json:"root"` // the folder that was read; "/" is the machine itself
	System   string    `json:"system"`
	Time     time.Time `json:"time"`
	Doorward string    `json:"doorward"` // the version
	// Took is the time of the audit in milliseconds.
	Took     int64    `json:"took_ms"`
	Coverage Coverage `json:"coverage"`
	Guides   []Guide  `json:"guides"`
	// Since is the time of the run that Changes compare with; nil when there was none.
	Since   *time.Time `json:"since,omitempty"`
	Changes []Change   `json:"changes,omitempty"`
	// Ending are attestations and waivers that end within 30 days, the first to end first.
	Ending  []Ending        `json:"ending,omitempty"`
	Results []audit.Finding `json:"results"`
	Missing []Missing       `json:"missing,omitempty"`
}

// Coverage counts how the controls were answered. Answered leaves out what is unknown or an error: a report with a low
// Answered says little, however few failures it has.
type Coverage struct {
	Controls      int `json:"controls"`
	Answered      int `json:"answered"`
	Pass          int `json:"pass"`
	Attested      int `json:"attested"`
	Fail          int `json:"fail"`
	Waived        int `json:"waived"`
	NotApplicable int `json:"not_applicable"`
	Unknown       int `json:"unknown"`
	Error         int `json:"error"`
}

// InForce counts the controls that are in force: passed or attested.
func (c Coverage) InForce() int { return c.Pass + c.Attested }

// Applicable counts the controls that mean something on the host.
func (c Coverage) Applicable() int { return c.Controls - c.NotApplicable }

// Score is the share of the applicable controls that are in force, in whole percent, rounded down. What is unknown or
// waived is not in force. Without applicable controls it is 0.
func (c Coverage) Score() int {
	if c.Applicable() == 0 {
		return 0
	}
	return 100 * c.InForce() / c.Applicable()
}

func (c *Coverage) count(s audit.Status) {
	c.Controls++
	switch s {
	case audit.Pass:
		c.Pass++
	case audit.Attested:
		c.Attested++
	case audit.Fail:
		c.Fail++
	case audit.Waived:
		c.Waived++
	case audit.NotApplicable:
		c.NotApplicable++
	case audit.Unknown:
		c.Unknown++
	default:
		c.Error++
	}
	c.Answered = c.Controls - c.Unknown - c.Error
}

// Guide is the coverage of one guide's rows.
type Guide struct {
	Guide    string   `json:"guide"` // the letter of its ids
	Title    string   `json:"title"`
	Score    int      `json:"score"`
	Coverage Coverage `json:"coverage"`
}

// Change is a control that stands differently than in the run before.
type Change struct {
	ID     string       `json:"id"`
	Title  string       `json:"title"`
	Before audit.Status `json:"before"` // empty: it was not asked
	After  audit.Status `json:"after"`  // empty: it is not asked any more
}

// Worse says that the control was in force, or did not apply, and now fails or is not known.
func (c Change) Worse() bool {
	return c.Before != "" && c.After != "" && rank(c.After) > rank(c.Before)
}

// Ending is an attestation or a waiver that has to be looked at soon.
type Ending struct {
	ID     string       `json:"id"`
	Title  string       `json:"title"`
	Status audit.Status `json:"status"`
	Until  time.Time    `json:"until"`
}

// soon is how long before its end an attestation or a waiver is listed.
const soon = 30 * 24 * time.Hour

// Missing is a fact that could not be read.
type Missing struct {
	Fact   string `json:"fact"`
	Reason string `json:"reason"`
}

// New makes a report of findings. titles names the guides by the letter of their ids.
func New(profile audit.Profile, findings []audit.Finding, f facts.Facts, titles map[string]string) Report {
	r := Report{Profile: profile.Name, Title: profile.Title, Time: f.Time, Results: findings, Guides: []Guide{}}
	guides := map[string]*Coverage{}
	for _, finding := range findings {
		r.Coverage.count(finding.Status)
		letter, _, _ := strings.Cut(finding.ID, "-")
		if guides[letter] == nil {
			guides[letter] = &Coverage{}
		}
		guides[letter].count(finding.Status)
		if finding.Until != nil && finding.Until.Sub(f.Time) <= soon {
			r.Ending = append(r.Ending, Ending{finding.ID, finding.Title, finding.Status, *finding.Until})
		}
	}
	slices.SortStableFunc(r.Ending, func(a, b Ending) int { return a.Until.Compare(b.Until) })
	for letter, c := range guides {
		r.Guides = append(r.Guides, Guide{letter, cmp.Or(titles[letter], letter), c.Score(), *c})
	}
	slices.SortFunc(r.Guides, func(a, b Guide) int { return strings.Compare(a.Guide, b.Guide) })
	for _, m := range f.Missing {
		r.Missing = append(r.Missing, Missing{audit.Plain(m.Fact), audit.Plain(m.Reason)})
	}
	return r
}

// Compare notes what changed since an earlier report of the same profile.
func (r *Report) Compare(earlier Report) {
	before := map[string]audit.Finding{}
	for _, f := range earlier.Results {
		before[f.ID] = f
	}
	r.Since, r.Changes = &earlier.Time, nil
	for _, f := range r.Results {
		if old := before[f.ID]; old.Status != f.Status {
			r.Changes = append(r.Changes, Change{f.ID, f.Title, old.Status, f.Status})
		}
		delete(before, f.ID)
	}
	for _, f := range earlier.Results {
		if _, gone := before[f.ID]; gone {
			r.Changes = append(r.Changes, Change{f.ID, f.Title, f.Status, ""})
		}
	}
}

// Drifted lists the changes to the worse.
func (r Report) Drifted() []Change {
	return slices.DeleteFunc(slices.Clone(r.Changes), func(c Change) bool { return !c.Worse() })
}

// Failed counts the controls at or above a severity that fail, are unknown or are errors of ours, as strict says.
func (r Report) Failed(least audit.Severity, strict bool) int {
	n := 0
	for _, f := range r.Results {
		bad := f.Status == audit.Fail || strict && (f.Status == audit.Unknown || f.Status == audit.Errored)
		if bad && severityRank(f.Severity) >= severityRank(least) {
			n++
		}
	}
	return n
}

// rank orders statuses from good to bad.
func rank(s audit.Status) int {
	return slices.Index([]audit.Status{audit.Pass, audit.Attested, audit.NotApplicable, audit.Waived, audit.Unknown, audit.Errored, audit.Fail}, s)
}

func severityRank(s audit.Severity) int { return slices.Index(audit.Severities(), s) }

// worstFirst orders findings for a reader: what fails before what is unknown, the gravest first, then by id as given.
func worstFirst(findings []audit.Finding) []audit.Finding {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b audit.Finding) int {
		return cmp.Or(cmp.Compare(rank(b.Status), rank(a.Status)), cmp.Compare(severityRank(b.Severity), severityRank(a.Severity)))
	})
	return sorted
}

// Formats lists the names that Write knows.
func Formats() []string { return []string{"text", "json", "html", "sarif", "junit", "nagios"} }

// percent words a share.
func percent(part, whole int) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%d %%", 100*part/whole)
}
