package report

import (
	"encoding/json"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/doorward/doorward/audit"
)

// The parts of SARIF 2.1.0 (OASIS) that a code-scanning page reads.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string       `json:"id"`
		ShortDescription sarifMessage `json:"shortDescription"`
		Help             sarifMessage `json:"help"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Kind         string             `json:"kind"`
		Level        string             `json:"level"`
		Message      sarifMessage       `json:"message"`
		Locations    []sarifLocation    `json:"locations,omitempty"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

// sarif writes every finding as a result; what passes is told as kind pass.
func (r Report) sarif(w io.Writer) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "Doorward", Version: r.Doorward, Rules: []sarifRule{}}
	for i, f := range r.Results {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{f.ID, sarifMessage{f.Title}, sarifMessage{f.Expected + "\n\n" + f.Fix}})
		run.Results = append(run.Results, sarifOf(i, f))
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

// sarifOf maps a finding (SARIF 2.1.0, 3.27.9 and 3.27.10): a level other than none goes with kind fail only.
func sarifOf(index int, f audit.Finding) sarifResult {
	s := sarifResult{RuleID: f.ID, RuleIndex: index, Level: "none", Message: sarifMessage{f.Title}}
	switch f.Status {
	case audit.Pass, audit.Attested:
		s.Kind = "pass"
	case audit.NotApplicable:
		s.Kind = "notApplicable"
	case audit.Unknown, audit.Errored:
		s.Kind = "open"
	default:
		s.Kind, s.Level = "fail", "warning"
		if severityRank(f.Severity) >= severityRank(audit.High) {
			s.Level = "error"
		}
	}
	if f.Status == audit.Waived {
		s.Suppressions = []sarifSuppression{{"external", f.Reason}}
	}
	if f.Reason != "" {
		s.Message.Text += ": " + f.Reason
	}
	for _, e := range f.Evidence {
		s.Message.Text += "\n" + e.String()
		if l, ok := location(e.Origin); ok && e.Offends {
			s.Locations = append(s.Locations, l)
		}
	}
	return s
}

// location reads an origin as a place in a file.
func location(origin string) (sarifLocation, bool) {
	name, line, found := strings.Cut(origin, ":")
	if !path.IsAbs(name) || strings.ContainsAny(name, " \t") {
		return sarifLocation{}, false
	}
	var l sarifLocation
	l.Physical.Artifact.URI = (&url.URL{Scheme: "file", Path: name}).String()
	if n, err := strconv.Atoi(line); found && err == nil && n > 0 {
		l.Physical.Region = &sarifRegion{n}
	}
	return l, true
}
