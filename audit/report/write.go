package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/doorward/doorward/audit"
)

// Write writes the report in one of Formats.
func (r Report) Write(w io.Writer, format string) error {
	switch format {
	case "text":
		return r.text(w)
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(r)
	case "html":
		return r.html(w)
	case "sarif":
		return r.sarif(w)
	case "junit":
		return r.junit(w)
	case "nagios":
		_, err := fmt.Fprintln(w, r.Nagios().Line)
		return err
	}
	return fmt.Errorf("format %q is none of %s", format, strings.Join(Formats(), ", "))
}

// text writes for a terminal: coverage first, then the score a guide, what changed, and every finding that is not in
// force, the worst first. What is in force is counted; the JSON form tells it whole.
func (r Report) text(w io.Writer) error {
	c := r.Coverage
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s on %s (%s), %s\n\n", r.Title, r.Host, r.System, r.Time.Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(out, "answered %d of %d controls (%s): %d unknown, %d errors\n", c.Answered, c.Controls, percent(c.Answered, c.Controls), c.Unknown, c.Error)
	fmt.Fprintf(out, "in force %d of %d that apply (%d %%): %d passed, %d attested; %d fail, %d waived, %d do not apply\n\n",
		c.InForce(), c.Applicable(), c.Score(), c.Pass, c.Attested, c.Fail, c.Waived, c.NotApplicable)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, g := range r.Guides {
		fmt.Fprintf(table, "%s\t%d %%\t%d of %d in force\t%d unknown\n", g.Title, g.Score, g.Coverage.InForce(), g.Coverage.Applicable(), g.Coverage.Unknown)
	}
	_ = table.Flush() // a strings.Builder has no errors
	if r.Since != nil {
		fmt.Fprintf(out, "\nsince %s: %d changes, %d of them to the worse\n", r.Since.Format("2006-01-02 15:04 MST"), len(r.Changes), len(r.Drifted()))
		for _, change := range r.Changes {
			fmt.Fprintf(out, "  %s  %s -> %s  %s\n", change.ID, orNone(change.Before), orNone(change.After), change.Title)
		}
	}
	for i, e := range r.Ending {
		if i == 0 {
			out.WriteString("\nto be looked at again within 30 days\n")
		}
		fmt.Fprintf(out, "  %s  %s until %s  %s\n", e.ID, e.Status, e.Until.Format(time.DateOnly), e.Title)
	}
	for _, f := range worstFirst(r.Results) {
		if f.Status != audit.Pass && f.Status != audit.Attested && f.Status != audit.NotApplicable {
			writeFinding(out, f)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func writeFinding(out *strings.Builder, f audit.Finding) {
	fmt.Fprintf(out, "\n%s  %s  %s  %s\n", strings.ToUpper(string(f.Status)), f.ID, f.Severity, f.Title)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(out, "    %-9s %s\n", key, value)
		}
	}
	line("because", f.Reason)
	line("expected", f.Expected)
	for i, e := range f.Evidence {
		if i == 5 {
			line("", fmt.Sprintf("and %d more; --format json has them", len(f.Evidence)-i+f.More))
			break
		}
		if !e.Offends && f.Evidence[0].Offends {
			continue // what offends is enough for a reader
		}
		line("found", e.String())
	}
	line("fix", f.Fix)
	line("note", f.Note)
	if f.Until != nil {
		line("until", f.Until.Format(time.DateOnly))
	}
}

func orNone(s audit.Status) string {
	if s == "" {
		return "not asked"
	}
	return string(s)
}

// Nagios is a report as monitoring plugins tell it.
type Nagios struct {
	Code int    // 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN
	Line string // one line with performance data
}

// Nagios says how the host stands: critical when something of high severity fails, warning when anything does, unknown
// when nothing fails and something could not be answered.
func (r Report) Nagios() Nagios {
	c, n := r.Coverage, Nagios{}
	word := "OK"
	switch {
	case r.Failed(audit.High, false) > 0:
		n.Code, word = 2, "CRITICAL"
	case c.Fail > 0:
		n.Code, word = 1, "WARNING"
	case c.Unknown+c.Error > 0:
		n.Code, word = 3, "UNKNOWN"
	}
	n.Line = fmt.Sprintf("DOORWARD %s - %d of %d controls in force, %d fail, %d not answered | score=%d%%;;;0;100 fail=%d unknown=%d waived=%d drift=%d",
		word, c.InForce(), c.Applicable(), c.Fail, c.Unknown+c.Error, c.Score(), c.Fail, c.Unknown+c.Error, c.Waived, len(r.Drifted()))
	return n
}

// The parts of the JUnit format that test runners agree on.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Host      string      `xml:"hostname,attr"`
		Time      string      `xml:"timestamp,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		TestCases []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Failure *junitReason `xml:"failure"`
		Error   *junitReason `xml:"error"`
		Skipped *junitReason `xml:"skipped"`
		Output  string       `xml:"system-out,omitempty"`
	}
	junitReason struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit writes a suite a guide. Unknown is an error there, and never a test that passed or was skipped.
func (r Report) junit(w io.Writer) error {
	suites := junitSuites{}
	for _, g := range r.Guides {
		s := junitSuite{Name: g.Title, Host: r.Host, Time: r.Time.UTC().Format("2006-01-02T15:04:05"), Tests: g.Coverage.Controls,
			Failures: g.Coverage.Fail, Errors: g.Coverage.Unknown + g.Coverage.Error, Skipped: g.Coverage.NotApplicable + g.Coverage.Waived}
		for _, f := range r.Results {
			if strings.HasPrefix(f.ID, g.Guide+"-") {
				s.TestCases = append(s.TestCases, junitOf(f))
			}
		}
		suites.Suites = append(suites.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitOf(f audit.Finding) junitCase {
	c := junitCase{Class: "doorward." + string(f.Severity), Name: f.ID + " " + f.Title}
	var lines []string
	for _, e := range f.Evidence {
		lines = append(lines, e.String())
	}
	reason := &junitReason{Message: strings.TrimSpace(f.Reason + " expected: " + f.Expected), Text: strings.Join(lines, "\n")}
	switch f.Status {
	case audit.Fail:
		c.Failure = reason
	case audit.Unknown, audit.Errored:
		c.Error = reason
	case audit.NotApplicable, audit.Waived:
		c.Skipped = reason
	default:
		c.Output = reason.Text
	}
	return c
}
