package fail2ban

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// definition is a file of filter.d or action.d with the options that a jail gives it.
type definition struct {
	parser  *parser
	wanted  []option
	given   *dict // from the jail's name[option=value], then what [Init] says
	vars    *dict // the jail's options and the given ones: they win over the file's
	options *dict
	cache   map[string]*string
}

// option is an option of [Definition] or of a jail and its type: "string", "int" or "bool".
type option struct{ kind, name string }

// filterOptions are those that fail2ban reads from a filter.
func filterOptions() []option {
	return []option{
		{"string", "usedns"}, {"string", "prefregex"}, {"string", "ignoreregex"}, {"string", "failregex"},
		{"int", "maxlines"}, {"string", "datepattern"}, {"string", "journalmatch"},
	}
}

// actionOptions are those that fail2ban reads from an action.
func actionOptions() []option {
	return []option{
		{"string", "actionstart"}, {"bool", "actionstart_on_demand"}, {"string", "actionstop"}, {"string", "actionflush"},
		{"string", "actionreload"}, {"string", "actioncheck"}, {"string", "actionrepair"}, {"bool", "actionrepair_on_unban"},
		{"string", "actionban"}, {"string", "actionprolong"}, {"string", "actionreban"}, {"string", "actionunban"},
		{"bool", "norestored"},
	}
}

// define reads a file of filter.d or action.d.
func (c *Config) define(folder, name string, given *dict, wanted []option) (*definition, error) {
	file := path.Join(folder, name)
	p, ok := c.parsers[file]
	if !ok {
		var err error
		if p, err = c.read(file); err != nil {
			return nil, err
		}
		c.parsers[file] = p
	}
	return &definition{parser: p, wanted: wanted, given: given.clone(), cache: map[string]*string{}}, nil
}

// logtype says what kind of lines a filter meets when neither the jail nor the filter says so: those of a file or of the journal.
func (d *definition) logtype(backend string) {
	if v, _ := d.given.get("logtype"); v != "" || d.parser.hasOption("Definition", "logtype") {
		return
	}
	value := "file"
	if strings.HasPrefix(backend, "systemd") {
		value = "journal"
	}
	d.given.set("logtype", value)
}

// load reads the options, below those of the jail; with all, every option of [Definition] and not only those that are wanted.
func (d *definition) load(jail *dict, all bool) error {
	d.vars = jail.merged(d.given)
	d.options = newDict()
	for _, o := range d.wanted {
		if d.vars.has(o.name) {
			continue
		}
		v, err := d.parser.get("Definition", o.name, d.vars)
		switch {
		case err == nil:
			d.options.set(o.name, v)
		case !errors.Is(err, errNoOption) && !errors.Is(err, errNoSection):
			return err
		}
	}
	if err := d.init(); err != nil {
		return err
	}
	if !all {
		return nil
	}
	for _, name := range d.parser.sections["Definition"].names() {
		if d.options.has(name) {
			continue
		}
		v, err := d.parser.get("Definition", name, nil)
		if err != nil {
			return err
		}
		d.options.set(name, v)
	}
	return nil
}

// init takes the options of [Init]: each is known/NAME, and NAME when the jail gave none.
func (d *definition) init() error {
	for _, name := range d.parser.sections["Init"].names() {
		known := strings.HasPrefix(name, "known/")
		if known && d.given.has(name) {
			continue
		}
		v, err := d.parser.get("Init", name, nil)
		if err != nil {
			return err
		}
		if !known {
			d.given.set("known/"+name, v)
		}
		if !d.given.has(name) {
			d.given.set(name, v)
		}
	}
	return nil
}

// combined is every option with its tags filled in.
func (d *definition) combined(ignored ...string) (*dict, error) {
	options := d.options.merged(d.given)
	ignore := map[string]bool{}
	for _, name := range ignored {
		ignore[name] = true
	}
	for _, name := range options.keys {
		if m := conditional.FindStringSubmatch(name); m != nil {
			ignore[m[1]] = true
		}
	}
	filled, err := fillTags(options, ignore, d.other)
	if err != nil {
		return nil, err
	}
	convert(filled, d.wanted)
	return filled, nil
}

// other is an option that is filled into a tag and is none of those that are wanted. What it was the first time, it stays.
func (d *definition) other(name string) (string, bool, error) {
	known, ok := d.cache[name]
	if !ok {
		v, err := d.parser.getAny("Definition", name, d.vars)
		switch {
		case err == nil:
			known = &v
		case !errors.Is(err, errNoOption) && !errors.Is(err, errNoSection):
			return "", false, fmt.Errorf("<%s>: %w", name, err)
		}
		d.cache[name] = known
	}
	if known == nil {
		return "", false, nil
	}
	return *known, true, nil
}

// convert writes numbers and truth values as Python does; what is neither is taken out, as fail2ban takes its default.
func convert(options *dict, wanted []option) []string {
	var wrong []string
	for _, o := range wanted {
		v, ok := options.get(o.name)
		if !ok {
			continue
		}
		switch o.kind {
		case "bool":
			options.set(o.name, pythonBool(truth(v)))
		case "int":
			n, err := strconv.Atoi(trim(v))
			if err != nil {
				wrong = append(wrong, o.name)
				options.remove(o.name)
				continue
			}
			options.set(o.name, strconv.Itoa(n))
		}
	}
	return wrong
}

// truth is what fail2ban takes for yes.
func truth(v string) bool {
	switch strings.ToLower(v) {
	case "1", "on", "true", "yes":
		return true
	}
	return false
}

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// filterOptions are the options of a filter that stands in no jail: those given win, and lines are those of a file unless they say
// otherwise.
func (c *Config) filterOptions(name string, given map[string]string) (*dict, error) {
	options := newDict()
	for _, k := range slices.Sorted(maps.Keys(given)) {
		options.set(k, given[k])
	}
	d, err := c.define("filter.d", name, options, filterOptions())
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	d.logtype("")
	if err := d.load(newDict(), false); err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	filled, err := d.combined()
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	return filled, nil
}
