package facts

import (
	"context"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"
)

// webConfig is what both web servers are configured to do, as far as other facts ask.
type webConfig struct {
	apacheLibraries []string // the names of Apache's PHP modules
	phpIniDir       string
	apacheUser      Setting
	apachePlaces    []apachePlace
	nginxPlaces     []nginxPlace
	roots           []webRoot
	apps            []App
}

// webRoot is a folder that a web server shows.
type webRoot struct {
	program, site, url, folder, origin string
	followsLinks                       bool
}

// readWeb reads the files of both. The programs are asked where their own facts are read.
func readWeb(ctx context.Context, h *Host, t Target) (webConfig, error) {
	w := webConfig{apps: t.Apps}
	a, err := readApache(ctx, h, false)
	if err != nil && !errors.Is(err, errNoApache) {
		return w, err
	}
	if err == nil {
		main := apacheMain(a.all)
		w.apacheUser = Setting{firstArgument(main, "user"), lastOf(main, "user", "").Origin}
		w.phpIniDir = a.absolute(firstArgument(main, "phpinidir"))
		for _, d := range a.all {
			if d.name == "loadmodule" && len(d.args) > 1 {
				w.apacheLibraries = append(w.apacheLibraries, path.Base(d.args[1]))
			}
		}
		sites, err := a.sites(a.listens(t))
		if err != nil {
			return w, err
		}
		if w.apachePlaces, err = a.places(ctx, h, sites); err != nil {
			return w, err
		}
		for _, p := range w.apachePlaces {
			if p.Serves && p.Path != "" && p.Condition == "" {
				links := p.rules.options["followsymlinks"] || p.rules.options["symlinksifownermatch"]
				w.roots = append(w.roots, webRoot{"apache", p.Server, p.URL, p.Path, p.site, links})
			}
		}
	}
	n, err := readNginx(ctx, h, false)
	if errors.Is(err, errNoNginx) {
		return w, nil
	}
	if err != nil {
		return w, err
	}
	sites, places, err := n.sites(t)
	if err != nil {
		return w, err
	}
	w.nginxPlaces = places
	for _, s := range sites {
		w.roots = append(w.roots, webRoot{"nginx", s.Name, "/", s.Root, s.Origin, true})
	}
	for _, p := range places {
		if p.Path != "" {
			w.roots = append(w.roots, webRoot{"nginx", p.Server, p.URL, p.Path, p.Origin, true})
		}
	}
	return w, nil
}

// loadsPHP says whether Apache loads PHP of that version as a module; empty is any.
func (w webConfig) loadsPHP(version string) bool {
	return slices.ContainsFunc(w.apacheLibraries, func(name string) bool {
		m := phpLibrary.FindStringSubmatch(name)
		return m != nil && (version == "" || m[1] == version || m[1] == version[:1])
	})
}

// phpPlace is where a web server hands requests to a php-fpm.
type phpPlace struct {
	Server, PHP string
	root        string       // the folder that it is about
	chain       string       // from which on .user.ini files count: the document root
	params      []phpSetting // by PHP_VALUE and PHP_ADMIN_VALUE
}

// phpPlaces lists where web servers hand requests to a php-fpm.
func (w webConfig) phpPlaces() []phpPlace {
	var all []phpPlace
	for _, p := range w.apachePlaces {
		if p.PHP != "" && p.PHP != "module" && p.Serves && p.Path != "" {
			chain := p.Path
			if p.root != "" && lies(p.Path, p.root) {
				chain = p.root
			}
			all = append(all, phpPlace{p.Server, p.PHP, p.Path, chain, p.page.params})
		}
	}
	for _, p := range w.nginxPlaces {
		if p.PHP == "" {
			continue
		}
		root := nginxFolder(p.level.value("root", "html").Value)
		place := phpPlace{p.Server, p.PHP, root, root, nil}
		for _, d := range p.level.all("fastcgi_param") {
			if len(d.args) > 1 && (d.args[0] == "PHP_VALUE" || d.args[0] == "PHP_ADMIN_VALUE") {
				place.params = append(place.params, phpParams(d.args[0], d.args[1], d.origin)...)
			}
		}
		all = append(all, place)
	}
	return all
}

// phpParams reads the lines of a PHP_VALUE parameter.
func phpParams(name, text, origin string) []phpSetting {
	lines := readPHPIni("", text)
	for i := range lines {
		lines[i].section, lines[i].origin = name, origin
	}
	return lines
}

// fits says whether a folder of open_basedir is one of an application, of a web server, or for temporary files.
func (w webConfig) fits(dir string) bool {
	if dir == "." {
		return true
	}
	dir = path.Clean(dir)
	allowed := []string{"/tmp", "/var/tmp", "/var/lib/php", "/usr/share/php", "/dev/urandom", "/dev/null"}
	for _, r := range w.roots {
		allowed = append(allowed, r.folder)
	}
	for _, a := range w.apps {
		allowed = append(append(allowed, a.Root), a.Data...)
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		a = path.Clean("/" + strings.TrimPrefix(a, "/"))
		// A document root of the whole system, or of all that changes, is no limit.
		return a != "/" && a != "/var" && a != "/home" && a != "/srv" && a != "/usr" && a != "/etc" && lies(dir, a)
	})
}

var phpLibrary = regexp.MustCompile(`^libphp([0-9.]*)\.so$`)
