package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Severity is how much harm a control that is not in force allows.
type Severity string

// The severities, least first.
const (
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities lists the severities, least first.
func Severities() []Severity { return []Severity{Low, Medium, High, Critical} }

// Control is one row of a guide as a question about facts. See docs/controls-format.md for the file.
type Control struct {
	ID       string   `yaml:"id"`       // I-03
	Title    string   `yaml:"title"`    // what is so when it passes, in one line
	Severity Severity `yaml:"severity"` //
	// Rationale is why it matters, in our own words.
	Rationale string `yaml:"rationale"`
	// By names how Doorward answers the row: gateway, watch, check, fix, attest, monitor, mail.
	By []string `yaml:"by"`

	// When says whether the control means anything on this host; empty is always. Otherwise is the reason for people when it
	// does not.
	When      string `yaml:"when"`
	Otherwise string `yaml:"otherwise"`
	// Over is a list of facts, each of which must fulfil Expect under the name "it". Empty: Expect is asked once.
	Over   string `yaml:"over"`
	Expect string `yaml:"expect"`
	// Empty is the verdict when Over has nothing: pass, fail, unknown or not-applicable. Empty means unknown, because nothing
	// looked at is nothing shown.
	Empty Status `yaml:"empty"`
	// Show are facts that belong to the evidence beside those that Over and Expect name.
	Show []string `yaml:"show"`
	// Expected is what Expect asks, for people.
	Expected string `yaml:"expected"`
	// Fix is what has to be done, for people; what doorward fix does is documented there.
	Fix string `yaml:"fix"`
	// Scan asks for a scan by another program, with an age limit.
	Scan *ScanDemand `yaml:"scan"`
	// Attest is the question that a person answers.
	Attest *Question `yaml:"attest"`

	References []string `yaml:"references"` // guide rows that agree, CIS, BSI, ASVS, NIST, RFC
	// Note says where guides contradict each other or a standard, or are out of date.
	Note string `yaml:"note"`
	// Variants are other readings of the same row; a profile chooses one by its name.
	Variants []Variant `yaml:"variants"`
	// SameAs names the control that this row repeats: its conditions, texts that are empty here, and question.
	SameAs string `yaml:"same_as"`
	// Tests names what shows that the verdict is right: PACKAGE.TestName, of this repository.
	Tests []string `yaml:"tests"`

	file string
}

// Question is what only a person can say.
type Question struct {
	Text     string `yaml:"text"`
	Evidence string `yaml:"evidence"` // what to keep as evidence
	// ReviewDays is how long an answer holds, in days.
	ReviewDays int `yaml:"review_days"`
	// Required asks for the answer even where the check passes.
	Required bool `yaml:"required"`
}

// Variant is another reading of a control.
type Variant struct {
	Name     string `yaml:"name"`
	Expect   string `yaml:"expect"`
	Expected string `yaml:"expected"`
	Why      string `yaml:"why"`
}

const (
	maxControlFile = 1 << 20 // bytes
	maxControls    = 5000
)

var idPattern = regexp.MustCompile(`^[A-Z]{1,8}-[0-9]{1,4}$`)

// readControls reads every *.yaml file in tree and returns its controls. All errors are told at once, each with its file.
func readControls(tree fs.FS) ([]Control, error) {
	names, err := fs.Glob(tree, "*.yaml")
	if err != nil {
		return nil, err
	}
	var all []Control
	var errs []error
	for _, name := range names {
		controls, err := readControlFile(tree, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read controls %s: %w", name, err))
		}
		all = append(all, controls...)
	}
	if len(all) > maxControls {
		errs = append(errs, fmt.Errorf("read controls: %d are more than %d", len(all), maxControls))
	}
	return all, errors.Join(errs...)
}

func readControlFile(tree fs.FS, name string) ([]Control, error) {
	f, err := tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxControlFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxControlFile {
		return nil, fmt.Errorf("it is longer than %d KiB", maxControlFile>>10)
	}
	var file struct {
		Controls []Control `yaml:"controls"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	for i := range file.Controls {
		file.Controls[i].file = path.Base(name)
	}
	return file.Controls, nil
}

// ways are how a row can be answered.
func ways() []string {
	return []string{"gateway", "watch", "check", "fix", "attest", "monitor", "mail"}
}

// problems tells what is wrong with the control's own texts; its expressions are checked when they are compiled.
func (c Control) problems() []string {
	var p []string
	demand := func(ok bool, format string, args ...any) {
		if !ok {
			p = append(p, fmt.Sprintf(format, args...))
		}
	}
	demand(idPattern.MatchString(c.ID), "id %q is not like I-03", c.ID)
	demand(c.Title != "", "it has no title")
	demand(slices.Contains(Severities(), c.Severity), "severity %q is none of low, medium, high, critical", c.Severity)
	demand(c.Rationale != "", "it has no rationale")
	demand(len(c.By) > 0, "by is empty")
	for _, way := range c.By {
		demand(slices.Contains(ways(), way), "by %q is none of %s", way, strings.Join(ways(), ", "))
	}
	demand(c.Expect != "" || c.Attest != nil || c.Scan != nil, "it has neither expect nor attest nor scan")
	demand(c.Expect == "" || c.Expected != "", "expected does not say for people what expect asks")
	demand(c.Over == "" || c.Expect != "", "over without expect")
	demand(c.When == "" || c.Otherwise != "", "otherwise does not say why the control does not apply")
	demand(c.Attest != nil || !slices.Contains(c.By, "attest"), "by attest without a question in attest")
	demand(slices.Contains([]Status{"", Pass, Fail, Unknown, NotApplicable}, c.Empty), "empty %q is none of pass, fail, unknown, not-applicable", c.Empty)
	if c.Attest != nil {
		demand(c.Attest.Text != "" && c.Attest.Evidence != "", "attest needs text and evidence")
		demand(c.Attest.ReviewDays >= 1 && c.Attest.ReviewDays <= 1100, "attest.review_days %d is not 1 to 1100", c.Attest.ReviewDays)
	}
	if c.Scan != nil {
		p = append(p, c.Scan.problems()...)
	}
	names := map[string]bool{}
	for _, v := range c.Variants {
		demand(v.Name != "" && !names[v.Name], "variant %q is named twice or not at all", v.Name)
		demand(v.Expect != "" && v.Expected != "" && v.Why != "", "variant %q needs expect, expected and why", v.Name)
		names[v.Name] = true
	}
	return p
}

// repeat gives c what it leaves to the control that it repeats.
func (c *Control) repeat(of Control) {
	c.When, c.Otherwise, c.Over, c.Expect, c.Empty, c.Show = of.When, of.Otherwise, of.Over, of.Expect, of.Empty, of.Show
	c.Variants = of.Variants
	first := func(own *string, other string) {
		if *own == "" {
			*own = other
		}
	}
	first(&c.Title, of.Title)
	first(&c.Rationale, of.Rationale)
	first(&c.Expected, of.Expected)
	first(&c.Fix, of.Fix)
	first((*string)(&c.Severity), string(of.Severity))
	if len(c.By) == 0 {
		c.By = of.By
	}
	if c.Attest == nil {
		c.Attest = of.Attest
	}
	if c.Scan == nil {
		c.Scan = of.Scan
	}
	if len(c.Tests) == 0 {
		c.Tests = of.Tests
	}
}
