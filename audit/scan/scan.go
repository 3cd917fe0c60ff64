// Package scan reads what other scanners have found: SARIF 2.1.0 (OASIS), the XML of nmap -oX, and the traditional JSON report of
// ZAP. It makes one small report of each, with the time of the scan, what was looked at, and the gravest findings.
//
// It knows the files' formats, and treats every byte of them as hostile. It does not know the controls that a scan answers, nor
// where it is kept.
package scan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Severity is how grave a finding is.
type Severity string

// The severities, least first. Info is what a scanner tells without calling it a weakness, such as an open port.
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities lists the severities, least first.
func Severities() []Severity { return []Severity{Info, Low, Medium, High, Critical} }

// Rank is a severity's place in Severities, and -1 when it is none of them.
func (s Severity) Rank() int { return slices.Index(Severities(), s) }

// Kind is what a scan looks at.
type Kind string

// The kinds. A port scan is network, one with scripts or signatures for known weaknesses vulnerability.
const (
	Network       Kind = "network"
	Vulnerability Kind = "vulnerability"
	Web           Kind = "web"
	Code          Kind = "code"
)

// Kinds lists the kinds.
func Kinds() []Kind { return []Kind{Network, Vulnerability, Web, Code} }

// Report is one scan as it is kept.
type Report struct {
	Format  string `json:"format"` // sarif, nmap or zap
	Kind    Kind   `json:"kind"`
	Tool    string `json:"tool"`
	Version string `json:"version"`
	// Targets are what was looked at: addresses, names and networks; origins such as https://helpdesk.example.com; repositories.
	Targets []string `json:"targets"`
	Scope   string   `json:"scope,omitempty"` // of a port scan: which ports
	// Time is the end of the scan, as the file says. Stated: the file does not, and whoever imported it did.
	Time   time.Time `json:"time"`
	Stated bool      `json:"stated"`
	Counts Counts    `json:"counts"`
	// Findings are the gravest, at most MaxFindings, the gravest first. Counts has all.
	Findings []Finding `json:"findings,omitempty"`
	Size     int64     `json:"size"` // of the file, in bytes
	SHA256   string    `json:"sha256"`
}

// Counts is how many findings of each severity there are. What the scanner itself was told to pass over is Suppressed and in no
// other count.
type Counts struct {
	Info       int `json:"info"`
	Low        int `json:"low"`
	Medium     int `json:"medium"`
	High       int `json:"high"`
	Critical   int `json:"critical"`
	Suppressed int `json:"suppressed"`
}

// Of is the count of one severity.
func (c Counts) Of(s Severity) int {
	switch s {
	case Info:
		return c.Info
	case Low:
		return c.Low
	case Medium:
		return c.Medium
	case High:
		return c.High
	case Critical:
		return c.Critical
	}
	return 0
}

// From counts the findings of at least a severity.
func (c Counts) From(least Severity) int {
	n := 0
	for _, s := range Severities() {
		if s.Rank() >= least.Rank() {
			n += c.Of(s)
		}
	}
	return n
}

func (c *Counts) add(s Severity) {
	switch s {
	case Low:
		c.Low++
	case Medium:
		c.Medium++
	case High:
		c.High++
	case Critical:
		c.Critical++
	default:
		c.Info++
	}
}

// String is the counts for people, the gravest first.
func (c Counts) String() string {
	text := fmt.Sprintf("%d critical, %d high, %d medium, %d low, %d info", c.Critical, c.High, c.Medium, c.Low, c.Info)
	if c.Suppressed > 0 {
		text += fmt.Sprintf(", %d suppressed", c.Suppressed)
	}
	return text
}

// Finding is one thing that a scanner found. The same rule at the same location is one finding, however often it is told.
type Finding struct {
	// ID is made of tool, rule and location, so that it stays the same from scan to scan: 32 hexadecimal digits.
	ID       string   `json:"id"`
	Rule     string   `json:"rule"`
	Location string   `json:"location"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
}

// Import is a report that somebody has brought in.
type Import struct {
	ID    string    `json:"id"`
	File  string    `json:"file"` // its name
	By    string    `json:"by"`
	Made  time.Time `json:"made"`
	Until time.Time `json:"until"` // when it is too old for the first control that it answers
	Report
}

// Bounds. A scanner writes what it was told by what it scanned: a page that an attacker made can be in its report.
const (
	MaxFile     = 32 << 20 // bytes of a file
	MaxFindings = 100      // kept of a scan
	MaxTargets  = 256      // kept of a scan
	maxRead     = 100_000  // findings, rules, hosts and so on in a file, all together
	maxDepth    = 64       // of a file's objects, lists or elements
	maxWord     = 120      // bytes of a rule, tool or version
	maxPlace    = 300      // bytes of a location or target
	maxTitle    = 160      // bytes
	// Skew is how far in the future a scan may lie: clocks differ.
	Skew = 5 * time.Minute
)

// ErrNoTime is that a file does not say when its scan was.
var ErrNoTime = errors.New("the file does not say when the scan was")

// Options is what whoever imports a file knows and the file may not say.
type Options struct {
	// Target is what was scanned, for a file that does not say it. For a file that does, it is refused.
	Target string
	// Kind is the kind of the scan, for SARIF. Empty: by the tool, and code for one that is not known.
	Kind Kind
	// Time is when the scan was, for a file that does not say it. For a file that does, it is refused.
	Time time.Time
	Now  time.Time
}

// Read reads a scanner's file. The error says what is wrong with the file, or which option is missing or too much; ErrNoTime is
// among them.
func Read(file []byte, o Options) (Report, error) {
	if len(file) > MaxFile {
		return Report{}, fmt.Errorf("the file is larger than %d MiB", MaxFile>>20)
	}
	read, err := detect(file)
	if err != nil {
		return Report{}, err
	}
	c := &collector{seen: map[[sha256.Size]byte]int{}}
	r, err := read(file, c)
	if err != nil {
		return Report{}, err
	}
	c.into(&r)
	if err := r.place(o); err != nil {
		return Report{}, err
	}
	sum := sha256.Sum256(file)
	r.Size, r.SHA256 = int64(len(file)), hex.EncodeToString(sum[:])
	return r, nil
}

// detect finds the format by how the file begins.
func detect(file []byte) (func([]byte, *collector) (Report, error), error) {
	text := strings.TrimLeft(strings.TrimPrefix(string(file[:min(len(file), 4096)]), "\ufeff"), " \t\r\n")
	switch {
	case strings.HasPrefix(text, "<"):
		return readNmap, nil
	case strings.HasPrefix(text, "{"):
		return readJSON, nil
	}
	return nil, errors.New("the file is neither SARIF, nor the XML of nmap -oX, nor the traditional JSON report of ZAP")
}

// place settles what was scanned, when, and as what.
func (r *Report) place(o Options) error {
	switch {
	case o.Kind != "" && !slices.Contains(Kinds(), o.Kind):
		return fmt.Errorf("kind %q is none of network, vulnerability, web, code", o.Kind)
	case o.Kind != "" && r.Format != "sarif" && o.Kind != r.Kind:
		return fmt.Errorf("the file shows that the scan is of the kind %s", r.Kind)
	case o.Kind != "":
		r.Kind = o.Kind
	}
	switch {
	case len(r.Targets) > 0 && o.Target != "" && !r.Covers(o.Target):
		return fmt.Errorf("the file says itself what was scanned, and %s is not among it: %s", plain(o.Target, maxPlace), strings.Join(r.Targets[:min(len(r.Targets), 5)], ", "))
	case len(r.Targets) == 0 && o.Target == "":
		return errors.New("the file does not say what was scanned; name it: the address, or the repository")
	case len(r.Targets) == 0:
		r.Targets = []string{plain(o.Target, maxPlace)}
	}
	switch {
	case !r.Time.IsZero() && !o.Time.IsZero():
		return fmt.Errorf("the file says itself when the scan was: %s", r.Time.UTC().Format(time.RFC3339))
	case r.Time.IsZero() && o.Time.IsZero():
		return ErrNoTime
	case r.Time.IsZero():
		r.Time, r.Stated = o.Time, true
	}
	r.Time = r.Time.UTC().Truncate(time.Second)
	if r.Time.After(o.Now.Add(Skew)) {
		return fmt.Errorf("the scan would be in the future: %s; is the clock of one of the machines wrong?", r.Time.Format(time.RFC3339))
	}
	if r.Time.Year() < 2000 {
		return fmt.Errorf("the scan would be of %s; the file is broken", r.Time.Format(time.DateOnly))
	}
	return nil
}

// collector gathers the findings of a file, and counts what is read so that no file can make it large.
type collector struct {
	read       int
	seen       map[[sha256.Size]byte]int // the finding's place in all
	all        []raw
	suppressed int
	targets    []string
}

type raw struct {
	key                   [sha256.Size]byte
	rule, location, title string
	severity              Severity
}

// spend counts one more entry of a list.
func (c *collector) spend() error {
	if c.read++; c.read > maxRead {
		return fmt.Errorf("the file has more than %d entries; split the scan", maxRead)
	}
	return nil
}

// add notes a finding. The gravest of several of one rule and location counts.
func (c *collector) add(rule, location, title string, severity Severity) {
	f := raw{sha256.Sum256([]byte(rule + "\x00" + location)), plain(rule, maxWord), plain(location, maxPlace), plain(title, maxTitle), severity}
	at, known := c.seen[f.key]
	switch {
	case !known:
		c.seen[f.key] = len(c.all)
		c.all = append(c.all, f)
	case severity.Rank() > c.all[at].severity.Rank():
		c.all[at] = f
	}
}

// target notes what was scanned, once.
func (c *collector) target(name string) {
	if name = plain(name, maxPlace); name != "" && len(c.targets) < MaxTargets && !slices.Contains(c.targets, name) {
		c.targets = append(c.targets, name)
	}
}

// into puts what was gathered into the report.
func (c *collector) into(r *Report) {
	r.Tool, r.Version, r.Scope, r.Targets = plain(r.Tool, maxWord), plain(r.Version, maxWord), plain(r.Scope, maxPlace), c.targets
	slices.SortStableFunc(c.all, func(a, b raw) int {
		return cmp.Or(cmp.Compare(b.severity.Rank(), a.severity.Rank()), strings.Compare(a.location, b.location), strings.Compare(a.rule, b.rule))
	})
	r.Counts.Suppressed = c.suppressed
	for i, f := range c.all {
		r.Counts.add(f.severity)
		if i < MaxFindings {
			sum := sha256.Sum256([]byte(strings.ToLower(r.Tool) + "\x00" + string(f.key[:])))
			r.Findings = append(r.Findings, Finding{hex.EncodeToString(sum[:16]), f.rule, f.location, f.title, f.severity})
		}
	}
}

// plain is text in one line of at most most bytes, with what would steer a terminal replaced.
func plain(text string, most int) string {
	if len(text) > 4*most {
		text = text[:4*most]
	}
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most-len("…")], "") + "…"
	}
	return text
}
