package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
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

// contexts are the sets of settings with which r runs.
func (r *phpRuntime) contexts(ctx context.Context, h *Host, web webConfig) ([]PHPContext, error) {
	c := PHPContext{Version: r.version, SAPI: r.sapi, Web: r.sapi != "cli", Settings: r.values.settings, Origin: r.origin}
	if r.version != "" {
		c.Major = int(r.version[0] - '0')
	}
	switch r.sapi {
	case "apache2":
		return r.inApache(c, web), nil
	case "fpm":
		file := h.Look(path.Join(r.dir, "php-fpm.conf"))
		pools, err := readPools(h, file)
		if err != nil {
			return nil, err
		}
		var all []PHPContext
		for _, p := range pools {
			more, err := r.ofPool(ctx, h, c, p, web)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
		return all, nil
	}
	return []PHPContext{c}, nil
}

// inApache is one context for each place where Apache runs PHP by its module.
func (r *phpRuntime) inApache(c PHPContext, web webConfig) []PHPContext {
	all := []PHPContext{}
	for _, p := range web.apachePlaces {
		if p.PHP != "module" || !p.Serves || p.Access == "none" {
			continue
		}
		v := r.values.clone()
		for _, name := range slices.Sorted(maps.Keys(p.page.php)) {
			d := p.page.php[name]
			switch {
			case name == "disable_functions" || name == "disable_classes": // read from php.ini files alone
			case d.admin:
				v.admin(name, d.Value, d.Origin)
			default:
				v.user(name, d.Value, d.Origin)
			}
		}
		own := c
		own.Settings, own.Site, own.Path, own.User, own.Origin = v.settings, p.Server, p.Path, web.apacheUser, p.site
		all = append(all, own)
	}
	return all
}

// ofPool is one context for each place whose requests a web server hands to the pool, and for each folder there that has a
// .user.ini file; the pool itself where no web server is known to use it; and each section of php.ini for a path or host.
func (r *phpRuntime) ofPool(ctx context.Context, h *Host, c PHPContext, p *phpPool, web webConfig) ([]PHPContext, error) {
	base := p.over(r.values)
	c.Pool, c.User, c.Settings, c.Origin = p.name, p.user, base.settings, p.origin
	var all []PHPContext
	left := maxFolders
	seen := map[string]bool{}
	for _, place := range web.phpPlaces() {
		key := place.Server + " " + place.root + fmt.Sprint(place.params)
		if !p.answers(place.PHP) || seen[key] {
			continue
		}
		seen[key] = true
		more, err := r.ofPlace(ctx, h, c, place, base, &left)
		if err != nil {
			return nil, err
		}
		if all = append(all, more...); len(all) > maxContexts {
			return all, nil // which is refused
		}
	}
	if len(all) == 0 {
		all = append(all, c)
	}
	sections := map[string]phpValues{}
	for _, s := range r.ini { // [PATH=…] and [HOST=…] can change everything for a folder or a name
		if s.section == "" || s.key == "extension" || s.key == "zend_extension" || len(sections) > maxContexts {
			continue
		}
		if _, ok := sections[s.section]; !ok {
			sections[s.section] = base.clone()
		}
		sections[s.section].set(s.key, s.value, s.origin)
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		c.Site, c.Path, c.Settings = name, "", sections[name].settings
		all = append(all, c)
	}
	return all, nil
}

// ofPlace is one place of a web server with what the server tells php-fpm for it, which php-fpm takes for everything, and
// with the .user.ini files there.
func (r *phpRuntime) ofPlace(ctx context.Context, h *Host, c PHPContext, place phpPlace, base phpValues, left *int) ([]PHPContext, error) {
	own := base.clone()
	for _, s := range place.params {
		if s.key != "disable_functions" && s.key != "disable_classes" {
			own.set(s.key, s.value, s.origin)
		}
	}
	c.Site = place.Server
	var all []PHPContext
	var trouble error
	visit := func(dir string, entries []fs.DirEntry) {
		v, changed, err := r.userIni(h, own, place.chain, dir, dir == place.root, entries)
		if trouble == nil {
			trouble = err
		}
		if (changed || dir == place.root) && len(all) <= maxContexts {
			c.Path, c.Settings = dir, v.settings
			all = append(all, c)
		}
	}
	err := walkFolders(ctx, h, place.root, 64, left, visit)
	if len(all) == 0 { // the root is not there
		c.Path, c.Settings = place.root, own.settings
		all = append(all, c)
	}
	return all, errors.Join(err, trouble)
}

// userIni lays the .user.ini files from the document root down to dir over the values, if dir has one or is asked about
// anyway.
func (r *phpRuntime) userIni(h *Host, v phpValues, root, dir string, always bool, entries []fs.DirEntry) (phpValues, bool, error) {
	name := v.settings["user_ini.filename"].Value
	if name == "" || !always && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name }) {
		return v, false, nil
	}
	v = v.clone()
	for _, level := range levels(dir) {
		if !lies(level, root) {
			continue
		}
		file := path.Join(level, name)
		text, err := h.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return v, false, err
		}
		for _, s := range readPHPIni(file, string(text)) {
			v.user(s.key, s.value, s.origin)
		}
	}
	return v, true, nil
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

var phpLibrary = regexp.MustCompile(`^libphp([0-9.]*)\.so$`)
