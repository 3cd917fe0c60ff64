package facts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// PHP is how each PHP of the host runs: by version, by what runs it (SAPI), by pool, site and folder.
type PHP struct {
	Installed bool `cel:"installed"`
	// Contexts are the settings in force: for the command line of each version; for Apache's module at each place of a
	// site; for each pool of php-fpm, and again where a web server or a .user.ini file changes something for a place.
	Contexts []PHPContext `cel:"contexts"`
	// Directives are the settings of all contexts in one list: those that PHP has a default for here (see contexts.settings).
	Directives []PHPDirective `cel:"directives"`
	// Modules are what each of them loads. Those built into Apache's module are not listed: no program tells them.
	Modules []PHPModule `cel:"modules"`
}

// PHPContext is one set of settings.
type PHPContext struct {
	Version string `cel:"version"` // 8.2; empty where the paths do not tell
	Major   int    `cel:"major"`   // 8; 0 where the paths do not tell
	SAPI    string `cel:"sapi"`    // apache2, fpm or cli
	// Web is whether strangers' requests are answered with it: everything but the command line.
	Web  bool    `cel:"web"`
	Pool string  `cel:"pool"` // of php-fpm
	Site string  `cel:"site"` // where a web server or .user.ini changes something, or Apache's module runs
	Path string  `cel:"path"` // the folder that it is about
	User Setting `cel:"user"` // as whom it runs; empty for the command line
	// Settings are directives by name. Those that controls ask for are always there, with PHP's default: on and off are "1"
	// and "".
	Settings map[string]Setting `cel:"settings"`
	// Disabled are the functions that cannot be called.
	Disabled []string `cel:"disabled"`
	// Basedir are the folders of open_basedir. TooWide are those of them that are not an application's or document root's,
	// nor one for temporary files or PHP's own.
	Basedir []string `cel:"basedir"`
	TooWide []string `cel:"too_wide"`
	Origin  string   `cel:"origin"` // of the php.ini, pool or place
}

// PHPDirective is one setting of one context.
type PHPDirective struct {
	Name    string `cel:"name"`
	Value   string `cel:"value"` // on and off are "1" and ""
	Version string `cel:"version"`
	SAPI    string `cel:"sapi"`
	Web     bool   `cel:"web"`
	Pool    string `cel:"pool"`
	Site    string `cel:"site"`
	Path    string `cel:"path"`
	Origin  string `cel:"origin"`
}

// maxContexts bounds the sets of settings.
const maxContexts = 1_000

// PHPModule is an extension that one PHP loads.
type PHPModule struct {
	Name     string `cel:"name"`
	BuiltIn  bool   `cel:"built_in"`
	Unneeded string `cel:"unneeded"` // as in WebModule; the default refuses what is made for developers
	Version  string `cel:"version"`
	SAPI     string `cel:"sapi"`
	Origin   string `cel:"origin"`
}

// developers lists the modules that are made for developing: they show variables, run code that a client sends, or
// slow down.
func developers() []string {
	return []string{"xdebug", "pcov", "phpdbg", "xhprof", "tideways", "tideways_xhprof", "uopz", "runkit", "runkit7", "vld", "ast", "blackfire",
		"phpspy", "excimer_debug", "dbg", "apd", "memprof", "zend_test", "dl_test"}
}

// phpRuntime is one PHP: a version as one SAPI.
type phpRuntime struct {
	version, sapi, program, dir string
	values                      phpValues
	ini                         []phpSetting // sections for paths and hosts
	origin                      string
}

func collectPHP(ctx context.Context, h *Host, t Target) (PHP, []Missing) {
	p := PHP{Contexts: []PHPContext{}, Directives: []PHPDirective{}, Modules: []PHPModule{}}
	web, err := readWeb(ctx, h, t)
	if err != nil {
		return p, missing("%s", because(err))
	}
	var lost []Missing
	for _, r := range phpRuntimes(h, web) {
		p.Installed = true
		if err := r.read(h); err != nil {
			return p, missing("%s", because(err))
		}
		modules, err := r.modules(ctx, h, t)
		if err != nil {
			lost = append(lost, Missing{"modules", because(err)})
		}
		p.Modules = append(p.Modules, modules...)
		contexts, err := r.contexts(ctx, h, web)
		if err != nil {
			return p, missing("%s", because(err))
		}
		p.Contexts = append(p.Contexts, contexts...)
	}
	if len(p.Contexts) > maxContexts {
		return p, missing("more than %d pools, sites and folders have settings of their own", maxContexts)
	}
	for i := range p.Contexts {
		c := &p.Contexts[i]
		c.finish(web)
		for name, s := range c.Settings {
			s.Value = shownSetting(name, s.Value)
			c.Settings[name] = s
		}
		for _, name := range slices.Sorted(maps.Keys(phpDefaults)) {
			s := c.Settings[name]
			p.Directives = append(p.Directives, PHPDirective{name, s.Value, c.Version, c.SAPI, c.Web, c.Pool, c.Site, c.Path, s.Origin})
		}
	}
	if len(lost) > 1 {
		lost = lost[:1]
	}
	return p, lost
}

// phpRuntimes finds every PHP that is there: the program, or for Apache the module that its configuration loads.
func phpRuntimes(h *Host, web webConfig) []*phpRuntime {
	var all []*phpRuntime
	versions, _ := h.Glob("/etc/php/*") // none where the folder cannot be read: then php.ini is not found, which is an error
	for _, dir := range versions {
		v := path.Base(dir)
		all = append(all,
			&phpRuntime{version: v, sapi: "cli", program: h.Look("/usr/bin/php" + v), dir: dir + "/cli"},
			&phpRuntime{version: v, sapi: "fpm", program: h.Look("/usr/sbin/php-fpm" + v), dir: dir + "/fpm"})
		if web.loadsPHP(v) {
			own := dir + "/apache2"
			if web.phpIniDir != "" {
				own = web.phpIniDir
			}
			all = append(all, &phpRuntime{version: v, sapi: "apache2", program: "-", dir: own})
		}
	}
	if len(versions) == 0 && h.Exists("/etc/php.ini") { // as Red Hat and its kin keep it
		all = append(all, &phpRuntime{sapi: "cli", program: h.Look("/usr/bin/php"), dir: "/etc"},
			&phpRuntime{sapi: "fpm", program: h.Look("/usr/sbin/php-fpm"), dir: "/etc"})
		if web.loadsPHP("") {
			all = append(all, &phpRuntime{sapi: "apache2", program: "-", dir: "/etc"})
		}
	}
	return slices.DeleteFunc(all, func(r *phpRuntime) bool { return r.program == "" })
}

// read reads php.ini, or the one of the SAPI's own name that goes before it, and then the folder beside it, by name.
func (r *phpRuntime) read(h *Host) error {
	own := map[string]string{"cli": "php-cli.ini", "fpm": "php-fpm-fcgi.ini", "apache2": "php-apache2handler.ini"}[r.sapi]
	r.values = newPHPValues()
	main := h.Look(path.Join(r.dir, own), path.Join(r.dir, "php.ini"))
	if strings.HasSuffix(r.dir, ".ini") { // PHPIniDir may name the file
		main = h.Look(r.dir)
	}
	r.origin = main
	scan := path.Join(r.dir, "conf.d")
	if r.version == "" {
		scan = "/etc/php.d"
	} else if r.sapi == "apache2" {
		scan = "/etc/php/" + r.version + "/apache2/conf.d" // built in, whatever PHPIniDir says
	}
	names, err := h.Glob(scan + "/*.ini")
	if err != nil {
		return err
	}
	if main != "" {
		names = append([]string{main}, names...)
	}
	if len(names) > 1_000 {
		return fmt.Errorf("%s has more than 1000 files", scan)
	}
	for _, name := range names {
		text, err := h.ReadFile(name)
		if err != nil {
			return err
		}
		for _, s := range readPHPIni(name, string(text)) {
			section := strings.ToUpper(s.section)
			if strings.HasPrefix(section, "PATH=") || strings.HasPrefix(section, "HOST=") || s.key == "extension" || s.key == "zend_extension" {
				r.ini = append(r.ini, s)
				continue
			}
			r.values.set(s.key, s.value, s.origin)
		}
	}
	return nil
}

// modules lists what r loads; the program tells what is built in.
func (r *phpRuntime) modules(ctx context.Context, h *Host, t Target) ([]PHPModule, error) {
	all := []PHPModule{}
	add := func(name, origin string, builtIn bool) {
		if slices.ContainsFunc(all, func(m PHPModule) bool { return m.Name == name }) || len(all) > 1_000 {
			return
		}
		m := PHPModule{Name: name, BuiltIn: builtIn, Version: r.version, SAPI: r.sapi, Origin: origin}
		switch {
		case len(t.PHPModules) > 0 && !builtIn && !slices.Contains(t.PHPModules, name):
			m.Unneeded = "it is not in audit.php_modules"
		case len(t.PHPModules) == 0 && slices.Contains(developers(), name):
			m.Unneeded = "it is made for developers"
		}
		all = append(all, m)
	}
	for _, s := range r.ini {
		if s.key == "extension" || s.key == "zend_extension" {
			add(extensionName(s.value), s.origin, false)
		}
	}
	if r.sapi == "apache2" {
		return all, nil
	}
	out, err := h.Run(ctx, r.program, "-m")
	if errors.Is(err, ErrNoExec) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	for line := range strings.Lines(string(out.Stdout)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '[' {
			name := strings.ToLower(strings.TrimPrefix(line, "Zend "))
			add(name, r.program+" -m", true)
		}
	}
	return all, nil
}

// finish works out what the values mean.
func (c *PHPContext) finish(web webConfig) {
	c.Disabled = functions(c.Settings["disable_functions"].Value)
	c.Basedir, c.TooWide = []string{}, []string{}
	for _, dir := range strings.Split(c.Settings["open_basedir"].Value, ":") {
		if dir == "" {
			continue
		}
		c.Basedir = append(c.Basedir, dir)
		if !web.fits(dir) {
			c.TooWide = append(c.TooWide, dir)
		}
	}
}
