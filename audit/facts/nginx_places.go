package facts

import (
	"path"
	"slices"
	"strings"
)

// places lists a site's locations, and the site itself where no location takes every address.
func (s nginxSite) places() []nginxPlace {
	var places []nginxPlace
	whole := false
	var walk func(level nginxLevel)
	walk = func(level nginxLevel) {
		for _, d := range level.own("location", "if") {
			inner := level.within(d.body)
			switch {
			case len(places) > maxPlaces || len(d.args) == 0 || strings.HasPrefix(d.args[0], "@"):
				continue
			case d.name == "if":
				if len(inner.own("autoindex", "server_tokens", "root", "alias")) > 0 {
					places = append(places, s.place(inner, "", "if "+strings.Join(d.args, " ")))
				}
				continue
			}
			url, condition := nginxLocation(d.args)
			whole = whole || url == "/" && condition == ""
			places = append(places, s.place(inner, url, condition))
			walk(inner)
		}
	}
	walk(s.level)
	if !whole {
		places = append(places, s.place(s.level, "/", ""))
	}
	return places
}

// nginxLocation tells where a location begins, or the pattern that chooses it.
func nginxLocation(args []string) (url, condition string) {
	switch {
	case len(args) == 1 && strings.HasPrefix(args[0], "~"):
		return "", args[0]
	case len(args) == 1 || args[0] == "^~":
		return strings.TrimPrefix(args[len(args)-1], "^~"), ""
	case args[0] == "=":
		return args[1], "= " + args[1]
	}
	return "", strings.Join(args, " ")
}

func (s nginxSite) place(level nginxLevel, url, condition string) nginxPlace {
	tokens := level.value("server_tokens", "on")
	listing := level.value("autoindex", "off")
	p := nginxPlace{level: level, WebPlace: WebPlace{Program: "nginx", Server: s.Name, URL: url, Condition: condition, Serves: true,
		Public: s.Public, TLS: s.TLS,
		Options: []string{}, Signature: tokens.Value, Headers: map[string]string{}, Origin: listing.Origin}}
	if listing.Origin == "default" && len(level) > 3 {
		p.Origin = s.Origin
	}
	passes := level.own("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
	if len(passes) == 0 {
		p.Listing = listing.Value == "on"
		p.Path = nginxFolder(level.value("root", "html").Value)
		if url != "" {
			p.Path = path.Join(p.Path, url)
		}
		for _, d := range level.own("alias") {
			if len(d.args) > 0 {
				p.Path = nginxFolder(d.args[0])
			}
		}
	}
	p.Access = nginxAccess(level)
	for _, d := range level.all("add_header") {
		if len(d.args) > 1 {
			p.Headers[strings.ToLower(d.args[0])] = d.args[1]
		}
	}
	for _, d := range level.own("fastcgi_pass") {
		if len(d.args) > 0 {
			p.PHP = nginxUpstream(d.args[0], level[1].named["upstream"])
		}
	}
	for _, d := range level.all("fastcgi_param") {
		if len(d.args) < 2 || d.args[0] != "HTTPS" {
			continue
		}
		switch {
		case d.args[1] == "$https" && !s.TLS: // empty here
		case s.TLS:
			p.TLSEnv = "https"
		default:
			p.TLSEnv = "forwarded"
		}
	}
	return p
}

// nginxUpstream is the first server of the upstream block that a pass names, or the address itself.
func nginxUpstream(name string, upstreams []nginxDirective) string {
	for _, d := range upstreams {
		if len(d.args) == 0 || d.args[0] != name {
			continue
		}
		for _, s := range d.body {
			if s.name == "server" && len(s.args) > 0 {
				return s.args[0]
			}
		}
	}
	return name
}

// nginxAccess is who gets in: by allow and deny in their order, by passwords, certificates and answers without content.
func nginxAccess(level nginxLevel) string {
	for _, block := range level[2:] { // from the site inwards
		for _, d := range block.named["return"] {
			if len(d.args) > 0 && d.args[0] != "200" {
				return "none"
			}
		}
	}
	if len(level.own("internal")) > 0 {
		return "none"
	}
	access := "all"
	rules := nginxOrdered(level)
	for _, d := range rules {
		every := len(d.args) > 0 && d.args[0] == "all"
		if every && d.name == "deny" && access == "all" {
			return "none"
		}
		if every {
			break
		}
		access = "some"
	}
	for _, name := range []string{"auth_basic", "auth_request", "auth_jwt", "ssl_verify_client"} {
		if v := level.value(name, "off").Value; v != "off" && v != "optional" && v != "optional_no_ca" && access == "all" {
			access = "some"
		}
	}
	return access
}

// nginxOrdered are allow and deny of the innermost level that has either.
func nginxOrdered(level nginxLevel) []nginxDirective {
	for i := len(level) - 1; i >= 0; i-- {
		if len(level[i].named["allow"])+len(level[i].named["deny"]) == 0 {
			continue
		}
		return slices.DeleteFunc(slices.Clone(level[i].body), func(d nginxDirective) bool { return d.name != "allow" && d.name != "deny" })
	}
	return nil
}
