package fail2ban

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	errNoSection = errors.New("no such section")
	errNoOption  = errors.New("no such option")
)

// parser is several files merged, later ones over earlier ones. What a later file replaced stays known: it is kept in a section
// KNOWN/NAME, where %(known/OPTION)s finds it.
type parser struct {
	defaults *dict
	sections map[string]*dict
	order    []string
	files    []string // as they were merged
}

func newParser() *parser {
	return &parser{defaults: newDict(), sections: map[string]*dict{}}
}

const knownPrefix = "KNOWN/"

// names are the sections without the known ones, as they first came.
func (p *parser) names() []string {
	return slices.DeleteFunc(slices.Clone(p.order), func(s string) bool { return strings.HasPrefix(s, knownPrefix) })
}

func (p *parser) section(name string) *dict {
	d, ok := p.sections[name]
	if !ok {
		d = newDict()
		p.sections[name] = d
		p.order = append(p.order, name)
	}
	return d
}

// conditional is a section such as Init?family=inet6; its options get the condition as part of their names.
var conditional = regexp.MustCompile(`^([\pL\pN_]+)(\?.+)$`)

// merge puts a file over what was read before.
func (p *parser) merge(f *iniFile) {
	p.defaults.update(f.defaults)
	for _, name := range f.order {
		added := f.sections[name]
		if m := conditional.FindStringSubmatch(name); m != nil {
			name = m[1]
			renamed := newDict()
			for _, k := range added.keys {
				renamed.set(k+m[2], added.values[k])
			}
			added = renamed
		}
		old, ok := p.sections[name]
		if !ok {
			p.section(name).update(added)
			continue
		}
		known := p.section(knownPrefix + name)
		for _, k := range old.keys {
			if added.has(k) {
				known.set(k, old.values[k])
			}
		}
		old.update(added)
	}
}

// hasOption tells whether the section itself has the option.
func (p *parser) hasOption(section, option string) bool {
	return p.sections[section].has(option)
}

// get is the value of an option with its %(references)s filled in: from vars, the section, then [DEFAULT].
func (p *parser) get(section, option string, vars *dict) (string, error) {
	own, ok := p.sections[section]
	if !ok && section != "DEFAULT" {
		return "", fmt.Errorf("section %q: %w", section, errNoSection)
	}
	s := scope{vars: vars, section: own, defaults: p.defaults}
	raw, ok := s.get(strings.ToLower(option))
	if !ok {
		return "", fmt.Errorf("option %q in section %q: %w", option, section, errNoOption)
	}
	f := filler{p: p, section: section}
	var out strings.Builder
	if err := f.fill(&out, raw, s, 1); err != nil {
		return "", fmt.Errorf("option %q in section %q: %w", option, section, err)
	}
	return out.String(), nil
}

// sectionOption is a reference with the name of a section in it: lt_file/__prefix_line, known/failregex.
var sectionOption = regexp.MustCompile(`^([\pL\pN_\-]+)/([^\s>]+)$`)

// getAny is get for a name that may name a section too. known/NAME is what was known before, then the section's own.
func (p *parser) getAny(section, option string, vars *dict) (string, error) {
	if m := sectionOption.FindStringSubmatch(option); m != nil {
		in := []string{m[1]}
		switch strings.ToLower(m[1]) {
		case "known":
			in = []string{knownPrefix + section, section}
		case "default":
			in = []string{"DEFAULT"}
		}
		for _, s := range in {
			v, err := p.get(s, m[2], nil)
			if err == nil {
				return v, nil
			}
			if !errors.Is(err, errNoOption) && !errors.Is(err, errNoSection) {
				return "", err
			}
		}
	}
	return p.get(section, option, vars)
}

// scope is where a name is looked up, first to last.
type scope struct {
	extra                   map[string]string // references to other sections
	vars, section, defaults *dict
}

func (s scope) get(name string) (string, bool) {
	if v, ok := s.extra[name]; ok {
		return v, true
	}
	for _, d := range []*dict{s.vars, s.section, s.defaults} {
		if v, ok := d.get(name); ok {
			return v, true
		}
	}
	return "", false
}

// with is the scope with one more name.
func (s scope) with(name, value string) scope {
	extra := make(map[string]string, len(s.extra)+1)
	for k, v := range s.extra {
		extra[k] = v
	}
	extra[name] = value
	s.extra = extra
	return s
}

// filler fills the references of one value.
type filler struct {
	p       *parser
	section string
	fills   int
}

// foreign finds the references that name a section.
var foreign = regexp.MustCompile(`%\(([\pL\pN_\-]+)/([^)]+)\)s`)

// widen adds to the scope what references such as %(lt_file/datepattern)s in text name.
func (f *filler) widen(text string, s scope) scope {
	s = s.with("__name__", f.section)
	if !strings.Contains(text, "/") {
		return s
	}
	for _, m := range foreign.FindAllStringSubmatch(text, -1) {
		name := m[1] + "/" + m[2]
		if _, ok := s.get(name); ok {
			continue
		}
		value, found := "", false
		switch strings.ToLower(m[1]) {
		case "default":
		case "known":
			value, found = f.p.sections[knownPrefix+f.section].get(m[2])
		default:
			d, ok := f.p.sections[m[1]]
			if !ok {
				continue
			}
			value, found = d.get(m[2])
		}
		if !found {
			if value, found = f.p.defaults.get(m[2]); !found {
				continue
			}
		}
		s = s.with(name, value)
	}
	return s
}

// fill writes text with its references to out.
func (f *filler) fill(out *strings.Builder, text string, s scope, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("references go deeper than %d", maxDepth)
	}
	s = f.widen(text, s)
	for text != "" {
		before, rest, found := strings.Cut(text, "%")
		out.WriteString(before)
		if out.Len() > maxValue {
			return fmt.Errorf("a value longer than %d bytes", maxValue)
		}
		if !found {
			return nil
		}
		switch {
		case strings.HasPrefix(rest, "%"):
			out.WriteByte('%')
			text = rest[1:]
		case strings.HasPrefix(rest, "("):
			end := strings.IndexByte(rest, ')')
			if end < 2 || !strings.HasPrefix(rest[end+1:], "s") {
				return fmt.Errorf("a reference that does not end: %.60q", "%"+rest)
			}
			if err := f.reference(out, strings.ToLower(rest[1:end]), s, depth); err != nil {
				return err
			}
			text = rest[end+2:]
		default:
			return fmt.Errorf("%% that neither %% nor ( follows: %.60q", "%"+rest)
		}
	}
	return nil
}

func (f *filler) reference(out *strings.Builder, name string, s scope, depth int) error {
	if f.fills++; f.fills > maxFills {
		return fmt.Errorf("more than %d references in one value", maxFills)
	}
	value, ok := s.get(name)
	if !ok {
		return fmt.Errorf("%%(%s)s names no option", name)
	}
	if !strings.Contains(value, "%") {
		out.WriteString(value)
		return nil
	}
	return f.fill(out, value, s, depth+1)
}
