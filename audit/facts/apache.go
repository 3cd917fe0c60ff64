package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Apache is what Apache is configured to do: its files as Apache reads them, in order and with all that they include,
// checked against what the program itself tells (apache2 -t -D DUMP_MODULES -D DUMP_VHOSTS) where it may be run.
type Apache struct {
	Installed bool   `cel:"installed"`
	Config    string `cel:"config"` // the main file
	// Modules are loaded or built in.
	Modules []WebModule `cel:"modules"`
	Listens []WebListen `cel:"listens"`
	// Servers are the virtual hosts, and first what answers outside of them.
	Servers []WebServer `cel:"servers"`
	// Places are the parts of each server to which one set of rules applies.
	Places []WebPlace `cel:"places"`
	User   Setting    `cel:"user"` // as whom it serves
	Group  Setting    `cel:"group"`
	// Trace is TraceEnable of the server outside of virtual hosts, in lower case.
	Trace Setting `cel:"trace"`
	// Checked is whether the program was asked too; under a root whose programs are not run only the files are read.
	Checked bool `cel:"checked"`
}

// WebModule is a module of Apache or of PHP.
type WebModule struct {
	Name    string `cel:"name"` // without _module: ssl, proxy_http; xdebug
	BuiltIn bool   `cel:"built_in"`
	// Unneeded is why it should not be there: it is not in the administrator's list (audit.apache_modules,
	// audit.php_modules), or, where there is no such list, it is a risk and nothing in the configuration uses it. Empty
	// when it may stay.
	Unneeded string `cel:"unneeded"`
	Origin   string `cel:"origin"`
}

// apacheConfig is a configuration that was read.
type apacheConfig struct {
	file, program string
	all           []apacheDirective
	parser        *apacheParser
	checked       bool
	htaccess      map[string][]apacheDirective // of folders; nil: there is none
	patterns      patterns
}

// errNoApache is that Apache is not on the host.
var errNoApache = errors.New("apache is not installed")

func collectApache(ctx context.Context, h *Host, t Target) (Apache, []Missing) {
	a := Apache{Modules: []WebModule{}, Listens: []WebListen{}, Servers: []WebServer{}, Places: []WebPlace{}}
	c, err := readApache(ctx, h, true)
	if errors.Is(err, errNoApache) {
		return a, nil
	}
	if err != nil {
		return a, missing("%s", because(err))
	}
	a.Installed, a.Config, a.Checked = true, c.file, c.checked
	main := apacheMain(c.all)
	a.User, a.Group = lastOf(main, "user", "www-data"), lastOf(main, "group", "www-data")
	a.Trace = lastOf(main, "traceenable", "on")
	a.Modules = c.modules(t)
	a.Listens = c.listens(t)
	sites, err := c.sites(a.Listens)
	if err != nil {
		return a, missing("%s", because(err))
	}
	for _, s := range sites {
		a.Servers = append(a.Servers, s.WebServer)
	}
	places, err := c.places(ctx, h, sites)
	if err != nil {
		return a, []Missing{{Fact: "places", Reason: because(err)}}
	}
	for _, p := range places {
		a.Places = append(a.Places, p.WebPlace)
	}
	return a, nil
}

// readApache reads the configuration, with the environment in which Apache is started. With ask, the program is asked too.
func readApache(ctx context.Context, h *Host, ask bool) (*apacheConfig, error) {
	c := &apacheConfig{htaccess: map[string][]apacheDirective{}, patterns: patterns{}}
	c.program = h.Look("/usr/sbin/apache2", "/usr/sbin/httpd")
	c.file = h.Look("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf")
	if c.program == "" {
		return nil, errNoApache
	}
	if c.file == "" {
		return nil, errors.New("apache is installed, and neither /etc/apache2/apache2.conf nor /etc/httpd/conf/httpd.conf is there")
	}
	p := &apacheParser{h: h, root: "/etc/apache2", vars: map[string]string{}, defined: map[string]bool{}, loaded: map[string]bool{},
		macros: map[string]apacheMacro{}}
	if strings.HasPrefix(c.file, "/etc/httpd/") {
		p.root = "/etc/httpd"
	}
	c.parser = p
	environment := "/etc/apache2/envvars"
	if p.root == "/etc/httpd" {
		environment = "/etc/sysconfig/httpd"
	}
	text, err := h.ReadFile(environment)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if p.root == "/etc/apache2" {
		p.vars["APACHE_CONFDIR"] = p.root // as apache2ctl does
	}
	shellVariables(string(text), p.vars)
	arguments := strings.Fields(p.vars["APACHE_ARGUMENTS"] + " " + p.vars["OPTIONS"])
	for i, w := range arguments {
		if name, ok := strings.CutPrefix(w, "-D"); ok && name != "" {
			p.defined[name] = true
		} else if ok && i+1 < len(arguments) {
			p.defined[arguments[i+1]] = true
		}
	}
	var dump apacheDump
	if ask {
		dump, err = askApache(ctx, h, c.program, environment)
		if err != nil && !errors.Is(err, ErrNoExec) {
			return nil, err
		}
		c.checked = err == nil
	}
	c.loadBuiltIn(dump)
	if c.all, err = p.file(c.file, 0); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return c, c.compare(dump)
}

// loadBuiltIn notes the modules that need no LoadModule: those that the program tells, or else Debian's.
func (c *apacheConfig) loadBuiltIn(dump apacheDump) {
	builtIn := dump.builtIn
	if !c.checked {
		builtIn = []string{"core", "so", "watchdog", "http", "log_config", "logio", "version", "unixd"} // Debian's
	}
	for _, name := range builtIn {
		id := name + "_module"
		file := map[string]string{"core": "core.c", "http": "http_core.c"}[name]
		if file == "" {
			file = apacheSource(id)
		}
		c.parser.load(apacheModule{id: id, file: file, builtIn: true, origin: c.program})
	}
}

// apacheDump is what the program tells of its configuration.
type apacheDump struct {
	builtIn, shared []string // modules, without _module
	hosts           []string // file:line of the virtual hosts
}

var dumpedHost = regexp.MustCompile(`\((/[^()]*:[0-9]+)\)`)

// askApache lets the program check its configuration and tell modules and virtual hosts. It is started as Debian's
// apache2ctl starts it, without the folders that apache2ctl makes.
func askApache(ctx context.Context, h *Host, program, environment string) (apacheDump, error) {
	const script = `if [ -r "$2" ]; then export APACHE_CONFDIR=/etc/apache2; set -a; . "$2"; set +a; fi; exec "$1" $APACHE_ARGUMENTS $OPTIONS -t -D DUMP_MODULES -D DUMP_VHOSTS`
	for _, name := range []string{program, environment, "/etc/apache2/apache2.conf"} { // the shell and the program run what these say
		if err := h.trusted(name); err != nil && h.execs && !errors.Is(err, fs.ErrNotExist) {
			return apacheDump{}, fmt.Errorf("run %s: %w", program, err)
		}
	}
	out, err := h.Run(ctx, "/bin/sh", "-c", script, "sh", program, environment)
	if err != nil {
		return apacheDump{}, err
	}
	if out.Code != 0 {
		return apacheDump{}, fmt.Errorf("%s -t refuses the configuration: %s", program, lastLine(out.Stderr))
	}
	return readApacheDump(string(out.Stdout)), nil
}

func readApacheDump(text string) apacheDump {
	var d apacheDump
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, kind, _ := strings.Cut(line, "_module ")
		switch {
		case kind == "(static)":
			d.builtIn = append(d.builtIn, name)
		case kind == "(shared)":
			d.shared = append(d.shared, name)
		default:
			if m := dumpedHost.FindStringSubmatch(line); m != nil && !slices.Contains(d.hosts, m[1]) {
				d.hosts = append(d.hosts, m[1])
			}
		}
	}
	return d
}

// lastLine is the last thing that a program complained of.
func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-2):], " ")
}

// compare refuses to go on where the program reads other modules or virtual hosts than we did: then we misread.
func (c *apacheConfig) compare(d apacheDump) error {
	if !c.checked {
		return nil
	}
	var ours []string
	for _, m := range c.parser.modules {
		if !m.builtIn {
			ours = append(ours, strings.TrimSuffix(m.id, "_module"))
		}
	}
	slices.Sort(ours)
	slices.Sort(d.shared)
	if !slices.Equal(ours, d.shared) {
		return fmt.Errorf("the files load the modules %v, and %s tells %v", ours, c.program, d.shared)
	}
	var hosts []string
	for _, v := range c.all {
		if v.name == "virtualhost" && !slices.Contains(hosts, v.origin) {
			hosts = append(hosts, v.origin)
		}
	}
	slices.Sort(hosts)
	slices.Sort(d.hosts)
	if len(c.parser.macros) == 0 && !slices.Equal(hosts, d.hosts) {
		return fmt.Errorf("the files have the virtual hosts %v, and %s tells %v", hosts, c.program, d.hosts)
	}
	return nil
}

var assignment = regexp.MustCompile(`^(?:export\s+)?(?::\s+\$\{)?([A-Za-z_][A-Za-z0-9_]*):?=(.*)$`)

var reference = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))`)

// shellVariables reads assignments as a shell does that has to make no choice: export NAME=value, NAME="value",
// : ${NAME:=value}. Where the same name is set on both sides of an if, the later stands, which is Debian's usual case.
func shellVariables(text string, vars map[string]string) {
	for line := range strings.Lines(text) {
		m := assignment.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		value := strings.TrimSpace(m[2])
		if strings.HasPrefix(strings.TrimSpace(line), ": ${") {
			value = strings.TrimSuffix(value, "}")
		}
		if value != "" && (value[0] == '"' || value[0] == '\'') {
			if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
				value = value[1 : end+1]
			}
		} else if end := strings.IndexAny(value, " \t;"); end >= 0 {
			value = value[:end]
		}
		if len(value) > 4096 || len(vars) > 1000 {
			continue
		}
		vars[m[1]] = reference.ReplaceAllStringFunc(value, func(ref string) string {
			m := reference.FindStringSubmatch(ref)
			if known := vars[m[1]+m[3]]; known != "" {
				return known
			}
			return m[2]
		})
	}
}

// apacheMain are the directives outside of virtual hosts.
func apacheMain(all []apacheDirective) []apacheDirective {
	return slices.DeleteFunc(slices.Clone(all), func(d apacheDirective) bool { return d.name == "virtualhost" })
}

// lastOf is the last setting of a directive of the server, in lower case.
func lastOf(body []apacheDirective, name, fallback string) Setting {
	s := Setting{fallback, "default"}
	for _, d := range body {
		if d.name == name && len(d.args) > 0 {
			s = Setting{strings.ToLower(d.args[0]), d.origin}
		}
	}
	return s
}

// listens are the addresses of all Listen directives.
func (c *apacheConfig) listens(t Target) []WebListen {
	listens := []WebListen{}
	for _, d := range c.all {
		if d.name == "listen" && len(d.args) > 0 {
			host, port := splitListen(d.args[0])
			listens = append(listens, newListen("apache", host, port, d.origin, t))
		}
	}
	return listens
}

// splitListen takes 80, 127.0.0.1:80, [::]:80 and *:80 apart. A host without port has none.
func splitListen(text string) (host, port string) {
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		return text[:i], text[i+1:]
	}
	if strings.Trim(text, "0123456789") == "" {
		return "", text
	}
	return text, ""
}

// absolute is a file as a directive names it.
func (c *apacheConfig) absolute(name string) string {
	if name == "" || path.IsAbs(name) {
		return name
	}
	return path.Join(c.parser.root, name)
}
