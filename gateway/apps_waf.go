package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// appWAFName is the file in an application's folder that holds the exclusions which the application's own requests need.
const appWAFName = "waf.yaml"

// maxAppExclusions caps what one file gives: each request is compared with every path.
const maxAppExclusions = 500

// appExclusion is one item of a waf.yaml: several exclusions that have the rules, the source and the reason in common.
type appExclusion struct {
	paths, rules, tags, parameters, targets []string
	source, why                             string
	line                                    int
}

// loadAppWAF reads the folder's waf.yaml; there need not be one. An error lists every problem of the file with its line.
func loadAppWAF(tree fs.FS, folder string) ([]WAFExclusion, error) {
	file := strings.TrimPrefix(folder+"/"+appWAFName, "./")
	text, err := readCapped(tree, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	exclusions, problems := parseAppWAF(text)
	if len(problems) > 0 {
		return nil, errors.New(joinProblems(file, problems))
	}
	return exclusions, nil
}

// parseAppWAF reads a waf.yaml. With any problem the file must not be used.
func parseAppWAF(text []byte) ([]WAFExclusion, []appProblem) {
	p := &appParser{}
	body, problem := documentOf(text, p)
	if problem != nil {
		return nil, []appProblem{*problem}
	}
	if body == nil {
		return nil, append(p.problems, appProblem{1, "the file is empty; remove it, or see docs/app-folders.md for what belongs in it"})
	}
	var items []appExclusion
	p.eachKey(body, []string{"exclusions"}, func(_ string, value ast.Node) {
		sequence, ok := value.(*ast.SequenceNode)
		if !ok {
			p.problem(value, "exclusions is a list of items, each with rules or tags, source and why")
			return
		}
		for _, n := range sequence.Values {
			items = append(items, p.exclusion(n))
		}
	})
	var all []WAFExclusion
	for _, item := range items {
		all = append(all, p.exclusionsOf(item, all)...)
	}
	if len(all) > maxAppExclusions {
		p.at(1, "the file makes %d exclusions; %d are the most", len(all), maxAppExclusions)
	}
	return all, p.problems
}

func (p *appParser) exclusion(n ast.Node) appExclusion {
	item := appExclusion{line: 1}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		item.line = tk.Position.Line
	}
	p.eachKey(n, []string{"path", "rules", "tags", "parameter", "target", "source", "why"}, func(key string, value ast.Node) {
		switch key {
		case "path":
			item.paths = p.oneOrMore(value)
		case "rules":
			item.rules = p.scalars(value)
		case "tags":
			item.tags = p.scalars(value)
		case "parameter":
			item.parameters = p.oneOrMore(value)
		case "target":
			item.targets = p.oneOrMore(value)
		case "source":
			item.source = p.scalar(value)
		case "why":
			item.why = strings.TrimSpace(p.scalar(value))
		}
	})
	return item
}

// oneOrMore reads a text, or a list of texts that all have the rest of the item in common.
func (p *appParser) oneOrMore(n ast.Node) []string {
	if _, ok := n.(*ast.SequenceNode); !ok {
		return []string{p.scalar(n)}
	}
	list := p.scalars(n)
	if len(list) == 0 {
		p.problem(n, "the list is empty; name something, or remove the key")
	}
	return list
}

// exclusionsOf multiplies out an item and judges it; earlier is what stands above it in the file.
func (p *appParser) exclusionsOf(item appExclusion, earlier []WAFExclusion) []WAFExclusion {
	p.origin(appItem{kind: "exclusions", value: strings.Join(append(item.rules, item.tags...), ", "), source: item.source, line: item.line})
	if item.why == "" {
		p.at(item.line, "exclusions: an item has no why; say which request of the application needs it")
	}
	var rules []RuleRange
	for _, text := range item.rules {
		var r RuleRange
		if err := r.UnmarshalText([]byte(text)); err != nil {
			p.at(item.line, "exclusions: %v", err)
			continue
		}
		rules = append(rules, r)
	}
	if len(item.paths)*max(len(item.parameters)+len(item.targets), 1) > maxAppExclusions {
		p.at(item.line, "exclusions: the item makes more than %d exclusions", maxAppExclusions)
		return nil
	}
	var out []WAFExclusion
	add := func(e WAFExclusion) {
		e.Rules, e.Tags = rules, item.tags
		e.validate("exclusions", func(path, format string, args ...any) { p.at(item.line, path+": "+format, args...) })
		if err := e.compile().Check(); err != nil {
			p.at(item.line, "exclusions: %v", err)
		}
		if slices.ContainsFunc(slices.Concat(earlier, out), e.same) {
			p.at(item.line, "exclusions: %s stands here twice", e.words())
		}
		out = append(out, e)
	}
	for _, path := range orNone(item.paths) {
		for _, parameter := range item.parameters {
			add(WAFExclusion{Path: path, Parameter: parameter})
		}
		for _, target := range item.targets {
			add(WAFExclusion{Path: path, Target: target})
		}
		if len(item.parameters)+len(item.targets) == 0 {
			if path == "" {
				p.at(item.line, "exclusions: the item takes its rules away from the whole site; give path, parameter or target")
				continue
			}
			add(WAFExclusion{Path: path})
		}
	}
	return out
}

// orNone is the list, or one empty text in its place.
func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return list
}

func (e WAFExclusion) same(other WAFExclusion) bool {
	return e.words() == other.words()
}

// words names the exclusion in a message.
func (e WAFExclusion) words() string {
	var rules []string
	for _, r := range e.Rules {
		rules = append(rules, r.String())
	}
	text := strings.Join(append(rules, e.Tags...), ", ")
	if value := cmp.Or(e.Parameter, e.Target); value != "" {
		text += fmt.Sprintf(" for %s", value)
	}
	if e.Path != "" {
		text += " below " + e.Path
	}
	return text
}
