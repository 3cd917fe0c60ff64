package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxFolders bounds how many folders below document roots are looked through, of all web servers together.
const maxFolders = 50_000

// apachePlace is a place with the rules in force there.
type apachePlace struct {
	WebPlace
	rules *apacheRules // for a folder
	page  *apacheRules // for a .php file in it
	site  string       // origin of the server
	root  string       // its document root
}

// alias is a part of a site's addresses that stands for a folder.
type alias struct{ url, folder string }

// aliases are the site's document root and the folders that it maps beside it.
func (c *apacheConfig) aliases(s apacheSite) []alias {
	var all []alias
	if s.Root != "" {
		all = append(all, alias{"/", path.Clean(s.Root)})
	}
	for _, d := range s.uni {
		switch d.name {
		case "alias", "scriptalias":
			if len(d.args) > 1 {
				all = append(all, alias{d.args[0], path.Clean(c.absolute(d.args[1]))})
			}
		case "aliasmatch", "scriptaliasmatch":
			if len(d.args) > 1 {
				folder, _, _ := strings.Cut(d.args[1], "$")
				all = append(all, alias{"", path.Clean(c.absolute(folder))})
			}
		case "virtualdocumentroot":
			if len(d.args) > 0 {
				folder, _, _ := strings.Cut(d.args[0], "%")
				all = append(all, alias{"/", path.Clean(c.absolute(folder))})
			}
		case "location":
			for _, inner := range d.body { // an Alias of one argument
				if inner.name == "alias" && len(inner.args) == 1 && len(d.args) > 0 {
					all = append(all, alias{d.args[0], path.Clean(c.absolute(inner.args[0]))})
				}
			}
		}
	}
	return all
}

// places tells apart, for every site, the parts that have rules of their own.
func (c *apacheConfig) places(ctx context.Context, h *Host, sites []apacheSite) ([]apachePlace, error) {
	places := []apachePlace{}
	left := maxFolders
	for _, s := range sites {
		aliases := c.aliases(s)
		spots := slices.Clone(aliases)
		for _, a := range aliases {
			more, err := c.inside(ctx, h, s, a, &left)
			if err != nil {
				return nil, err
			}
			spots = append(spots, more...)
		}
		for _, d := range s.uni {
			if pattern, regex := d.pattern(); d.name == "location" && !regex && !strings.ContainsAny(pattern, "*?[") {
				spots = append(spots, alias{pattern, folderOf(aliases, pattern)})
			}
		}
		if !slices.ContainsFunc(spots, func(a alias) bool { return a.url == "/" }) {
			spots = append(spots, alias{"/", ""}) // a site that only passes on has error pages and headers too
		}
		for _, spot := range unique(spots) {
			if len(places) >= maxPlaces {
				return nil, fmt.Errorf("more than %d folders and locations have rules of their own", maxPlaces)
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			p, err := c.place(h, s, spot)
			if err != nil {
				return nil, err
			}
			places = append(places, p)
		}
		places = append(places, c.conditional(s)...)
	}
	return places, nil
}

func unique(spots []alias) []alias {
	seen := map[alias]bool{}
	return slices.DeleteFunc(spots, func(a alias) bool {
		again := seen[a]
		seen[a] = true
		return again
	})
}

// folderOf maps an address to a folder by the longest alias that it begins with.
func folderOf(aliases []alias, url string) string {
	best := alias{}
	for _, a := range aliases {
		if a.url != "" && lies(url, strings.TrimSuffix(a.url, "/")) && len(a.url) > len(best.url) {
			best = a
		}
	}
	if best.url == "" {
		return ""
	}
	return path.Join(best.folder, strings.TrimPrefix(url, strings.TrimSuffix(best.url, "/")))
}

// inside finds the folders below an alias that have rules of their own: by a section, or by a .htaccess file where
// those are read.
func (c *apacheConfig) inside(ctx context.Context, h *Host, s apacheSite, a alias, left *int) ([]alias, error) {
	var spots []alias
	at := func(folder string) alias {
		if a.url == "" {
			return alias{"", folder}
		}
		return alias{path.Join("/", a.url, strings.TrimPrefix(folder, a.folder)), folder}
	}
	reads := false
	for _, d := range s.uni {
		if d.name != "directory" && d.name != "directorymatch" {
			continue
		}
		pattern, regex := d.pattern()
		if !regex && pattern != a.folder && lies(pattern, a.folder) {
			spots = append(spots, at(pattern))
		}
		for _, inner := range d.body {
			set := inner.name == "allowoverride" && !strings.EqualFold(inner.raw, "none") || inner.name == "allowoverridelist" && !strings.EqualFold(inner.raw, "none")
			wild := regex || strings.ContainsAny(pattern, "*?[")
			reads = reads || set && (wild || lies(pattern, a.folder) || lies(a.folder, pattern))
		}
	}
	if !reads {
		return spots, nil
	}
	name := c.accessFile(s)
	err := walkFolders(ctx, h, a.folder, 64, left, func(dir string, entries []fs.DirEntry) {
		_, found := slices.BinarySearchFunc(entries, name, func(e fs.DirEntry, name string) int { return strings.Compare(e.Name(), name) })
		if found && dir != a.folder {
			spots = append(spots, at(dir))
		}
	})
	return spots, err
}

func (c *apacheConfig) accessFile(s apacheSite) string {
	if name := firstArgument(s.uni, "accessfilename"); name != "" {
		return name
	}
	return ".htaccess"
}

// walkFolders visits dir and the folders below it, links aside, and counts them off left.
func walkFolders(ctx context.Context, h *Host, dir string, depth int, left *int, visit func(dir string, entries []fs.DirEntry)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if *left--; *left < 0 {
		return fmt.Errorf("more than %d folders lie below document roots", maxFolders)
	}
	entries, err := h.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	visit(dir, entries)
	for _, e := range entries {
		if e.IsDir() && depth > 0 {
			if err := walkFolders(ctx, h, path.Join(dir, e.Name()), depth-1, left, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// place works out the rules in force at one spot.
func (c *apacheConfig) place(h *Host, s apacheSite, spot alias) (apachePlace, error) {
	p := apachePlace{site: s.Origin, root: s.Root, WebPlace: WebPlace{Program: "apache", Server: s.Name, URL: spot.url, Path: spot.folder, Serves: s.Serves, Public: s.Public,
		TLS: s.TLS}}
	var err error
	if p.rules, err = c.inForce(h, s, spot, ""); err != nil {
		return p, err
	}
	if p.page, err = c.inForce(h, s, spot, "index.php"); err != nil {
		return p, err
	}
	c.word(&p, s)
	return p, nil
}

// word fills in what the controls ask of the rules.
func (c *apacheConfig) word(p *apachePlace, s apacheSite) {
	p.Access = p.rules.who()
	p.Options = slices.Sorted(maps.Keys(p.rules.options))
	p.Listing = p.rules.options["indexes"] && c.parser.loaded["autoindex_module"]
	p.Override = strings.Join(append(slices.Clone(p.rules.override), p.rules.list...), " ")
	p.Signature = p.rules.signature.Value
	if p.Origin = p.rules.listing; !p.Listing && p.Signature != "off" {
		p.Origin = p.rules.signature.Origin
	}
	p.Headers = map[string]string{}
	if c.parser.loaded["headers_module"] {
		p.Headers = p.rules.sent()
	}
	p.PHP = p.page.runs(c.parser.loaded["php_module"] || c.parser.loaded["php7_module"])
	if p.PHP == "" {
		p.PHP = proxiedPHP(s.uni)
	}
	switch {
	case s.TLS && p.page.stdEnv:
		p.TLSEnv = "std"
	case s.TLS:
		p.TLSEnv = "https" // mod_ssl always sets HTTPS=on
	case p.page.forwarded:
		p.TLSEnv = "forwarded"
	}
}

// proxiedPHP knows ProxyPassMatch ^/(.*\.php)$ fcgi://127.0.0.1:9000/var/www/$1.
func proxiedPHP(body []apacheDirective) string {
	for _, d := range body {
		if d.name != "proxypassmatch" && d.name != "proxypass" || len(d.args) < 2 {
			continue
		}
		if address, ok := strings.CutPrefix(d.args[1], "fcgi://"); ok {
			address, _, _ = strings.Cut(address, "/")
			return address
		}
		if socket, _, ok := strings.Cut(d.args[1], "|fcgi:"); ok {
			return socket
		}
	}
	return ""
}

// inForce goes through the layers as Apache merges them: the server, folders from the shortest with .htaccess in
// between, folders by pattern, files, locations. With a file's name, the sections for files count.
func (c *apacheConfig) inForce(h *Host, s apacheSite, spot alias, file string) (*apacheRules, error) {
	r := newApacheRules()
	var files []apacheDirective
	add := func(body []apacheDirective) {
		r.apply(body)
		for _, d := range body {
			if d.name == "files" || d.name == "filesmatch" {
				files = append(files, d)
			}
		}
	}
	add(s.flat)
	if spot.folder != "" {
		for _, level := range levels(spot.folder) {
			for i := range s.sections {
				d := &s.sections[i]
				pattern, regex := d.about, d.regex
				if d.name != "directory" || regex || strings.Count(pattern, "/") != strings.Count(level, "/") && pattern != "/" ||
					(pattern == "/") != (level == "/") {
					continue
				}
				if c.hits(d, level) {
					add(d.body)
				}
			}
			body, err := c.htaccessOf(h, s, level, r)
			if err != nil {
				return nil, err
			}
			add(r.permitted(body))
		}
		for i := range s.sections {
			if d := &s.sections[i]; d.regex && (d.name == "directory" || d.name == "directorymatch") && c.hits(d, spot.folder) {
				add(d.body)
			}
		}
	}
	for i := range files {
		if d := &files[i]; file != "" && c.hits(d, file) {
			r.apply(d.body)
			for _, inner := range d.body { // <If "-f %{REQUEST_FILENAME}"> around the handler is a usual guard, and holds for what is there
				if inner.name == "if" {
					r.apply(slices.DeleteFunc(slices.Clone(inner.body), func(d apacheDirective) bool { return d.name != "sethandler" }))
				}
			}
		}
	}
	for i := range s.sections {
		if d := &s.sections[i]; (d.name == "location" || d.name == "locationmatch") && spot.url != "" && c.hits(d, spot.url) {
			add(d.body)
		}
	}
	return r, nil
}

// hits is matches; the rules of a pattern that cannot be tried are taken to hold.
func (c *apacheConfig) hits(d *apacheDirective, name string) bool {
	yes, _ := d.matches(name, c.patterns)
	return yes
}

// levels are the folders on the way to dir: /, /var, /var/www.
func levels(dir string) []string {
	all := []string{"/"}
	for i := 1; i < len(dir); i++ {
		if dir[i] == '/' {
			all = append(all, dir[:i])
		}
	}
	if dir != "/" {
		all = append(all, dir)
	}
	return all
}

// htaccessOf is the .htaccess file of a folder where any is read there.
func (c *apacheConfig) htaccessOf(h *Host, s apacheSite, dir string, r *apacheRules) ([]apacheDirective, error) {
	if len(r.list) == 0 && !slices.ContainsFunc(r.override, func(o string) bool { return o != "none" }) {
		return nil, nil
	}
	name := path.Join(dir, c.accessFile(s))
	if body, ok := c.htaccess[name]; ok {
		return body, nil
	}
	var body []apacheDirective
	if text, err := h.ReadFile(name); err == nil {
		c.parser.inFolder = true
		body, err = c.parser.text(name, text, 0)
		c.parser.inFolder = false
		if errors.Is(err, errTooLong) {
			return nil, err
		}
		if err != nil {
			body = nil // Apache answers 500 there, and lists nothing
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	c.htaccess[name] = body
	return body, nil
}

// conditional are sections that hold under a condition which is not decided here, when they open something: <If>, and
// patterns for names that are no known place. They are judged as if the condition held.
func (c *apacheConfig) conditional(s apacheSite) []apachePlace {
	var places []apachePlace
	var walk func(body []apacheDirective, folder string)
	walk = func(body []apacheDirective, folder string) {
		for _, d := range body {
			_, regex := d.pattern()
			inner := folder
			if d.name == "directory" && !regex {
				inner, _ = d.pattern()
			}
			undecided := d.name == "if" || d.name == "elseif" || d.name == "else" || regex && strings.HasPrefix(d.name, "directory") ||
				regex && strings.HasPrefix(d.name, "location") || d.name == "directory" && strings.ContainsAny(inner, "*?[")
			if undecided && len(places) < 200 {
				r := newApacheRules()
				r.listing, r.signature = d.origin, Setting{"off", "default"}
				r.apply(d.body)
				p := apachePlace{site: s.Origin, rules: r, page: r, WebPlace: WebPlace{Program: "apache", Server: s.Name, Path: folder, Serves: s.Serves,
					Public: s.Public, TLS: s.TLS, Condition: strings.TrimSpace(d.name + " " + d.raw)}}
				if r.options["indexes"] || r.signature.Value != "off" {
					c.word(&p, s)
					p.PHP = ""
					places = append(places, p)
				}
			}
			walk(d.body, inner)
		}
	}
	walk(s.uni, "")
	return places
}

func itoa(n int) string { return strconv.Itoa(n) }
