package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Bounds of one Apache configuration, with all that it includes.
const (
	maxApacheFiles      = 5_000
	maxApacheBytes      = 64 << 20
	maxApacheDirectives = 200_000
	maxApacheDepth      = 64 // of includes and sections within each other; Apache itself takes 128 includes
)

// errTooLong says that a configuration is beyond those bounds, so that it is not read to its end.
var errTooLong = errors.New("the configuration is too long")

// assumedApache is the version that <IfVersion> is asked about: every branch since 2012 is 2.4.
const assumedApache = "2.4.60"

// apacheDirective is one directive, or a section with what it encloses.
type apacheDirective struct {
	name   string // lower case; a section's without brackets
	args   []string
	raw    string // the arguments as they are written, after ${…} is replaced
	body   []apacheDirective
	origin string

	about string // of a section, see aim
	regex bool
}

// apacheModule is a module that the configuration loads or the program has built in.
type apacheModule struct {
	id, file, origin string // ssl_module, mod_ssl.c
	builtIn          bool
}

// apacheParser reads configuration files in the order in which Apache does, because what <IfModule>, <IfDefine> and
// ${…} mean depends on what came before.
type apacheParser struct {
	h          *Host
	root       string // ServerRoot
	vars       map[string]string
	defined    map[string]bool
	modules    []apacheModule
	loaded     map[string]bool // by identifier and by source file
	macros     map[string]apacheMacro
	files      int
	bytes      int
	directives int
	inFolder   bool // a .htaccess file, which can load, define and include nothing
}

type apacheMacro struct {
	params []string
	lines  []apacheLine
}

// apacheLine is one line after continuations are joined.
type apacheLine struct{ text, origin string }

func (p *apacheParser) load(m apacheModule) {
	if !p.loaded[m.id] {
		p.modules = append(p.modules, m)
	}
	p.loaded[m.id], p.loaded[m.file] = true, true
}

// file reads one file and all that it includes.
func (p *apacheParser) file(name string, depth int) ([]apacheDirective, error) {
	p.files++
	if p.files > maxApacheFiles || depth > maxApacheDepth {
		return nil, fmt.Errorf("%s: %w: more than %d files, or %d within each other", name, errTooLong, maxApacheFiles, maxApacheDepth)
	}
	text, err := p.h.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return p.text(name, text, depth)
}

func (p *apacheParser) text(name string, text []byte, depth int) ([]apacheDirective, error) {
	if p.bytes += len(text); p.bytes > maxApacheBytes {
		return nil, fmt.Errorf("%s: %w: more than %d MiB", name, errTooLong, maxApacheBytes>>20)
	}
	r := &apacheReader{parser: p, lines: apacheLines(name, string(text))}
	body, err := r.until("", depth)
	if err != nil {
		return nil, err
	}
	return body, nil
}

// apacheLines joins continued lines and leaves out what is empty or a comment.
func apacheLines(name, text string) []apacheLine {
	var lines []apacheLine
	var joined strings.Builder
	n, first := 0, 0
	for line := range strings.Lines(text) {
		n++
		if first == 0 {
			first = n
		}
		line = strings.TrimRight(line, "\r\n")
		if strings.HasSuffix(line, `\`) && !strings.HasSuffix(line, `\\`) {
			joined.WriteString(line[:len(line)-1])
			continue
		}
		joined.WriteString(line)
		if whole := strings.TrimSpace(joined.String()); whole != "" && whole[0] != '#' {
			lines = append(lines, apacheLine{whole, name + ":" + strconv.Itoa(first)})
		}
		joined.Reset()
		first = 0
	}
	if whole := strings.TrimSpace(joined.String()); whole != "" && whole[0] != '#' {
		lines = append(lines, apacheLine{whole, name + ":" + strconv.Itoa(first)})
	}
	return lines
}

// apacheReader stands at one of the lines of a file.
type apacheReader struct {
	parser *apacheParser
	lines  []apacheLine
	at     int
}

// until reads directives up to the end of the section, or of the file when section is empty.
func (r *apacheReader) until(section string, depth int) ([]apacheDirective, error) {
	if depth > maxApacheDepth {
		return nil, fmt.Errorf("more than %d sections or files within each other", maxApacheDepth)
	}
	var body []apacheDirective
	for r.at < len(r.lines) {
		line := r.lines[r.at]
		r.at++
		if name, ok := strings.CutPrefix(line.text, "</"); ok {
			if !strings.EqualFold(strings.TrimSpace(strings.TrimSuffix(name, ">")), section) {
				return nil, fmt.Errorf("%s: %s ends no section", line.origin, line.text)
			}
			return body, nil
		}
		more, err := r.line(line, depth)
		if err != nil {
			return nil, err
		}
		body = append(body, more...)
	}
	if section != "" {
		return nil, fmt.Errorf("section %s is not closed", section)
	}
	return body, nil
}

// line reads one directive or section; what it includes or decides comes back in its place.
func (r *apacheReader) line(line apacheLine, depth int) ([]apacheDirective, error) {
	p := r.parser
	if p.directives++; p.directives > maxApacheDirectives {
		return nil, fmt.Errorf("%s: %w: more than %d directives", line.origin, errTooLong, maxApacheDirectives)
	}
	text, isSection := strings.CutPrefix(line.text, "<")
	name, raw, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
	name = strings.ToLower(strings.TrimSuffix(name, ">"))
	raw = p.expand(strings.TrimSpace(raw))
	if !isSection {
		d := apacheDirective{name: name, args: apacheWords(raw), raw: raw, origin: line.origin}
		return r.parser.directive(d, depth)
	}
	raw = strings.TrimSpace(strings.TrimSuffix(raw, ">"))
	d := apacheDirective{name: name, args: apacheWords(raw), raw: raw, origin: line.origin}
	switch name {
	case "ifmodule", "ifdefine", "ifversion", "iffile", "ifdirective", "ifsection":
		holds, err := p.holds(d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line.origin, err)
		}
		if !holds {
			_, err := r.soak(name)
			return nil, err
		}
		return r.until(name, depth+1)
	case "macro":
		if p.inFolder {
			return nil, fmt.Errorf("%s: a macro cannot stand here", line.origin)
		}
		lines, err := r.soak(name)
		if err == nil && len(d.args) > 0 {
			p.macros[strings.ToLower(d.args[0])] = apacheMacro{d.args[1:], lines}
		}
		return nil, err
	}
	body, err := r.until(name, depth+1)
	d.body = body
	d.aim()
	return []apacheDirective{d}, err
}

// soak passes over a section and returns its lines.
func (r *apacheReader) soak(section string) ([]apacheLine, error) {
	start, open := r.at, 1
	for r.at < len(r.lines) {
		text := strings.ToLower(r.lines[r.at].text)
		r.at++
		if name, ok := strings.CutPrefix(text, "</"); ok && strings.TrimSpace(strings.TrimSuffix(name, ">")) == section {
			if open--; open == 0 {
				return r.lines[start : r.at-1], nil
			}
		} else if rest, ok := strings.CutPrefix(text, "<"+section); ok && (rest == "" || strings.ContainsAny(rest[:1], " \t>")) {
			open++
		}
	}
	return nil, fmt.Errorf("section %s is not closed", section)
}

// directive carries out what Apache does while it reads.
func (p *apacheParser) directive(d apacheDirective, depth int) ([]apacheDirective, error) {
	arg := func(i int) string {
		if i < len(d.args) {
			return d.args[i]
		}
		return ""
	}
	if p.inFolder {
		return []apacheDirective{d}, nil
	}
	switch d.name {
	case "include", "includeoptional":
		return p.include(arg(0), d.name == "includeoptional", d.origin, depth)
	case "serverroot":
		p.root = path.Clean("/" + arg(0))
	case "define":
		p.defined[arg(0)] = true
		if len(d.args) > 1 {
			p.vars[arg(0)] = arg(1)
		}
	case "undefine":
		delete(p.defined, arg(0))
		delete(p.vars, arg(0))
	case "loadmodule":
		p.load(apacheModule{id: arg(0), file: apacheSource(arg(0)), origin: d.origin})
	case "use":
		return p.use(d, depth)
	}
	return []apacheDirective{d}, nil
}

// include reads what an Include names: a file, a folder with all below it, or a pattern.
func (p *apacheParser) include(pattern string, optional bool, origin string, depth int) ([]apacheDirective, error) {
	if !path.IsAbs(pattern) {
		pattern = path.Join(p.root, pattern)
	}
	names, err := p.h.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: include %s: %w", origin, pattern, err)
	}
	if len(names) == 0 && !optional {
		return nil, fmt.Errorf("%s: include %s: there is nothing", origin, pattern)
	}
	var all []apacheDirective
	for _, name := range names {
		more, err := p.included(name, depth+1)
		if errors.Is(err, fs.ErrNotExist) && optional {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

func (p *apacheParser) included(name string, depth int) ([]apacheDirective, error) {
	info, err := p.h.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return p.file(name, depth)
	}
	if depth > maxApacheDepth {
		return nil, fmt.Errorf("%s: more than %d folders within each other", name, maxApacheDepth)
	}
	entries, err := p.h.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var all []apacheDirective
	for _, e := range entries {
		more, err := p.included(path.Join(name, e.Name()), depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// use puts a macro's lines in place (mod_macro).
func (p *apacheParser) use(d apacheDirective, depth int) ([]apacheDirective, error) {
	if len(d.args) == 0 {
		return nil, fmt.Errorf("%s: Use names no macro", d.origin)
	}
	macro, ok := p.macros[strings.ToLower(d.args[0])]
	if !ok || len(macro.params) != len(d.args)-1 {
		return nil, fmt.Errorf("%s: there is no macro %s with %d parameters", d.origin, d.args[0], len(d.args)-1)
	}
	order := make([]int, len(macro.params))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return len(macro.params[b]) - len(macro.params[a]) })
	var pairs []string
	for _, i := range order {
		if macro.params[i] != "" {
			pairs = append(pairs, macro.params[i], d.args[i+1])
		}
	}
	replace := strings.NewReplacer(pairs...)
	lines := make([]apacheLine, len(macro.lines))
	for i, line := range macro.lines {
		lines[i] = apacheLine{replace.Replace(line.text), d.origin}
		if p.bytes += len(lines[i].text); p.bytes > maxApacheBytes {
			return nil, fmt.Errorf("%s: the macro makes more than %d MiB", d.origin, maxApacheBytes>>20)
		}
	}
	return (&apacheReader{parser: p, lines: lines}).until("", depth+1)
}

// expand replaces ${NAME}; what is not set stays as it is, as in Apache.
func (p *apacheParser) expand(text string) string {
	var b strings.Builder
	for {
		start := strings.Index(text, "${")
		if start < 0 {
			break
		}
		end := strings.IndexByte(text[start:], '}')
		if end < 0 {
			break
		}
		value, ok := p.vars[text[start+2:start+end]]
		if !ok {
			value = text[start : start+end+1]
		}
		b.WriteString(text[:start] + value)
		text = text[start+end+1:]
	}
	return b.String() + text
}
