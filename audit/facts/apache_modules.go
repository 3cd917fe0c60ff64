package facts

import (
	"slices"
	"strings"
)

// riskyModules are modules of Apache that widen what a stranger can reach, with the directives or handlers one of which
// must be there for the module to be of any use.
var riskyModules = map[string][]string{
	"proxy":                {"proxypass", "proxypassmatch", "proxyrequests", "proxy:", "proxy-server"},
	"proxy_http":           {"http://", "https://", "balancer://"},
	"proxy_http2":          {"h2://", "h2c://"},
	"proxy_connect":        {"allowconnect"},
	"proxy_ftp":            {"ftp://"},
	"proxy_ajp":            {"ajp://"},
	"proxy_fcgi":           {"fcgi://"},
	"proxy_scgi":           {"scgi://"},
	"proxy_uwsgi":          {"uwsgi://"},
	"proxy_wstunnel":       {"ws://", "wss://", "upgrade="},
	"proxy_express":        {"proxyexpressenable"},
	"proxy_html":           {"proxyhtmlenable"},
	"proxy_balancer":       {"balancer://", "balancer-manager"},
	"status":               {"server-status"},
	"info":                 {"server-info"},
	"userdir":              {"userdir"},
	"dav":                  {"dav"},
	"dav_fs":               {"dav"},
	"dav_lock":             {"dav"},
	"cgi":                  {"scriptalias", "scriptaliasmatch", "execcgi", "+execcgi", "cgi-script"},
	"cgid":                 {"scriptalias", "scriptaliasmatch", "execcgi", "+execcgi", "cgi-script"},
	"include":              {"includes", "+includes", "includesnoexec", "+includesnoexec"},
	"autoindex":            {"indexes", "+indexes"},
	"lua":                  {"luamaphandler", "luahookfixups", "lua-script"},
	"ext_filter":           {"extfilterdefine"},
	"dump_io":              {"dumpioinput", "dumpiooutput"},
	"speling":              {"checkspelling"},
	"imagemap":             {"imap-file"},
	"asis":                 {"send-as-is"},
	"vhost_alias":          {"virtualdocumentroot", "virtualscriptalias"},
	"heartmonitor":         {"heartbeatlisten"},
	"bucketeer":            {"bucketeer"},
	"case_filter":          {"casefilter"},
	"case_filter_in":       {"casefilterin"},
	"echo":                 {"protocolecho"},
	"example_hooks":        {"example"},
	"example_ipc":          {"example_ipc"},
	"optional_hook_export": {"-"},
}

// modules lists what is loaded, and judges what of it has to be.
func (c *apacheConfig) modules(t Target) []WebModule {
	used := map[string]bool{}
	wordsOf(c.all, used)
	modules := []WebModule{}
	for _, m := range c.parser.modules {
		w := WebModule{Name: strings.TrimSuffix(m.id, "_module"), BuiltIn: m.builtIn, Origin: m.origin}
		needs, risky := riskyModules[w.Name]
		switch {
		case m.builtIn:
		case len(t.ApacheModules) > 0:
			if !slices.Contains(t.ApacheModules, w.Name) {
				w.Unneeded = "it is not in audit.apache_modules"
			}
		case risky && !slices.ContainsFunc(needs, func(n string) bool { return used[n] }):
			w.Unneeded = "nothing in the configuration uses it"
		}
		modules = append(modules, w)
	}
	return modules
}

// wordsOf collects the names of all directives, and of their arguments the words and the scheme of an address.
func wordsOf(body []apacheDirective, used map[string]bool) {
	for _, d := range body {
		if d.name == "loadmodule" {
			continue
		}
		if !strings.HasPrefix(d.name, "userdir") || !strings.EqualFold(d.raw, "disabled") {
			used[d.name] = true
		}
		for _, a := range d.args {
			a = strings.ToLower(a)
			used[a] = true
			if strings.HasPrefix(a, "proxy:") {
				used["proxy:"] = true
			}
			if strings.HasPrefix(a, "upgrade=") {
				used["upgrade="] = true
			}
			if i := strings.Index(a, "://"); i >= 0 {
				used[a[strings.LastIndexAny(a[:i], ":|\"")+1:i+3]] = true
			}
		}
		wordsOf(d.body, used)
	}
}
