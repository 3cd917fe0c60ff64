package sigma

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// Options are what reading depends on beside the file.
type Options struct {
	// Placeholders are the values of %name% where a rule uses the modifier expand. They may have wildcards.
	Placeholders map[string][]string
}

// Parse reads all rules, correlations and filters of a file. The error is an *Errors with everything that is wrong;
// nothing of the file must be used then. name is for messages.
func Parse(name string, text []byte, o Options) (Collection, error) {
	p := &parserOf{problems: &problems{file: name}, options: o}
	var c Collection
	for _, body := range documents(text, p.problems) {
		p.document(body, &c)
	}
	if err := p.err(); err != nil {
		return Collection{}, err
	}
	return c, nil
}

type parserOf struct {
	*problems
	options Options
	atoms   int // in the file so far
}

// document reads one document by the section that says what it is.
func (p *parserOf) document(body ast.Node, c *Collection) {
	entries := p.mapping(body, "a rule")
	if entries == nil {
		return
	}
	var kinds []string
	for _, e := range entries {
		if slices.Contains([]string{"detection", "correlation", "filter"}, e.key) {
			kinds = append(kinds, e.key)
		}
	}
	if len(kinds) != 1 {
		p.at(lineOf(body), "a rule has one of detection, correlation and filter; this one has %d of them", len(kinds))
		return
	}
	switch kinds[0] {
	case "detection":
		c.Rules = append(c.Rules, p.rule(entries, lineOf(body)))
	case "correlation":
		c.Correlations = append(c.Correlations, p.correlation(entries, lineOf(body)))
	case "filter":
		c.Filters = append(c.Filters, p.filter(entries, lineOf(body)))
	}
}

func (p *parserOf) rule(entries []entry, line int) *Rule {
	r := &Rule{Head: p.head(entries, line, true, "detection", "logsource")}
	hasLogsource := false
	for _, e := range entries {
		switch e.key {
		case "logsource":
			hasLogsource = true
			r.Logsource = p.logsource(e)
		case "detection":
			r.match = p.detection(p.mapping(e.value, e.key), e.line, "detection")
		}
	}
	if !hasLogsource {
		p.at(line, "the rule has no logsource")
	}
	p.checkResponse(r.Respond, nil)
	return r
}

func (p *parserOf) filter(entries []entry, line int) *Filter {
	f := &Filter{Head: p.head(entries, line, false, "filter", "logsource")}
	hasLogsource := false
	for _, e := range entries {
		switch e.key {
		case "logsource":
			hasLogsource = true
			f.Logsource = p.logsource(e)
		case "filter":
			section := p.mapping(e.value, e.key)
			hasRules := false
			for _, s := range section {
				if s.key == "rules" {
					hasRules = true
					f.Rules = p.texts(s, true)
					if len(f.Rules) == 1 && f.Rules[0] == "any" {
						f.Any, f.Rules = true, nil
					} else if len(f.Rules) == 0 {
						p.at(s.line, "the filter names no rules; write any if it is meant for all of its logsource")
					}
				}
			}
			if !hasRules {
				p.at(e.line, "the filter has no rules; write any if it is meant for all of its logsource")
			}
			f.match = p.detection(section, e.line, "filter", "rules")
		}
	}
	if !hasLogsource {
		p.at(line, "the filter has no logsource")
	}
	return f
}

func (p *parserOf) logsource(e entry) Logsource {
	var l Logsource
	for _, part := range p.mapping(e.value, e.key) {
		switch part.key {
		case "category":
			l.Category = p.word(part)
		case "product":
			l.Product = p.word(part)
		case "service":
			l.Service = p.word(part)
		case "definition":
			p.text(part)
		default:
			p.at(part.line, "logsource has no key %q; it has category, product, service and definition", part.key)
		}
	}
	if l == (Logsource{}) {
		p.at(e.line, "logsource needs a category, a product or a service")
	}
	return l
}

// word reads a part of a logsource: lower case, no spaces.
func (p *parserOf) word(e entry) string {
	s := p.text(e)
	if s == "" || s != strings.ToLower(s) || strings.ContainsAny(s, " \t\n") {
		p.at(e.line, "%s must be in lower case and without spaces", e.key)
	}
	return s
}

// Caps of the specification's schema.
const (
	maxTitle       = 256
	maxDescription = 65_535
	maxListed      = 1000 // entries of a list in the head
)

// head reads what all kinds of documents have. sections are read by the caller.
func (p *parserOf) head(entries []entry, line int, graded bool, sections ...string) Head {
	h := Head{File: p.file, Line: line}
	for _, e := range entries {
		if slices.Contains(sections, e.key) {
			continue
		}
		if !p.headText(&h, e) && !p.headList(&h, e, graded) {
			p.at(e.line, "there is no key %q; a rule may have title, id, name, related, taxonomy, status, description, license, references, "+
				"author, date, modified, fields, falsepositives, level, tags, scope, respond and %s", e.key, strings.Join(sections, ", "))
		}
	}
	if h.Title == "" {
		p.at(line, "the rule has no title")
	}
	return h
}

// headText reads a key that has one text.
func (p *parserOf) headText(h *Head, e entry) bool {
	limit := maxTitle
	var target *string
	switch e.key {
	case "title":
		target = &h.Title
	case "id":
		target = &h.ID
	case "name":
		target = &h.Name
	case "status":
		target = &h.Status
	case "description":
		target, limit = &h.Description, maxDescription
	case "license":
		target = &h.License
	case "author":
		target, limit = &h.Author, 4096
	case "taxonomy":
		target = &h.Taxonomy
	case "date":
		target = &h.Date
	case "modified":
		target = &h.Modified
	default:
		return false
	}
	*target = p.text(e)
	if e.key == "date" || e.key == "modified" {
		*target = strings.ReplaceAll(*target, "/", "-") // the form before version 2
	}
	if len(*target) > limit {
		p.at(e.line, "%s has more than %d bytes", e.key, limit)
	}
	p.checkHeadText(e.key, *target, e.line)
	return true
}

func (p *parserOf) checkHeadText(key, s string, line int) {
	switch key {
	case "id":
		if !regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`).MatchString(s) {
			p.at(line, "id must be a UUID such as 929a690e-bef0-4204-a928-ef5e620d6fcc")
		}
	case "name":
		if strings.TrimSpace(s) != s || s == "" || strings.ContainsFunc(s, unicode.IsControl) {
			p.at(line, "name must be a word or some words in one line")
		}
	case "status":
		if !slices.Contains([]string{"stable", "test", "experimental", "deprecated", "unsupported"}, s) {
			p.at(line, "status %q is none of stable, test, experimental, deprecated and unsupported", s)
		}
	case "taxonomy":
		if s != "sigma" && s != "doorward" {
			p.at(line, "taxonomy %q is not known here; its rules name fields that no event has", s)
		}
	case "date", "modified":
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			p.at(line, "%s must be a date, written YYYY-MM-DD", key)
		}
	}
}

// headList reads a key that has a list, or a word of a few.
func (p *parserOf) headList(h *Head, e entry, graded bool) bool {
	switch e.key {
	case "references":
		h.References = p.texts(e, false)
	case "falsepositives":
		h.Falsepositives = p.texts(e, true)
	case "tags":
		h.Tags = p.texts(e, false)
		for _, tag := range h.Tags {
			if !regexp.MustCompile(`^[a-z0-9_-]+\.[a-z0-9._-]+$`).MatchString(tag) {
				p.at(e.line, "the tag %q must be of the form namespace.value, in lower case", tag)
			}
		}
	case "fields":
		h.Fields = p.texts(e, false)
	case "scope":
		h.Scope = p.texts(e, false)
	case "related":
		h.Related = p.related(e)
	case "level":
		if !graded {
			return false
		}
		h.Level = p.level(e)
	case "respond":
		if !graded {
			return false
		}
		h.Respond = p.respond(e)
	case "regression_tests_path", "simulation":
		return true // the public rules have them for their own tests
	default:
		return false
	}
	if seq, ok := e.value.(*ast.SequenceNode); ok && len(seq.Values) > maxListed {
		p.at(e.line, "%s has more than %d entries", e.key, maxListed)
	}
	return true
}

func (p *parserOf) level(e entry) Level {
	s := p.text(e)
	for l := Informational; l <= Critical; l++ {
		if l.String() == s {
			return l
		}
	}
	p.at(e.line, "level %q is none of informational, low, medium, high and critical", s)
	return Unstated
}

func (p *parserOf) related(e entry) []Related {
	seq, ok := e.value.(*ast.SequenceNode)
	if !ok {
		p.at(e.line, "related has %s, but needs a list", describe(e.value))
		return nil
	}
	var list []Related
	for _, item := range seq.Values {
		var r Related
		for _, part := range p.mapping(item, "related") {
			switch part.key {
			case "id":
				r.ID = p.text(part)
			case "type":
				r.Type = p.text(part)
			default:
				p.at(part.line, "related has no key %q; it has id and type", part.key)
			}
		}
		if r.ID == "" || !slices.Contains([]string{"derived", "obsolete", "merged", "renamed", "similar"}, r.Type) {
			p.at(lineOf(item), "related needs an id, and a type: derived, obsolete, merged, renamed or similar")
		}
		list = append(list, r)
	}
	return list
}
