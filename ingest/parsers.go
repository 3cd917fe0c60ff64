package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/event"
)

// Logsource says what wrote a log, in the words of Sigma's taxonomy.
type Logsource struct {
	Category string `yaml:"category"`
	Product  string `yaml:"product"`
	Service  string `yaml:"service"`
}

// parserFile is a parser as its file states it; docs/parsers.md describes it.
type parserFile struct {
	Name        string        `yaml:"name"`
	Description string        `yaml:"description"`
	Logsource   Logsource     `yaml:"logsource"`
	Programs    []string      `yaml:"programs"`
	Head        []string      `yaml:"head"`
	Syslog      bool          `yaml:"syslog"`
	Address     string        `yaml:"address_field"`
	User        string        `yaml:"user_field"`
	Forgeable   string        `yaml:"forgeable"`
	Escaped     bool          `yaml:"escaped_by_syslog"`
	Patterns    []patternFile `yaml:"patterns"`
}

type patternFile struct {
	Name     string            `yaml:"name"`
	Layouts  []string          `yaml:"layouts"`
	Regexp   string            `yaml:"regexp"`
	Literal  string            `yaml:"literal"`
	Once     []string          `yaml:"once"`
	In       map[string]string `yaml:"in"`
	When     map[string]string `yaml:"when"`
	Take     map[string]string `yaml:"take"`
	Torn     bool              `yaml:"torn"`
	Class    event.Class       `yaml:"class"`
	Action   string            `yaml:"action"`
	Outcome  string            `yaml:"outcome"`
	Severity string            `yaml:"severity"`
	Fields   map[string]string `yaml:"fields"`
	Headers  map[string]string `yaml:"headers"`
}

// parser is a parser made ready.
type parser struct {
	name         string
	logsource    Logsource
	programs     []string
	head         []layout
	syslog       bool
	addressField string
	userField    string
	forgeable    bool
	escaped      bool // but not where syslog carried it
	patterns     []pattern
}

type pattern struct {
	name     string
	layouts  []layout
	re       *regexp.Regexp
	groups   []string
	literal  string
	once     []string
	torn     bool          // the beginning of an event whose end is on another line, because what a stranger wrote holds a line end
	in       []event.Field // what fields of the head must be, | between alternatives
	byFields bool          // it looks at what the source states, and not at the text
	when     []event.Field
	take     []event.Field // name in the event, name in the record
	class    event.Class
	action   string
	outcome  event.Outcome
	byStatus bool
	severity event.Severity
	fields   []event.Field
	headers  []event.Field // name of a header, name in the event
}

// Parsers are all parsers there are.
type Parsers struct{ all []*parser }

// maxLayoutFields is the most that a layout may have, head and message together.
const maxLayoutFields = 32

// LoadParsers reads every *.yaml file of the trees; a parser of a later tree takes the place of an earlier one with the same
// name. The error names each file that cannot be used.
func LoadParsers(trees ...fs.FS) (*Parsers, error) {
	var p Parsers
	var problems error
	for _, tree := range trees {
		names, err := fs.Glob(tree, "*.yaml")
		problems = errors.Join(problems, err)
		for _, name := range names {
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				problems = errors.Join(problems, err)
				continue
			}
			one, err := newParser(text)
			if err == nil && one.name != strings.TrimSuffix(path.Base(name), ".yaml") {
				err = fmt.Errorf("its name is %q", one.name)
			}
			if err != nil {
				problems = errors.Join(problems, fmt.Errorf("parser %s: %w", name, err))
				continue
			}
			p.all = slices.DeleteFunc(p.all, func(o *parser) bool { return o.name == one.name })
			p.all = append(p.all, one)
		}
	}
	return &p, problems
}

// Names are the names of all parsers, sorted.
func (p *Parsers) Names() []string {
	var names []string
	for _, one := range p.all {
		names = append(names, one.name)
	}
	slices.Sort(names)
	return names
}

// Forgeable tells whether a stranger could have written what events of the named parser say: the program writes line ends of what it was
// sent. bySyslog says that syslog or the journal carried the lines, which keeps some apart. Of a parser that is not known anything may
// be forged.
func (p *Parsers) Forgeable(name string, bySyslog bool) bool {
	i := slices.IndexFunc(p.all, func(o *parser) bool { return o.name == name })
	return i < 0 || p.all[i].forgeable && !(p.all[i].escaped && bySyslog)
}

func newParser(text []byte) (*parser, error) {
	var f parserFile
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	p := &parser{name: f.Name, logsource: f.Logsource, programs: f.Programs, syslog: f.Syslog || len(f.Programs) > 0,
		addressField: f.Address, userField: f.User, forgeable: f.Forgeable != "", escaped: f.Escaped}
	for _, h := range f.Head {
		l, err := newLayout(h)
		if err == nil && (l.free != len(l.fields)-1 || l.fields[l.free].name != "message" || l.lits[len(l.fields)] != "") {
			err = fmt.Errorf("head %q must end with <message:any>", h)
		}
		if err != nil {
			return nil, err
		}
		p.head = append(p.head, l)
	}
	for _, one := range f.Patterns {
		ready, err := one.ready()
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", one.Name, err)
		}
		p.patterns = append(p.patterns, ready)
	}
	if len(p.patterns) == 0 {
		return nil, errors.New("has no patterns")
	}
	return p, nil
}

func (f patternFile) ready() (p pattern, err error) {
	p = pattern{name: f.Name, literal: f.Literal, once: f.Once, class: f.Class, action: f.Action, byStatus: f.Outcome == "status",
		torn: f.Torn, in: pairs(f.In), byFields: f.When != nil, when: pairs(f.When), take: pairs(f.Take), fields: pairs(f.Fields), headers: pairs(f.Headers)}
	if !slices.Contains([]event.Class{event.Authentication, event.HTTP, event.Detection, event.Compliance, event.Incident, event.Email, ""}, f.Class) {
		return p, fmt.Errorf("class %q is not known", f.Class)
	}
	p.outcome = event.Outcome(f.Outcome)
	switch {
	case p.byStatus, f.Outcome == "":
		p.outcome = event.Unknown
	case !slices.Contains([]event.Outcome{event.Success, event.Failure, event.Refused, event.Unknown}, p.outcome):
		return p, fmt.Errorf("outcome %q is not known", f.Outcome)
	}
	for s := event.SeverityUnknown; s <= event.Fatal; s++ {
		if s.String() == f.Severity {
			p.severity = s
		}
	}
	if f.Severity != "" && p.severity == event.SeverityUnknown {
		return p, fmt.Errorf("severity %q is not known", f.Severity)
	}
	for _, text := range f.Layouts {
		l, err := newLayout(text)
		if err != nil {
			return p, err
		}
		if len(l.fields) > maxLayoutFields/2 {
			return p, fmt.Errorf("layout %q has more than %d fields", text, maxLayoutFields/2)
		}
		p.layouts = append(p.layouts, l)
	}
	if f.Regexp != "" {
		if !strings.HasPrefix(f.Regexp, "^") || !strings.HasSuffix(f.Regexp, "$") || f.Literal == "" {
			return p, errors.New("a regexp must begin with ^ and end with $, and needs a literal")
		}
		if p.re, err = regexp.Compile("(?s)" + f.Regexp); err != nil {
			return p, err
		}
		p.groups = p.re.SubexpNames()
	}
	if kinds := btoi(len(p.layouts) > 0) + btoi(p.re != nil) + btoi(f.When != nil); kinds != 1 {
		return p, errors.New("needs one of layouts, regexp and when")
	}
	return p, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pairs are the entries of m, sorted, so that events are the same at each start.
func pairs(m map[string]string) []event.Field {
	var all []event.Field
	for k, v := range m {
		all = append(all, event.Field{Key: k, Value: v})
	}
	slices.SortFunc(all, func(a, b event.Field) int { return strings.Compare(a.Key, b.Key) })
	return all
}
