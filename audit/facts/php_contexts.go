package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
)

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

// inApache is one context for each place where Apache runs PHP by its module and says something else than at places before.
func (r *phpRuntime) inApache(c PHPContext, web webConfig) []PHPContext {
	all := []PHPContext{}
	seen := map[string]bool{}
	for _, p := range web.apachePlaces {
		key := p.site + fmt.Sprint(p.page.php) // maps print in order
		if p.PHP != "module" || !p.Serves || p.Access == "none" || seen[key] {
			continue
		}
		seen[key] = true
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
