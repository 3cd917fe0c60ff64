package fail2ban

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read. Debian's whole tree holds some thousands of options and its longest value has 5 kB.
const (
	maxFile    = 1 << 20 // bytes of one file
	maxFiles   = 1000    // files that one jail, filter or action may name
	maxValue   = 1 << 20 // bytes of a value with its references filled in
	maxFills   = 10_000  // references that are followed for one value
	maxDepth   = 10      // references within references, as Python has it
	maxRepeats = 25      // times that a tag may stand in another, as fail2ban has it
)

// iniFile is one file as Python's ConfigParser reads it, with ";" for comments at the end of a line.
type iniFile struct {
	defaults *dict
	sections map[string]*dict
	order    []string
}

// section is the section of that name, made when it is new.
func (f *iniFile) section(name string) *dict {
	d, ok := f.sections[name]
	if !ok {
		d = newDict()
		f.sections[name] = d
		f.order = append(f.order, name)
	}
	return d
}

// iniReader is where the reading of a file stands.
type iniReader struct {
	file    *iniFile
	current *dict // the section that is read; nil before the first
	name    string
	option  string
	lines   map[string][]string // of the current option and all before it, by section and option
	seen    map[string]bool
	indent  int
}

// parseIni reads the text of one file. A section or an option that is named twice is an error, as in Python's strict mode,
// since fail2ban refuses such a file too.
func parseIni(text string) (*iniFile, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("not valid UTF-8")
	}
	r := &iniReader{
		file:  &iniFile{defaults: newDict(), sections: map[string]*dict{}},
		lines: map[string][]string{}, seen: map[string]bool{},
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	number := 0
	for len(text) > 0 {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		number++
		if err := r.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	r.finish()
	return r.file, nil
}

// commentAt is where the comment of a line starts; len(line) and false when there is none.
func commentAt(line string) (int, bool) {
	if t := trim(line); strings.HasPrefix(t, "#") || strings.HasPrefix(t, ";") {
		return 0, true
	}
	for i := 0; i < len(line); i++ {
		if line[i] != ';' {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(line[:i])
		if i == 0 || isSpace(before) {
			return i, true
		}
	}
	return len(line), false
}

func (r *iniReader) line(line string) error {
	end, comment := commentAt(line)
	value := trim(line[:end])
	if value == "" {
		if !comment && r.option != "" {
			r.append("") // an empty line belongs to the value when more of it follows
		}
		return nil
	}
	indent := utf8.RuneCountInString(line) - utf8.RuneCountInString(strings.TrimLeftFunc(line, isSpace))
	if r.current != nil && r.option != "" && indent > r.indent {
		r.append(value)
		return nil
	}
	r.indent = indent
	if value[0] == '[' {
		if end := strings.LastIndexByte(value, ']'); end > 1 {
			return r.header(value[1:end])
		}
	}
	if r.current == nil {
		return fmt.Errorf("an option before the first [section]")
	}
	return r.newOption(value)
}

func (r *iniReader) header(name string) error {
	r.option = ""
	r.name = name
	if name == "DEFAULT" {
		r.current = r.file.defaults
		return nil
	}
	if _, ok := r.file.sections[name]; ok {
		return fmt.Errorf("section %q stands here a second time", name)
	}
	r.current = r.file.section(name)
	return nil
}

func (r *iniReader) newOption(value string) error {
	at := strings.IndexAny(value, "=:")
	if at < 0 {
		return fmt.Errorf("neither a [section] nor an option: %.60q", value)
	}
	option := strings.ToLower(strings.TrimRightFunc(value[:at], isSpace))
	if option == "" {
		return fmt.Errorf("an option without a name: %.60q", value)
	}
	if key := r.name + "\x00" + option; r.seen[key] {
		return fmt.Errorf("option %q stands a second time in section %q", option, r.name)
	} else {
		r.seen[key] = true
	}
	r.option = option
	r.current.set(option, "")
	r.lines[r.name+"\x00"+option] = []string{trim(value[at+1:])}
	return nil
}

func (r *iniReader) append(line string) {
	key := r.name + "\x00" + r.option
	r.lines[key] = append(r.lines[key], line)
}

// finish joins the lines of each value.
func (r *iniReader) finish() {
	join := func(section string, d *dict) {
		for _, option := range d.keys {
			text := strings.Join(r.lines[section+"\x00"+option], "\n")
			d.values[option] = strings.TrimRightFunc(text, isSpace)
		}
	}
	join("DEFAULT", r.file.defaults)
	for name, d := range r.file.sections {
		join(name, d)
	}
}
