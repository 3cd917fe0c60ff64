package fail2ban

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// version is the release of fail2ban that is followed here; its configuration may ask for it.
const version = "1.0.2"

// jailOptionNames are the options of a jail and their types.
func jailOptionNames() []option {
	return append([]option{
		{"bool", "enabled"}, {"string", "backend"}, {"int", "maxretry"}, {"int", "maxmatches"}, {"string", "findtime"},
		{"string", "bantime"}, {"bool", "bantime.increment"}, {"string", "bantime.factor"}, {"string", "bantime.formula"},
		{"string", "bantime.multipliers"}, {"string", "bantime.maxtime"}, {"string", "bantime.rndtime"},
		{"bool", "bantime.overalljails"}, {"string", "ignorecommand"}, {"bool", "ignoreself"}, {"string", "ignoreip"},
		{"string", "ignorecache"}, {"string", "filter"}, {"string", "logtimezone"}, {"string", "logencoding"},
		{"string", "logpath"}, {"string", "action"},
	}, filterOptions()...)
}

// rawJail is a jail as text: its own options, its filter's and its actions'.
type rawJail struct {
	name    string
	options *dict
	wrong   []string // options that are not of their type
	filter  string   // the name of the filter
	fopts   *dict    // the filter's options, all filled in
	actions []rawAction
}

// rawAction is an action as text. A .py action has no options but the given ones.
type rawAction struct {
	file    string
	given   *dict // from the jail, then [Init]
	options *dict // all filled in; nil for a .py action
	own     *dict // a .py action's parameters
}

// enabled tells what a jail says of itself.
func (j *rawJail) enabled() bool {
	v, _ := j.options.get("enabled")
	return truth(v)
}

// jails reads jail.conf and what belongs to it.
func (c *Config) jails() (*parser, []string, error) {
	p, err := c.read("jail")
	if err != nil {
		return nil, nil, err
	}
	p.defaults.set("fail2ban_version", version)
	p.defaults.set("fail2ban_confpath", c.dir)
	var names []string
	for _, name := range p.names() {
		if name != "INCLUDES" {
			names = append(names, name)
		}
	}
	return p, names, nil
}

// jailOptions reads options of a jail, with defaults for some.
func jailOptions(p *parser, name string, wanted []option, defaults map[string]string) (*dict, []string, error) {
	d := newDict()
	for _, o := range wanted {
		v, err := p.get(name, o.name, nil)
		switch {
		case err == nil:
			d.set(o.name, v)
		case !errors.Is(err, errNoOption):
			return nil, nil, err
		default:
			if v, ok := defaults[o.name]; ok {
				d.set(o.name, v)
			}
		}
	}
	return d, convert(d, wanted), nil
}

// readJail reads a jail with its filter and its actions. When it is not enabled and force is false, only its first options are read.
func (c *Config) readJail(p *parser, name string, force bool) (*rawJail, error) {
	defaults := map[string]string{"enabled": "False", "backend": "auto", "filter": "", "action": ""}
	first, _, err := jailOptions(p, name, []option{{"bool", "enabled"}, {"string", "backend"}, {"string", "filter"}}, defaults)
	if err != nil {
		return nil, err
	}
	j := &rawJail{name: name, options: first}
	if !j.enabled() && !force {
		return j, nil
	}
	var filter *definition
	if text, _ := first.get("filter"); text != "" {
		if filter, err = c.jailFilter(p, j, text); err != nil {
			return nil, err
		}
	}
	if j.options, j.wrong, err = jailOptions(p, name, jailOptionNames(), defaults); err != nil {
		return nil, err
	}
	if filter != nil {
		if err := filter.load(j.options, false); err != nil {
			return nil, fmt.Errorf("filter %s: %w", j.filter, err)
		}
		if j.fopts, err = filter.combined(); err != nil {
			return nil, fmt.Errorf("filter %s: %w", j.filter, err)
		}
	}
	text, _ := j.options.get("action")
	for _, action := range splitNamed(text) {
		a, err := c.jailAction(j, action)
		if err != nil {
			return nil, fmt.Errorf("action %.60q: %w", action, err)
		}
		j.actions = append(j.actions, a)
	}
	return j, nil
}

// jailFilter reads the filter of a jail, and makes its options known/NAME in the jail.
func (c *Config) jailFilter(p *parser, j *rawJail, text string) (*definition, error) {
	name, given, err := namedOptions(text)
	if err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	j.filter = name
	filter, err := c.define("filter.d", name, given, filterOptions())
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	backend, _ := j.options.get("backend")
	filter.logtype(backend)
	if err := filter.load(j.options, true); err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	options, err := filter.combined()
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	section := p.section(j.name)
	for _, k := range options.keys {
		if !strings.HasPrefix(k, "known/") {
			section.set("known/"+k, options.values[k])
		}
	}
	return filter, nil
}

// jailAction reads one action of a jail.
func (c *Config) jailAction(j *rawJail, text string) (rawAction, error) {
	name, given, err := namedOptions(text)
	if err != nil {
		return rawAction{}, err
	}
	if strings.HasSuffix(name, ".py") {
		return rawAction{file: name, own: given, given: given}, nil
	}
	if !given.has("name") {
		given.set("name", j.name)
	}
	if !given.has("actname") {
		actname := name
		if n, _ := given.get("name"); n != j.name {
			if after, ok := strings.CutPrefix(n, j.name); ok {
				actname += after
			} else {
				actname += "-" + n
			}
		}
		given.set("actname", actname)
	}
	a, err := c.define("action.d", filepath.Base(name), given, actionOptions())
	if err != nil {
		return rawAction{}, err
	}
	if err := a.load(j.options, false); err != nil {
		return rawAction{}, err
	}
	options, err := a.combined("matches", "ipmatches", "ipjailmatches", "timeout", "bantime")
	if err != nil {
		return rawAction{}, err
	}
	return rawAction{file: name, given: a.given, options: options}, nil
}
