package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Bounds of fail2ban's configuration.
const (
	maxIniOptions  = 50_000
	maxIniIncludes = 500
	maxIniValue    = 1 << 20 // bytes of a value with all its references
	maxIniFills    = 100_000 // references that are followed in all; Debian's jails take some thousands
)

// iniSection is the options of a section by lower-case name.
type iniSection map[string]Setting

// ini is fail2ban's configuration of one kind, as its own readers merge it: Python's configparser with includes, where what a
// later file replaces stays known as %(known/NAME)s.
type ini struct {
	h        *Host
	defaults iniSection
	sections map[string]iniSection
	known    map[string]iniSection
	order    []string // sections, as they first appear
	options  int
	includes int
	fills    int
	files    map[string]iniFile // read before
}

// iniFile is one file before it is merged.
type iniFile struct {
	defaults iniSection
	sections map[string]iniSection
	order    []string
}

// readIni reads BASE.conf, BASE.d/*.conf, BASE.local and BASE.d/*.local, in that order, each with what it includes.
func readIni(h *Host, base string) (*ini, error) {
	c := &ini{h: h, defaults: iniSection{}, sections: map[string]iniSection{}, known: map[string]iniSection{}, files: map[string]iniFile{}}
	var names []string
	for _, ending := range []string{".conf", ".local"} {
		if h.Exists(base + ending) {
			names = append(names, base+ending)
		}
		more, err := h.Glob(base + ".d/*" + ending)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	if len(names) == 0 {
		return nil, &fs.PathError{Op: "read", Path: base + ".conf", Err: fs.ErrNotExist}
	}
	all, err := c.expand(names, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range all {
		if err := c.merge(name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// expand puts the included files around each file: before and after. A .local beside a file follows it.
func (c *ini) expand(names, seen []string) (all []string, err error) {
	var with []string
	for _, name := range names {
		with = append(with, name)
		local := strings.TrimSuffix(name, path.Ext(name)) + ".local"
		if !slices.Contains(names, local) && c.h.Look(local) != "" {
			with = append(with, local)
		}
	}
	for _, name := range with {
		if c.includes++; c.includes > maxIniIncludes || len(seen) > 20 {
			return nil, fmt.Errorf("%s: more than %d files, or files include each other too deep", name, maxIniIncludes)
		}
		f, err := c.file(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // fail2ban does without
		}
		if err != nil {
			return nil, err
		}
		around := map[string][]string{}
		for _, when := range []string{"before", "after"} {
			for _, other := range strings.Split(f.sections["INCLUDES"][when].Value, "\n") {
				if other == "" {
					continue
				}
				if !path.IsAbs(other) {
					other = path.Join(path.Dir(name), other)
				}
				if slices.Contains(seen, other) {
					continue
				}
				more, err := c.expand([]string{other}, append(slices.Clone(seen), name))
				if err != nil {
					return nil, err
				}
				around[when] = append(around[when], more...)
			}
		}
		all = append(append(append(all, around["before"]...), name), around["after"]...)
	}
	return all, nil
}

func (c *ini) file(name string) (iniFile, error) {
	if f, ok := c.files[name]; ok {
		return f, nil
	}
	text, err := c.h.ReadFile(name)
	if err != nil {
		return iniFile{}, err
	}
	f, options, err := parseIni(string(text), name)
	if err != nil {
		return f, err
	}
	if c.options += options; c.options > maxIniOptions {
		return f, fmt.Errorf("%s: more than %d options", name, maxIniOptions)
	}
	c.files[name] = f
	return f, nil
}

var iniConditional = regexp.MustCompile(`^(\w+)(\?.+)$`)

func (c *ini) merge(name string) error {
	f, err := c.file(name)
	if err != nil {
		return err
	}
	maps.Copy(c.defaults, f.defaults)
	for _, section := range f.order {
		options := f.sections[section]
		if m := iniConditional.FindStringSubmatch(section); m != nil {
			section = m[1]
			conditional := iniSection{}
			for key, value := range options {
				conditional[key+m[2]] = value
			}
			options = conditional
		}
		old := c.sections[section]
		if old == nil {
			c.sections[section] = maps.Clone(options)
			c.order = append(c.order, section)
			continue
		}
		if c.known[section] == nil {
			c.known[section] = iniSection{}
		}
		for key := range options {
			if before, ok := old[key]; ok {
				c.known[section][key] = before
			}
		}
		maps.Copy(old, options)
	}
	return nil
}

// parseIni reads one file as Python's configparser does: "#" and ";" begin comments, ";" behind a space also within a line, and a line
// that is deeper than its option goes on with it. What configparser refuses is an error.
func parseIni(text, name string) (iniFile, int, error) {
	f := iniFile{defaults: iniSection{}, sections: map[string]iniSection{}}
	var section iniSection
	option, indent, number, options := "", 0, 0, 0
	lines := map[string]*strings.Builder{} // of the section
	flush := func() {
		for key, value := range lines {
			section[key] = Setting{strings.TrimRight(value.String(), " \t\n\r"), section[key].Origin}
		}
		clear(lines)
	}
	for line := range strings.SplitSeq(text, "\n") {
		number++
		value, comment := iniValue(line)
		if value == "" {
			if !comment && option != "" {
				lines[option].WriteByte('\n')
			}
			continue
		}
		deep := len(line) - len(strings.TrimLeft(line, " \t\r\f\v"))
		if option != "" && deep > indent {
			lines[option].WriteString("\n" + value)
			continue
		}
		indent = deep
		if end := strings.LastIndexByte(value, ']'); value[0] == '[' && end > 1 {
			flush()
			option = ""
			if section = f.begin(value[1:end]); section == nil {
				return f, 0, fmt.Errorf("%s:%d: section %q is there twice", name, number, value[1:end])
			}
			continue
		}
		at := strings.IndexAny(value, "=:")
		if section == nil || at < 0 {
			return f, 0, fmt.Errorf("%s:%d: neither a section nor an option", name, number)
		}
		option = strings.ToLower(strings.TrimSpace(value[:at]))
		if old, twice := section[option]; twice && lines[option] != nil {
			return f, 0, fmt.Errorf("%s:%d: option %q is there twice, first at %s", name, number, option, old.Origin)
		}
		if options++; options > maxIniOptions {
			return f, 0, fmt.Errorf("%s: more than %d options", name, maxIniOptions)
		}
		section[option] = Setting{Origin: fmt.Sprintf("%s:%d", name, number)}
		lines[option] = &strings.Builder{}
		lines[option].WriteString(strings.TrimSpace(value[at+1:]))
	}
	if section != nil {
		flush()
	}
	return f, options, nil
}

// begin makes the section of a header; nil when it is there already.
func (f *iniFile) begin(header string) iniSection {
	if header == "DEFAULT" {
		return f.defaults
	}
	if f.sections[header] != nil {
		return nil
	}
	f.sections[header] = iniSection{}
	f.order = append(f.order, header)
	return f.sections[header]
}

// iniValue is a line without its comment and the spaces around it.
func iniValue(line string) (value string, comment bool) {
	trimmed := strings.TrimSpace(line)
	if strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
		return "", true
	}
	for i := 1; i < len(line); i++ {
		if line[i] == ';' && (line[i-1] == ' ' || line[i-1] == '\t') {
			return strings.TrimSpace(line[:i]), true
		}
	}
	return trimmed, false
}

var (
	iniReference = regexp.MustCompile(`%(%|\(([^)]+)\)s)`)
	iniOther     = regexp.MustCompile(`^([\w\-]+)/([^)]+)$`)
)

// get is an option with its references filled in, and where it is set. ok is false where it is not set or refers to nothing.
func (c *ini) get(section, option string) (Setting, bool) {
	raw, ok := c.raw(section, option)
	if !ok {
		return raw, false
	}
	value, ok := c.fill(section, raw.Value, 0)
	return Setting{value, raw.Origin}, ok
}

func (c *ini) raw(section, option string) (Setting, bool) {
	if s, ok := c.sections[section][option]; ok {
		return s, true
	}
	s, ok := c.defaults[option]
	return s, ok
}

// fill replaces %(NAME)s, %(SECTION/NAME)s and %(known/NAME)s, at most ten deep like configparser.
func (c *ini) fill(section, value string, depth int) (string, bool) {
	if depth > 10 || len(value) > maxIniValue {
		return "", false
	}
	whole, size := true, len(value)
	filled := iniReference.ReplaceAllStringFunc(value, func(reference string) string {
		if reference == "%%" {
			return "%"
		}
		if c.fills++; !whole || size > maxIniValue || c.fills > maxIniFills {
			whole = false
			return ""
		}
		name := strings.ToLower(reference[2 : len(reference)-2])
		var s Setting
		ok := true
		if name == "__name__" {
			s.Value = section
		} else if s, ok = c.raw(section, name); !ok {
			s, ok = c.elsewhere(section, reference[2:len(reference)-2])
		}
		text := ""
		if ok {
			text, ok = c.fill(section, s.Value, depth+1)
		}
		whole = whole && ok
		size += len(text)
		return text
	})
	return filled, whole && size <= maxIniValue
}

// elsewhere finds SECTION/NAME; "known" is the value that a later file has replaced, "default" the defaults.
func (c *ini) elsewhere(section, name string) (Setting, bool) {
	m := iniOther.FindStringSubmatch(name)
	if m == nil {
		return Setting{}, false
	}
	of, option := c.sections[m[1]], strings.ToLower(m[2])
	switch strings.ToLower(m[1]) {
	case "known":
		of = c.known[section]
	case "default":
		of = nil
	default:
		if of == nil {
			return Setting{}, false
		}
	}
	if s, ok := of[option]; ok {
		return s, true
	}
	s, ok := c.defaults[option]
	return s, ok
}
