package syntax

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Caps of what is read. CRS 4.25 has 50 files, the largest with 300 kB, and 800 rules.
const (
	maxFile  = 8 << 20
	maxFiles = 1000
	maxDepth = 10 // files that include files
	maxRules = 50_000
)

// Source is where rules come from: a file of Files, or several (a pattern as of path.Match), or Text, for which Name is
// only what problems call it. Include and the operators' data files are looked up in Files, beside the file that names them.
type Source struct {
	Name  string
	Text  string
	Files fs.FS // may be nil
}

// Parse reads all sources in their order as if they were one file. The error, if any, is an *Errors with all problems.
func Parse(sources ...Source) (*Rules, error) {
	p := &parser{rules: &Rules{}, ids: map[int]Place{}, markers: map[string]Place{}, defaults: map[Phase]*Rule{}}
	for _, s := range sources {
		if s.Text != "" || s.Files == nil {
			p.text(s.Name, s.Text, s.Files, ".", 0)
			continue
		}
		p.files(Place{File: s.Name}, s.Name, s.Files, 0)
	}
	p.closeChain(Place{})
	p.checkJumps()
	if len(p.problems) > 0 {
		return nil, &Errors{Problems: p.problems}
	}
	return p.rules, nil
}

// parser is where the reading stands.
type parser struct {
	rules    *Rules
	problems []Problem
	ids      map[int]Place
	markers  map[string]Place // the last place of each
	defaults map[Phase]*Rule  // SecDefaultAction
	open     *Rule            // whose chain wants another link
	read     int              // files
}

// files reads every file that the pattern names.
func (p *parser) files(at Place, pattern string, files fs.FS, depth int) {
	if depth > maxDepth {
		p.errorf(at, "Include goes deeper than %d files; does a file include itself?", maxDepth)
		return
	}
	names, err := fs.Glob(files, pattern)
	if err == nil && len(names) == 0 {
		if strings.ContainsAny(pattern, "*?[") {
			p.errorf(at, "no file is called %s", pattern)
			return
		}
		names = []string{pattern} // the reading says what is wrong
	}
	if err != nil {
		p.errorf(at, "the name %q: %v", pattern, err)
		return
	}
	for _, name := range names {
		if p.read++; p.read > maxFiles {
			p.errorf(at, "more than %d files", maxFiles)
			return
		}
		text, err := fs.ReadFile(files, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.errorf(at, "there is no file %s", name)
		case err != nil:
			p.errorf(at, "read %s: %v", name, err)
		case len(text) > maxFile:
			p.errorf(at, "%s has more than %d bytes", name, maxFile)
		default:
			p.text(name, string(text), files, path.Dir(name), depth)
		}
	}
}

// text reads the text of one file.
func (p *parser) text(name, text string, files fs.FS, dir string, depth int) {
	beside := files
	if files != nil && dir != "." {
		if sub, err := fs.Sub(files, dir); err == nil {
			beside = sub
		}
	}
	for _, l := range logicalLines(name, text) {
		args, err := words(l.text)
		if err != nil {
			p.errorf(l.at, "%v", err)
			continue
		}
		if len(args) == 0 {
			continue
		}
		p.directive(directive{at: l.at, name: args[0], args: args[1:], files: files, beside: beside, dir: dir, depth: depth})
	}
}

// directive is one of them with its arguments.
type directive struct {
	at     Place
	name   string
	args   []string
	files  fs.FS
	beside fs.FS // the folder of the file, for data files
	dir    string
	depth  int
}

func (p *parser) directive(d directive) {
	name := strings.ToLower(d.name)
	if name != "secrule" && name != "secaction" {
		p.closeChain(d.at)
	}
	switch name {
	case "secrule":
		p.secRule(d)
	case "secaction":
		p.secAction(d)
	case "secmarker":
		p.secMarker(d)
	case "secdefaultaction":
		p.secDefaultAction(d)
	case "include":
		p.include(d)
	case "secruleremovebyid", "secruleremovebytag", "secruleremovebymsg":
		p.remove(d)
	case "secruleupdatetargetbyid", "secruleupdatetargetbytag", "secruleupdatetargetbymsg":
		p.updateTargets(d)
	case "secruleupdateactionbyid":
		p.updateActions(d)
	default:
		known, err := p.rules.Settings.setting(name, d.args)
		why, isForeign := foreign[name]
		switch {
		case known && err != nil:
			p.errorf(d.at, "%s %v", d.name, err)
		case known:
		case isForeign:
			p.note(d.at, "%s has no effect: %s", d.name, why)
		default:
			p.errorf(d.at, "directive %.40s is not supported", d.name)
		}
	}
}

func (p *parser) include(d directive) {
	switch {
	case len(d.args) != 1:
		p.errorf(d.at, "Include takes one file or pattern; it has %d words", len(d.args))
	case d.files == nil:
		p.errorf(d.at, "Include needs a folder; text that stands in the configuration has none")
	default:
		p.files(d.at, path.Join(d.dir, d.args[0]), d.files, d.depth+1)
	}
}

func (p *parser) secMarker(d directive) {
	if len(d.args) != 1 || d.args[0] == "" {
		p.errorf(d.at, "SecMarker takes one name; it has %d words", len(d.args))
		return
	}
	p.markers[d.args[0]] = d.at
	p.rules.Items = append(p.rules.Items, &Rule{Place: d.at, Marker: d.args[0]})
}

func (p *parser) secDefaultAction(d directive) {
	r := newRule(d)
	r.Phase = 0
	if len(d.args) != 1 {
		p.errorf(d.at, "SecDefaultAction takes one list of actions")
		return
	}
	all, err := splitActions(d.args[0])
	if err != nil {
		p.errorf(d.at, "SecDefaultAction: %v", err)
		return
	}
	disrupts := false
	for _, a := range all {
		if !oneOf(a.name, "phase", "log", "nolog", "auditlog", "noauditlog", "pass", "deny", "drop", "redirect", "allow", "status") {
			p.errorf(d.at, "SecDefaultAction: action %.40s cannot be a default; write it into the rules", a.name)
			continue
		}
		if err := r.apply(a); err != nil {
			p.errorf(d.at, "SecDefaultAction: %v", err)
		}
		disrupts = disrupts || r.Disruption != Inherit
	}
	if r.Phase == 0 || !disrupts {
		p.errorf(d.at, "SecDefaultAction needs a phase and one of pass, deny, drop, redirect and allow")
		return
	}
	p.defaults[r.Phase] = r
}

// closeChain says that a chain has no end.
func (p *parser) closeChain(at Place) {
	if p.open == nil {
		return
	}
	where := "before the end of the rules"
	if at.File != "" {
		where = "before " + at.String()
	}
	p.errorf(p.open.Place, "the chain of this rule has no end: \"chain\" wants another SecRule %s", where)
	p.open = nil
}

// checkJumps says which places to jump to do not exist after the rule that jumps.
func (p *parser) checkJumps() {
	last := map[string]int{}
	for i, r := range p.rules.Items {
		if r.Marker != "" {
			last[r.Marker] = i
		}
	}
	for i, r := range p.rules.Items {
		if r.SkipAfter == "" {
			continue
		}
		if at, ok := last[r.SkipAfter]; !ok || at < i {
			p.errorf(r.Place, "skipAfter:%.60s: no SecMarker of this name follows", r.SkipAfter)
		}
	}
}

func newRule(d directive) *Rule {
	return &Rule{Place: d.at, Phase: PhaseRequestBody, Severity: -1, Files: d.beside}
}

// quoteCut shortens text for a problem.
func quoteCut(text string) string {
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return fmt.Sprintf("%q", text)
}
