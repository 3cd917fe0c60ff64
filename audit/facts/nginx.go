package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Nginx is what nginx is configured to do: its files with all that they include, checked by nginx -T where the program
// may be run. Its open-source kin that read the same files (OpenResty, Angie) are not looked for.
type Nginx struct {
	Installed bool        `cel:"installed"`
	Config    string      `cel:"config"`
	Listens   []WebListen `cel:"listens"` // of sites and of stream servers
	Servers   []WebServer `cel:"servers"`
	Places    []WebPlace  `cel:"places"` // each location, and each site that has none for /
	User      Setting     `cel:"user"`   // as whom it serves
	// Checked is whether the program was asked too. It cannot be where it may not open its logs, as in the audit's own unit.
	Checked bool `cel:"checked"`
}

// nginxConfig is a configuration that was read.
type nginxConfig struct {
	file, program string
	all           []nginxDirective
	checked       bool
}

// errNoNginx is that nginx is not on the host.
var errNoNginx = errors.New("nginx is not installed")

func collectNginx(ctx context.Context, h *Host, t Target) (Nginx, []Missing) {
	n := Nginx{Listens: []WebListen{}, Servers: []WebServer{}, Places: []WebPlace{}}
	c, err := readNginx(ctx, h, true)
	if errors.Is(err, errNoNginx) {
		return n, nil
	}
	if err != nil {
		return n, missing("%s", because(err))
	}
	n.Installed, n.Config, n.Checked = true, c.file, c.checked
	n.User = Setting{"nobody", "default"}
	for _, d := range c.all {
		if d.name == "user" && len(d.args) > 0 {
			n.User = Setting{d.args[0], d.origin}
		}
	}
	servers, places, err := c.sites(t)
	if err != nil {
		return n, missing("%s", because(err))
	}
	for _, s := range servers {
		n.Servers = append(n.Servers, s.WebServer)
		n.Listens = append(n.Listens, s.listens...)
	}
	for _, p := range places {
		n.Places = append(n.Places, p.WebPlace)
	}
	n.Listens = append(n.Listens, c.streams(t)...)
	return n, nil
}

func readNginx(ctx context.Context, h *Host, ask bool) (*nginxConfig, error) {
	c := &nginxConfig{program: h.Look("/usr/sbin/nginx", "/usr/local/sbin/nginx"), file: "/etc/nginx/nginx.conf"}
	if c.program == "" {
		return nil, errNoNginx
	}
	p := &nginxParser{h: h, prefix: path.Dir(c.file)}
	var err error
	if c.all, err = p.file(c.file, 0); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if !ask {
		return c, nil
	}
	if err := h.trusted(c.file); err != nil && h.execs { // it can have nginx load a library
		return nil, fmt.Errorf("run %s -T: %w", c.program, err)
	}
	out, err := h.Run(ctx, c.program, "-T")
	switch {
	case errors.Is(err, ErrNoExec):
		return c, nil
	case err != nil:
		return nil, err
	case out.Code != 0 && bytes.Contains(out.Stderr, []byte("syntax is ok")):
		return c, nil // it could not open its logs or ports for writing, as in a unit that may only read
	case out.Code != 0:
		return nil, fmt.Errorf("%s -T refuses the configuration: %s", c.program, lastLine(out.Stderr))
	}
	c.checked = true
	var theirs []string
	for line := range strings.Lines(string(out.Stdout)) {
		if name, ok := strings.CutPrefix(line, "# configuration file "); ok {
			theirs = append(theirs, strings.TrimSuffix(strings.TrimSpace(name), ":"))
		}
	}
	ours := slices.Clone(p.files)
	slices.Sort(ours)
	slices.Sort(theirs)
	ours, theirs = slices.Compact(ours), slices.Compact(theirs)
	if !slices.Equal(ours, theirs) {
		return nil, fmt.Errorf("%s reads other files than we did: %v, not %v", c.program, theirs, ours)
	}
	return c, nil
}

// nginxBlock is what stands in one block, also by name, because every location asks for what its site says.
type nginxBlock struct {
	body  []nginxDirective
	named map[string][]nginxDirective
}

func newNginxBlock(body []nginxDirective) nginxBlock {
	b := nginxBlock{body, map[string][]nginxDirective{}}
	for _, d := range body {
		b.named[d.name] = append(b.named[d.name], d)
	}
	return b
}

// nginxLevel is a block within the blocks around it, the outermost first.
type nginxLevel []nginxBlock

// all are the directives of that name at the innermost level that has any: the rule by which nginx inherits. One
// add_header of a location's own so drops all of the server's.
func (l nginxLevel) all(name string) []nginxDirective {
	for i := len(l) - 1; i >= 0; i-- {
		if found := l[i].named[name]; len(found) > 0 {
			return found
		}
	}
	return nil
}

// value is the last of all, as one text.
func (l nginxLevel) value(name, fallback string) Setting {
	found := l.all(name)
	if len(found) == 0 {
		return Setting{fallback, "default"}
	}
	d := found[len(found)-1]
	return Setting{strings.Join(d.args, " "), d.origin}
}

// own are the directives of those names in the block itself.
func (l nginxLevel) own(names ...string) []nginxDirective {
	var found []nginxDirective
	for _, name := range names {
		found = append(found, l[len(l)-1].named[name]...)
	}
	return found
}

func (l nginxLevel) within(body []nginxDirective) nginxLevel {
	return append(slices.Clip(l), newNginxBlock(body))
}

// nginxSite is a server block.
type nginxSite struct {
	WebServer
	listens []WebListen
	level   nginxLevel
}

// nginxPlace is a location with what it gives to PHP.
type nginxPlace struct {
	WebPlace
	level nginxLevel
}

// sites lists the server blocks of the http block, and their locations.
func (c *nginxConfig) sites(t Target) ([]nginxSite, []nginxPlace, error) {
	var sites []nginxSite
	var places []nginxPlace
	for _, http := range c.all {
		if http.name != "http" {
			continue
		}
		around := nginxLevel{newNginxBlock(c.all), newNginxBlock(http.body)}
		for _, d := range around.own("server") {
			if !d.block {
				continue
			}
			s := c.site(d, around.within(d.body), t)
			sites = append(sites, s)
			places = append(places, s.places()...)
			if len(places) > maxPlaces || len(sites) > maxPlaces {
				return nil, nil, fmt.Errorf("more than %d locations", maxPlaces)
			}
		}
	}
	return sites, places, nil
}

func (c *nginxConfig) site(d nginxDirective, level nginxLevel, t Target) nginxSite {
	s := nginxSite{level: level}
	s.Program, s.Serves, s.Origin = "nginx", true, d.origin
	for _, name := range level.own("server_name") {
		if s.Name == "" && len(name.args) > 0 {
			s.Name = name.args[0]
		}
	}
	s.listens = nginxListens(level, t)
	s.Public = slices.ContainsFunc(s.listens, func(l WebListen) bool { return !l.inner() })
	for _, l := range level.own("listen") {
		s.TLS = s.TLS || slices.Contains(l.args, "ssl") || slices.Contains(l.args, "quic")
	}
	s.TLS = s.TLS || level.value("ssl", "").Value == "on"
	s.Root = nginxFolder(level.value("root", "html").Value)
	s.Tokens = level.value("server_tokens", "on")
	s.HidesServer = slices.ContainsFunc(slices.Concat(level.all("more_clear_headers"), level.all("more_set_headers")), func(d nginxDirective) bool {
		return slices.ContainsFunc(d.args, func(a string) bool {
			a = strings.ToLower(a)
			return a == "server" && d.name == "more_clear_headers" || strings.HasPrefix(a, "server:") && !strings.Contains(a, "nginx")
		})
	})
	s.AccessLog = nginxAccessLog(level)
	s.ErrorLog, s.LogLevel = nginxErrorLog(level)
	s.SSL = map[string]Setting{}
	for _, block := range level {
		for name := range block.named {
			if strings.HasPrefix(name, "ssl_") {
				s.SSL[name] = level.value(name, "")
			}
		}
	}
	return s
}

func nginxAccessLog(level nginxLevel) Setting {
	logs := level.all("access_log")
	if len(logs) == 0 {
		return Setting{"logs/access.log", "default"}
	}
	for _, d := range logs {
		some := slices.ContainsFunc(d.args, func(a string) bool { return strings.HasPrefix(a, "if=") })
		if len(d.args) > 0 && d.args[0] != "off" && d.args[0] != "/dev/null" && !some {
			return Setting{d.args[0], d.origin}
		}
	}
	return Setting{"", logs[0].origin}
}

func nginxErrorLog(level nginxLevel) (to, loudness Setting) {
	logs := level.all("error_log")
	if len(logs) == 0 {
		return Setting{"logs/error.log", "default"}, Setting{"error", "default"}
	}
	for _, d := range logs {
		if len(d.args) == 0 || d.args[0] == "/dev/null" {
			continue
		}
		loudness := Setting{"error", d.origin}
		if len(d.args) > 1 {
			loudness.Value = d.args[1]
		}
		return Setting{d.args[0], d.origin}, loudness
	}
	return Setting{"", logs[0].origin}, Setting{"error", logs[0].origin}
}

// nginxListens are the addresses of a server block; without any it is port 80 of all.
func nginxListens(level nginxLevel, t Target) []WebListen {
	var all []WebListen
	for _, d := range level.own("listen") {
		if len(d.args) == 0 {
			continue
		}
		if socket, ok := strings.CutPrefix(d.args[0], "unix:"); ok {
			all = append(all, WebListen{Program: "nginx", Address: socket, Origin: d.origin})
			continue
		}
		host, port := splitListen(d.args[0])
		if port == "" {
			port = "80"
		}
		all = append(all, newListen("nginx", host, port, d.origin, t))
	}
	if len(all) == 0 {
		all = append(all, newListen("nginx", "*", "80", "default", t))
	}
	return all
}

// streams are the addresses of what nginx passes on below HTTP.
func (c *nginxConfig) streams(t Target) []WebListen {
	var all []WebListen
	for _, d := range c.all {
		if d.name != "stream" && d.name != "mail" {
			continue
		}
		for _, s := range d.body {
			if s.name == "server" && s.block && len(all) < maxPlaces {
				all = append(all, nginxListens(nginxLevel{newNginxBlock(s.body)}, t)...)
			}
		}
	}
	return all
}

// nginxFolder is a folder as root or alias names it: relative to the prefix that Debian builds in.
func nginxFolder(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join("/usr/share/nginx", name)
}
