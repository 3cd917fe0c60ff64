package facts

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Bounds of one nginx configuration, with all that it includes.
const (
	maxNginxFiles      = 5_000
	maxNginxBytes      = 64 << 20
	maxNginxDirectives = 200_000
	maxNginxDepth      = 64
)

// nginxDirective is one directive with its block, if it has one.
type nginxDirective struct {
	name   string
	args   []string
	body   []nginxDirective
	block  bool
	origin string
}

// nginxParser reads files with all that they include, in place.
type nginxParser struct {
	h          *Host
	prefix     string // of relative names: the main file's folder
	files      []string
	bytes      int
	directives int
}

func (p *nginxParser) file(name string, depth int) ([]nginxDirective, error) {
	if len(p.files) >= maxNginxFiles || depth > maxNginxDepth {
		return nil, fmt.Errorf("%s: more than %d files, or %d within each other", name, maxNginxFiles, maxNginxDepth)
	}
	p.files = append(p.files, name)
	text, err := p.h.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return p.text(name, string(text), depth)
}

func (p *nginxParser) text(name, text string, depth int) ([]nginxDirective, error) {
	if p.bytes += len(text); p.bytes > maxNginxBytes {
		return nil, fmt.Errorf("%s: the configuration is longer than %d MiB", name, maxNginxBytes>>20)
	}
	r := &nginxReader{parser: p, name: name, text: text, line: 1}
	return r.block(depth, false)
}

// nginxReader stands somewhere in one file.
type nginxReader struct {
	parser *nginxParser
	name   string
	text   string
	at     int
	line   int
}

// block reads directives up to the brace that closes the block, or to the end of the file.
func (r *nginxReader) block(depth int, inner bool) ([]nginxDirective, error) {
	if depth > maxNginxDepth {
		return nil, fmt.Errorf("%s:%d: more than %d blocks or files within each other", r.name, r.line, maxNginxDepth)
	}
	var body []nginxDirective
	var words []string
	origin := ""
	for {
		word, kind := r.next()
		if len(words) == 0 {
			origin = r.name + ":" + strconv.Itoa(r.line)
		}
		switch kind {
		case nginxWord:
			words = append(words, word)
			continue
		case nginxEnd:
			if inner || len(words) > 0 {
				return nil, fmt.Errorf("%s: it ends within %q", r.name, strings.Join(words, " "))
			}
			return body, nil
		case nginxClose:
			if !inner || len(words) > 0 {
				return nil, fmt.Errorf("%s:%d: a brace closes nothing", r.name, r.line)
			}
			return body, nil
		}
		if len(words) == 0 {
			return nil, fmt.Errorf("%s:%d: a directive has no name", r.name, r.line)
		}
		more, err := r.directive(nginxDirective{name: words[0], args: words[1:], block: kind == nginxOpen, origin: origin}, depth)
		if err != nil {
			return nil, err
		}
		body = append(body, more...)
		words = nil
	}
}

func (r *nginxReader) directive(d nginxDirective, depth int) ([]nginxDirective, error) {
	p := r.parser
	if p.directives++; p.directives > maxNginxDirectives {
		return nil, fmt.Errorf("%s: more than %d directives", d.origin, maxNginxDirectives)
	}
	switch {
	case d.block && strings.HasSuffix(d.name, "_by_lua_block"):
		return []nginxDirective{d}, r.skipBlock()
	case d.block:
		var err error
		d.body, err = r.block(depth+1, true)
		return []nginxDirective{d}, err
	case d.name == "include" && len(d.args) == 1:
		return p.include(d, depth)
	}
	return []nginxDirective{d}, nil
}

// include reads what the pattern names; without wildcards the file has to be there.
func (p *nginxParser) include(d nginxDirective, depth int) ([]nginxDirective, error) {
	pattern := d.args[0]
	if !path.IsAbs(pattern) {
		pattern = path.Join(p.prefix, pattern)
	}
	names := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		var err error
		if names, err = p.h.Glob(pattern); err != nil {
			return nil, fmt.Errorf("%s: %w", d.origin, err)
		}
	}
	var all []nginxDirective
	for _, name := range names {
		more, err := p.file(name, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: include: %w", d.origin, err)
		}
		all = append(all, more...)
	}
	return all, nil
}

// skipBlock passes over a block of another language, whose braces are balanced.
func (r *nginxReader) skipBlock() error {
	for open := 1; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '\n':
			r.line++
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				r.at++
				return nil
			}
		}
	}
	return fmt.Errorf("%s: a block is not closed", r.name)
}

type nginxToken int

const (
	nginxEnd nginxToken = iota
	nginxWord
	nginxSemicolon
	nginxOpen
	nginxClose
)

// next reads one token: a word, quoted or not, or a mark.
func (r *nginxReader) next() (string, nginxToken) {
	for r.at < len(r.text) {
		switch c := r.text[r.at]; c {
		case '\n':
			r.line++
			r.at++
		case ' ', '\t', '\r':
			r.at++
		case '#':
			end := strings.IndexByte(r.text[r.at:], '\n')
			if end < 0 {
				end = len(r.text) - r.at
			}
			r.at += end
		case ';', '{', '}':
			r.at++
			return "", map[byte]nginxToken{';': nginxSemicolon, '{': nginxOpen, '}': nginxClose}[c]
		case '"', '\'':
			r.at++
			return r.quoted(c), nginxWord
		default:
			return r.word(), nginxWord
		}
	}
	return "", nginxEnd
}

func (r *nginxReader) quoted(quote byte) string {
	var b strings.Builder
	for ; r.at < len(r.text); r.at++ {
		c := r.text[r.at]
		if c == '\n' {
			r.line++
		}
		if c == quote {
			r.at++
			break
		}
		if c == '\\' && r.at+1 < len(r.text) {
			r.at++
			switch e := r.text[r.at]; e {
			case '"', '\'', '\\':
				c = e
			case 't':
				c = '\t'
			case 'r':
				c = '\r'
			case 'n':
				c = '\n'
			default:
				b.WriteByte('\\')
				c = e
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// word reads up to a blank or a mark. The brace of a variable, ${name}, is part of the word.
func (r *nginxReader) word() string {
	start := r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		if c == '\\' && r.at+1 < len(r.text) {
			if r.text[r.at+1] == '\n' {
				r.line++
			}
			r.at += 2
			continue
		}
		if c == '{' && r.at > start && r.text[r.at-1] == '$' {
			if end := strings.IndexByte(r.text[r.at:], '}'); end > 0 {
				r.line += strings.Count(r.text[r.at:r.at+end], "\n")
				r.at += end + 1
				continue
			}
		}
		if strings.IndexByte(" \t\r\n;{", c) >= 0 {
			break
		}
		r.at++
	}
	return r.text[start:r.at]
}
