package facts

import (
	"fmt"
	"slices"
	"strings"
)

// apacheSite is a server with what it says for itself.
type apacheSite struct {
	WebServer
	own []apacheDirective // empty for the server outside of virtual hosts
	uni []apacheDirective // of the main server and then its own
	// flat and sections are what of uni decides on places: directives outside of sections and those for files, and sections.
	flat, sections []apacheDirective
}

// maxInherited bounds the directives of the main server that are repeated for each virtual host.
const maxInherited = 1_000_000

// sites lists the main server and all virtual hosts.
func (c *apacheConfig) sites(listens []WebListen) ([]apacheSite, error) {
	main := apacheMain(c.all)
	var hosts []apacheDirective
	for _, d := range c.all {
		if d.name == "virtualhost" {
			hosts = append(hosts, d)
		}
	}
	if len(hosts)*len(main) > maxInherited {
		return nil, fmt.Errorf("%w: %d virtual hosts inherit %d directives each", errTooLong, len(hosts), len(main))
	}
	covered := func(l WebListen) bool {
		return slices.ContainsFunc(hosts, func(v apacheDirective) bool { return slices.ContainsFunc(v.args, l.takes) })
	}
	first := c.site(main, nil, c.file)
	for _, l := range listens {
		if !covered(l) {
			first.meets(l)
		}
	}
	sites := []apacheSite{first}
	for _, v := range hosts {
		s := c.site(main, v.body, v.origin)
		for _, l := range listens {
			if slices.ContainsFunc(v.args, l.takes) {
				s.meets(l)
			}
		}
		sites = append(sites, s)
	}
	return sites, nil
}

// takes says whether a request that arrives here is one for a virtual host of that address.
func (l WebListen) takes(address string) bool {
	host, port := splitListen(address)
	if port != "" && port != "*" && port != itoa(l.Port) {
		return false
	}
	v := newListen("apache", host, port, "", Target{})
	return v.Address == "0.0.0.0" || l.Address == "0.0.0.0" || l.Address == "::" || v.Address == l.Address
}

// meets notes that the server answers on l.
func (s *apacheSite) meets(l WebListen) {
	s.Serves = true
	s.Public = s.Public || !l.inner()
}

// site merges what a virtual host says over the main server.
func (c *apacheConfig) site(main, own []apacheDirective, origin string) apacheSite {
	s := apacheSite{own: own, uni: slices.Concat(main, own)}
	s.Program, s.Origin = "apache", origin
	for _, d := range s.uni {
		switch {
		case strings.HasPrefix(d.name, "directory") || strings.HasPrefix(d.name, "location"):
			s.sections = append(s.sections, d)
		case overrideClass(d.name) != "never" || strings.HasPrefix(d.name, "php_") || strings.HasPrefix(d.name, "allowoverride") ||
			d.name == "proxyfcgisetenvif":
			s.flat = append(s.flat, d)
		}
	}
	s.Name = lastOf(own, "servername", "").Value
	if own == nil {
		s.Name = "outside of virtual hosts"
	}
	s.Root = c.absolute(firstArgument(s.uni, "documentroot"))
	s.Tokens = lastOf(main, "servertokens", "full") // it holds for all; Apache refuses it inside of a virtual host
	if s.Tokens.Value == "productonly" {
		s.Tokens.Value = "prod"
	}
	s.ErrorLog = Setting{firstArgument(s.uni, "errorlog"), lastOf(s.uni, "errorlog", "").Origin}
	if s.ErrorLog.Value == "" {
		s.ErrorLog.Value = "logs/error_log"
	}
	if s.ErrorLog.Value == "/dev/null" {
		s.ErrorLog.Value = ""
	}
	s.LogLevel = logLevel(s.uni)
	s.AccessLog = accessLog(own)
	if s.AccessLog.Value == "" && !slices.ContainsFunc(own, isAccessLog) {
		s.AccessLog = accessLog(main)
	}
	for _, d := range main {
		if d.name == "globallog" && len(d.args) > 0 && len(d.args) < 3 && d.args[0] != "/dev/null" {
			s.AccessLog = Setting{d.args[0], d.origin}
		}
	}
	s.SSL = map[string]Setting{}
	for _, d := range s.uni {
		if strings.HasPrefix(d.name, "ssl") && d.body == nil {
			s.SSL[d.name] = Setting{d.raw, d.origin}
		}
	}
	engine := strings.ToLower(s.SSL["sslengine"].Value)
	s.TLS = (engine == "on" || engine == "optional") && c.parser.loaded["ssl_module"]
	hidden := lastOf(main, "secserversignature", "")
	s.HidesServer = hidden.Origin != "default" && c.parser.loaded["security2_module"] && s.Tokens.Value == "full" &&
		!strings.Contains(hidden.Value, "apache")
	return s
}

func firstArgument(body []apacheDirective, name string) string {
	value := ""
	for _, d := range body {
		if d.name == name && len(d.args) > 0 {
			value = d.args[0]
		}
	}
	return value
}

func isAccessLog(d apacheDirective) bool { return d.name == "customlog" || d.name == "transferlog" }

// accessLog is the first log that takes every request. A third argument (env=, expr=) makes it one of some.
func accessLog(body []apacheDirective) Setting {
	for _, d := range body {
		if isAccessLog(d) && len(d.args) > 0 && len(d.args) < 3 && d.args[0] != "/dev/null" {
			return Setting{d.args[0], d.origin}
		}
	}
	return Setting{}
}

// logLevel is the level for what no module has one of its own for.
func logLevel(body []apacheDirective) Setting {
	s := Setting{"warn", "default"}
	for _, d := range body {
		if d.name != "loglevel" {
			continue
		}
		for _, a := range d.args {
			if !strings.Contains(a, ":") {
				s = Setting{strings.ToLower(a), d.origin}
			}
		}
	}
	return s
}
