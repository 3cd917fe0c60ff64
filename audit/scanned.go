package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/audit/scan"
)

// ScanDemand is what a control asks of an imported scan.
type ScanDemand struct {
	Kinds []scan.Kind `yaml:"kinds"` // network, vulnerability, web, code: any of them does
	// MaxDays is how old the scan may be, in days.
	MaxDays int `yaml:"max_days"`
	// FailsAt is the severity from which an open finding makes the control fail: info, low, medium, high, critical.
	FailsAt scan.Severity `yaml:"fails_at"`
	// KnownSystems asks that each address that answered is that of a system of the register, or declared to be scanned by itself.
	KnownSystems bool `yaml:"known_systems"`
}

func (d ScanDemand) problems() []string {
	var p []string
	if len(d.Kinds) == 0 {
		p = append(p, "scan.kinds is empty")
	}
	for _, kind := range d.Kinds {
		if !slices.Contains(scan.Kinds(), kind) {
			p = append(p, fmt.Sprintf("scan.kinds: %q is none of network, vulnerability, web, code", kind))
		}
	}
	if d.MaxDays < 1 || d.MaxDays > 1100 {
		p = append(p, fmt.Sprintf("scan.max_days %d is not 1 to 1100", d.MaxDays))
	}
	if d.FailsAt.Rank() < 0 {
		p = append(p, fmt.Sprintf("scan.fails_at %q is none of info, low, medium, high, critical", d.FailsAt))
	}
	return p
}

// scanned takes imported scans into account. Where the control's own check passes, or there is none, each declared target needs a scan
// that is young enough and leaves no grave finding open. Where such a scan is missing, a person's answer stands in for it, if the control has
// a question; findings that are open no answer hides.
func scanned(c compiled, f *Finding, records Records, now time.Time) {
	alone := c.expect == nil
	if alone {
		f.Expected = c.Expected
		if f.Expected == "" {
			f.Expected = c.Scan.String()
		}
	}
	if !alone && f.Status != Pass {
		if c.Attest != nil {
			attest(c, f, records, now)
		}
		return
	}
	if records.Unread != "" {
		f.Status, f.Reason = Unknown, "what was imported could not be read: "+records.Unread
		return
	}
	v := c.Scan.look(records, now)
	open, strangers := v.findings(c, f, records, now), v.strangers(c, f, records)
	switch {
	case strangers > 0:
		f.Status, f.Reason = Fail, fmt.Sprintf("%d of the scanned addresses are of no known system; doorward asset set NAME --address ADDRESS makes one known", strangers)
	case open > 0:
		f.Status, f.Reason = Fail, fmt.Sprintf("%d of the scans' findings of at least %s are open", open, c.Scan.FailsAt)
	case v.lacks == "" && !v.waived.IsZero():
		until := v.waived
		f.Underlying, f.Status, f.Until, f.Reason = Fail, Waived, &until, "every grave finding of the scans is waived"
	case v.lacks == "":
		f.Status, f.Reason = Pass, ""
	default:
		f.Status, f.Reason = v.status, v.lacks
		if f.Fix == "" {
			f.Fix = "doorward attest import FILE, with the report of the scanner"
		}
		instead(c, f, records, now)
	}
}

// instead lets a person's answer stand in for a scan that is missing, and says why it has to.
func instead(c compiled, f *Finding, records Records, now time.Time) {
	a, ok := records.Attestations[c.ID]
	if c.Attest == nil || !ok {
		return
	}
	f.add(attested(a))
	if now.Before(a.Until) {
		until := a.Until
		f.Status, f.Until = Attested, &until
		return
	}
	f.Reason += "; the attestation ended on " + a.Until.Format(time.DateOnly)
}

// String is the demand for people.
func (d ScanDemand) String() string {
	var kinds []string
	for _, k := range d.Kinds {
		kinds = append(kinds, string(k))
	}
	text := fmt.Sprintf("a scan (%s) of each declared target, at most %d days old, without an open finding of at least %s", strings.Join(kinds, " or "), d.MaxDays, d.FailsAt)
	if d.KnownSystems {
		text += ", and no address answers that is not of a known system"
	}
	return text
}

// view is what was found of the scans that a control asks for.
type view struct {
	scans  []scan.Import // those that count: of each tool the latest of each set of targets, young enough
	last   *scan.Import  // where none counts: the latest, to be shown
	lacks  string        // what is missing; empty: nothing
	status Status        // what that makes of the control
	waived time.Time     // when the first waiver of a finding ends; zero: no finding is waived
}

// look finds the scans that count. A declared target is covered by a scan of any of the kinds.
func (d ScanDemand) look(records Records, now time.Time) view {
	var all []scan.Import
	for _, s := range records.Scans {
		if slices.Contains(d.Kinds, s.Kind) {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return view{lacks: "no scan was imported", status: Fail}
	}
	slices.SortStableFunc(all, func(a, b scan.Import) int { return b.Time.Compare(a.Time) })
	v := view{last: &all[0]}
	targets, setting := records.Targets.of(d.Kinds[0])
	if len(targets) == 0 {
		v.lacks, v.status = setting+" does not say what has to be scanned", Unknown
		return v
	}
	for _, target := range targets {
		tools := map[string]bool{}
		last := time.Time{}
		for _, s := range all {
			if !s.Covers(target) || s.Time.After(now.Add(scan.Skew)) {
				continue
			}
			if last.IsZero() {
				last = s.Time
			}
			if tools[s.Tool] || now.Sub(s.Time) > time.Duration(d.MaxDays)*24*time.Hour {
				continue
			}
			tools[s.Tool] = true
			if !slices.ContainsFunc(v.scans, func(o scan.Import) bool { return o.ID == s.ID }) {
				v.scans = append(v.scans, s)
			}
		}
		switch {
		case v.lacks != "" || len(tools) > 0:
		case last.IsZero():
			v.lacks, v.status = "no scan looked at "+target, Fail
		default:
			v.lacks, v.status = fmt.Sprintf("the last scan of %s is %d days old, and may be %d", target, int(now.Sub(last).Hours()/24), d.MaxDays), Fail
		}
	}
	return v
}

// findings adds the scans and what they leave open to the evidence, and counts it. Findings that were not kept, for there are so many, are
// open: nobody can have looked at them one by one.
func (v *view) findings(c compiled, f *Finding, records Records, now time.Time) int {
	if len(v.scans) == 0 && v.last != nil {
		f.add(scanEvidence(*v.last))
	}
	open := 0
	for _, s := range v.scans {
		f.add(scanEvidence(s))
		kept := 0
		for _, found := range s.Findings {
			if found.Severity.Rank() < c.Scan.FailsAt.Rank() {
				continue
			}
			kept++
			e := Evidence{Fact: "scan.finding", Value: fmt.Sprintf("%s %s: %s (finding %.12s)", found.Severity, found.Rule, found.Title, found.ID), Origin: found.Location}
			if w, ok := records.Accepted[c.ID][found.ID]; ok && now.Before(w.Until) {
				e.Fact, e.Value = "scan.waived", e.Value+"; waived until "+w.Until.Format(time.DateOnly)+": "+w.Reason+" ("+w.By+")"
				if v.waived.IsZero() || w.Until.Before(v.waived) {
					v.waived = w.Until
				}
			} else {
				e.Offends = true
				open++
			}
			f.add(e)
		}
		open += max(0, s.Counts.From(c.Scan.FailsAt)-kept)
	}
	return open
}

// strangers adds the addresses that no known system has to the evidence, and counts them. Where a scan found as many systems as are kept,
// there may be others.
func (v *view) strangers(c compiled, f *Finding, records Records) int {
	if !c.Scan.KnownSystems {
		return 0
	}
	known := map[netip.Addr]bool{}
	declared, _ := records.Targets.of(c.Scan.Kinds[0])
	for _, text := range slices.Concat(records.Systems, declared) {
		if a, err := netip.ParseAddr(text); err == nil {
			known[a.Unmap()] = true
		}
	}
	n := 0
	for _, s := range v.scans {
		for _, target := range s.Targets {
			if a, err := netip.ParseAddr(target); err == nil && !known[a.Unmap()] {
				f.add(Evidence{Fact: "scan.system", Value: target + " answered, and is no known system", Origin: s.File, Offends: true})
				n++
			}
		}
		if len(s.Targets) >= scan.MaxTargets {
			f.add(Evidence{Fact: "scan.systems", Value: fmt.Sprintf("at least %d answered, more than are kept of one scan: scan each network by itself", scan.MaxTargets), Origin: s.File, Offends: true})
			n++
		}
	}
	return n
}

// scanEvidence is a scan as evidence.
func scanEvidence(s scan.Import) Evidence {
	value := fmt.Sprintf("%s %s of %s, %s: %s", s.Tool, s.Version, s.Time.Format(time.DateOnly), strings.Join(s.Targets[:min(len(s.Targets), 3)], ", "), s.Counts)
	if s.Stated {
		value += "; the day is the importer's word"
	}
	return Evidence{Fact: "scan", Value: value, Origin: fmt.Sprintf("%s, sha256:%s, imported by %s", s.File, s.SHA256, s.By)}
}
