package facts

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	maxAsteriskFiles = 500
	maxAsteriskDepth = 10
	maxAsteriskLines = 500_000 // of all files of one configuration
	maxAsteriskKeys  = 200     // of one section, with what it inherits
	maxAsteriskAll   = 300_000 // keys of all sections, with what they inherit
)

// asteriskKey is one line of a section.
type asteriskKey struct {
	key, value, origin string
	inherited          bool // from a template
}

// asteriskSection is one [section], with what its templates gave it.
type asteriskSection struct {
	name     string
	template bool
	keys     []asteriskKey
	origin   string
}

// get is the value that counts: the last one.
func (s asteriskSection) get(key string) string {
	for _, k := range slices.Backward(s.keys) {
		if k.key == key {
			return k.value
		}
	}
	return ""
}

// asteriskReader reads a configuration file as Asterisk does, with its templates and what it includes.
type asteriskReader struct {
	h        *Host
	sections []asteriskSection
	byName   map[string]int // the last section of a name
	current  int
	comment  bool // within ;-- --;
	files    int
	lines    int
	keys     int
	lost     []string
}

func newAsteriskReader(h *Host) *asteriskReader {
	return &asteriskReader{h: h, byName: map[string]int{}, current: -1}
}

func (r *asteriskReader) file(name string, depth int) {
	if r.files++; r.files > maxAsteriskFiles || depth > maxAsteriskDepth {
		r.lost = append(r.lost, name+": too many files include each other")
		return
	}
	text, err := r.h.ReadFile(name)
	if err != nil {
		r.lost = append(r.lost, because(err))
		return
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if r.lines++; r.lines > maxAsteriskLines || r.keys > maxAsteriskAll {
			r.lost = append(r.lost, name+": too many lines, or too many that templates repeat")
			return
		}
		r.line(strings.TrimSpace(r.uncomment(line)), name, fmt.Sprintf("%s:%d", name, n), depth)
	}
}

// uncomment takes comments off a line: ; to its end, and ;-- to --; over several lines.
func (r *asteriskReader) uncomment(line string) string {
	if r.comment {
		_, rest, ended := strings.Cut(line, "--;")
		if !ended {
			return ""
		}
		r.comment, line = false, rest
	}
	var kept strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && line[i+1] == ';':
			i++
			kept.WriteByte(';')
		case strings.HasPrefix(line[i:], ";--") && !strings.HasPrefix(line[i:], ";---"):
			_, rest, ended := strings.Cut(line[i+3:], "--;")
			if !ended {
				r.comment = true
				return kept.String()
			}
			line, i = rest, -1
		case line[i] == ';':
			return kept.String()
		default:
			kept.WriteByte(line[i])
		}
	}
	return kept.String()
}

func (r *asteriskReader) line(line, file, origin string, depth int) {
	switch {
	case line == "":
	case line[0] == '#':
		r.directive(line, file, depth)
	case line[0] == '[':
		name, rest, ok := strings.Cut(line[1:], "]")
		if !ok {
			r.lost = append(r.lost, origin+": a section without an end")
			return
		}
		r.section(strings.TrimSpace(name), strings.TrimSpace(rest), origin)
	case r.current >= 0:
		key, value, ok := strings.Cut(line, "=")
		s := &r.sections[r.current]
		if !ok || len(s.keys) >= maxAsteriskKeys {
			return
		}
		value = strings.TrimSpace(strings.TrimPrefix(value, ">"))
		r.keys++
		s.keys = append(s.keys, asteriskKey{strings.ToLower(strings.TrimSpace(key)), value, origin, false})
	}
}

// directive follows #include and #tryinclude. What #exec would print cannot be known without running it.
func (r *asteriskReader) directive(line, file string, depth int) {
	key, value, _ := strings.Cut(line, " ")
	value = strings.Trim(strings.TrimSpace(value), `"<>`)
	switch key {
	case "#include", "#tryinclude":
		if !path.IsAbs(value) {
			value = path.Join("/etc/asterisk", value)
		}
		names, err := r.h.Glob(value)
		if err != nil {
			r.lost = append(r.lost, because(err))
		}
		if len(names) == 0 && key == "#include" {
			r.lost = append(r.lost, value+" is included and not there")
		}
		for _, name := range names {
			r.file(name, depth+1)
		}
	case "#exec":
		r.lost = append(r.lost, file+": #exec "+value+" is not run")
	}
}

// section begins [name](!,template,+).
func (r *asteriskReader) section(name, options, origin string) {
	s := asteriskSection{name: name, origin: origin}
	add := false
	for option := range strings.SplitSeq(strings.Trim(options, "()"), ",") {
		switch option = strings.Trim(strings.TrimSpace(option), "()"); option {
		case "":
		case "!":
			s.template = true
		case "+":
			add = true
		default:
			if at, ok := r.byName[option]; ok {
				inherited := r.sections[at].keys
				inherited = inherited[:min(len(inherited), maxAsteriskKeys-len(s.keys))]
				for _, k := range inherited {
					k.inherited = true
					s.keys = append(s.keys, k)
				}
				r.keys += len(inherited)
			} else {
				r.lost = append(r.lost, origin+": there is no template "+option)
			}
		}
	}
	if at, ok := r.byName[name]; ok && add {
		r.current = at
		return
	}
	r.sections = append(r.sections, s)
	r.current = len(r.sections) - 1
	r.byName[name] = r.current
}
