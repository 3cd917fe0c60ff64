package facts

import (
	"maps"
	"slices"
	"strings"
)

// apacheRules are the directives in force for one folder, location or file, as sections are merged one over the other.
type apacheRules struct {
	options   map[string]bool
	listing   string // origin of what decided on Indexes
	override  []string
	list      []string // AllowOverrideList
	access    string
	old       string // what Order, Allow and Deny say; empty when nothing does
	signature Setting
	headers   map[string]string // "always NAME" or "onsuccess NAME"
	stdEnv    bool
	forwarded bool // HTTPS is set from the header of a proxy
	handler   string
	byName    string // the handler that AddHandler or AddType gives .php
	engine    bool
	php       map[string]phpValue
	params    []phpSetting // what php-fpm is told by PHP_VALUE and PHP_ADMIN_VALUE
}

// phpValue is a directive of PHP that Apache sets; one of php_admin_value cannot be set by .htaccess.
type phpValue struct {
	Setting
	admin bool
}

func newApacheRules() *apacheRules {
	return &apacheRules{options: map[string]bool{"followsymlinks": true}, listing: "default", override: []string{"none"}, access: "all",
		signature: Setting{"off", "default"}, headers: map[string]string{}, engine: true, php: map[string]phpValue{}}
}

// apply merges one section, or what a server says outside of sections, over what is in force. Nested sections are not
// looked at: who goes through the layers does that.
func (r *apacheRules) apply(body []apacheDirective) {
	var require []apacheDirective
	var old []apacheDirective
	for _, d := range body {
		first := strings.ToLower(strings.Join(d.args[:min(1, len(d.args))], ""))
		switch d.name {
		case "options":
			r.setOptions(d)
		case "allowoverride":
			r.override = strings.Fields(strings.ToLower(d.raw))
		case "allowoverridelist":
			r.list = strings.Fields(strings.ToLower(d.raw))
		case "require", "requireall", "requireany", "requirenone":
			require = append(require, d)
		case "order", "allow", "deny", "satisfy":
			old = append(old, d)
		case "serversignature":
			r.signature = Setting{first, d.origin}
		case "header":
			r.setHeader(d)
		case "ssloptions":
			r.setSSLOptions(d)
		case "setenvif", "setenvifnocase":
			r.setForwarded(d)
		case "setenv":
			if len(d.args) > 1 && (d.args[0] == "PHP_VALUE" || d.args[0] == "PHP_ADMIN_VALUE") {
				r.params = append(r.params, phpParams(d.args[0], d.args[1], d.origin)...)
			}
		case "proxyfcgisetenvif":
			if len(d.args) > 2 && (d.args[1] == "PHP_VALUE" || d.args[1] == "PHP_ADMIN_VALUE") {
				r.params = append(r.params, phpParams(d.args[1], d.args[2], d.origin)...)
			}
		case "sethandler":
			if r.handler = strings.Join(d.args, " "); first == "none" {
				r.handler = ""
			}
		case "addhandler", "addtype":
			if slices.ContainsFunc(d.args[min(1, len(d.args)):], func(e string) bool { return strings.EqualFold(strings.TrimPrefix(e, "."), "php") }) {
				r.byName = d.args[0]
			}
		case "removehandler", "removetype":
			if slices.ContainsFunc(d.args, func(e string) bool { return strings.EqualFold(strings.TrimPrefix(e, "."), "php") }) {
				r.byName = ""
			}
		case "php_value", "php_admin_value", "php_flag", "php_admin_flag":
			r.setPHP(d)
		}
	}
	if len(require) > 0 {
		r.access = anyOf(require)
	}
	if len(old) > 0 {
		r.old = oldAccess(old)
	}
}

// setOptions merges as core_merge_dir_configs does: a list without signs replaces what was, signs change it.
func (r *apacheRules) setOptions(d apacheDirective) {
	words := strings.Fields(strings.ToLower(d.raw))
	before := r.options["indexes"]
	named := false
	next := maps.Clone(r.options)
	for i, w := range words {
		w = strings.Trim(w, `"`)
		name := strings.TrimLeft(w, "+-")
		if i == 0 && w == name {
			next = map[string]bool{}
			named = true
		}
		set := !strings.HasPrefix(w, "-")
		switch name {
		case "none":
			next = map[string]bool{}
		case "all":
			for _, o := range []string{"indexes", "includes", "followsymlinks", "execcgi"} {
				next[o] = set
			}
			named = true
		default:
			next[name] = set
		}
		named = named || name == "indexes" || name == "none"
	}
	maps.DeleteFunc(next, func(_ string, on bool) bool { return !on })
	r.options = next
	if named || before != next["indexes"] {
		r.listing = d.origin
	}
}

// anyOf words who gets in by a list of requirements of which one is enough.
func anyOf(list []apacheDirective) string {
	result := "none"
	for _, d := range list {
		switch requirement(d) {
		case "all":
			return "all"
		case "some":
			result = "some"
		}
	}
	return result
}

func requirement(d apacheDirective) string {
	switch d.name {
	case "requireany":
		return anyOf(d.body)
	case "requireall":
		result := "all"
		for _, inner := range d.body {
			switch requirement(inner) {
			case "none":
				return "none"
			case "some":
				result = "some"
			}
		}
		return result
	case "requirenone":
		if anyOf(d.body) == "all" {
			return "none"
		}
		return "some"
	}
	words := strings.Fields(strings.ToLower(d.raw))
	not := len(words) > 0 && words[0] == "not"
	if not {
		words = words[1:]
	}
	switch {
	case len(words) >= 2 && words[0] == "all" && (words[1] == "granted") != not:
		return "all"
	case len(words) >= 2 && words[0] == "all":
		return "none"
	}
	return "some"
}

// oldAccess words Order, Allow and Deny (mod_access_compat).
func oldAccess(list []apacheDirective) string {
	allowFirst, allow, deny := false, "", ""
	for _, d := range list {
		raw := strings.Join(strings.Fields(strings.ToLower(d.raw)), " ")
		what := "some"
		if raw == "from all" {
			what = "all"
		}
		switch d.name {
		case "order":
			allowFirst = strings.HasPrefix(raw, "allow")
		case "allow":
			if allow != "all" {
				allow = what
			}
		case "deny":
			if deny != "all" {
				deny = what
			}
		}
	}
	switch {
	case allowFirst && (allow == "" || deny == "all"): // the default is to deny, and deny wins
		return "none"
	case allowFirst && allow == "all" && deny == "", !allowFirst && (deny == "" || allow == "all"):
		return "all"
	case !allowFirst && deny == "all" && allow == "":
		return "none"
	}
	return "some"
}

// who is who gets in, by both kinds of rules together.
func (r *apacheRules) who() string {
	switch {
	case r.access == "none" || r.old == "none":
		return "none"
	case r.access == "all" && (r.old == "" || r.old == "all"):
		return "all"
	}
	return "some"
}

// setHeader follows mod_headers: two tables of headers, one of which is sent with errors too. What is set only under a
// condition is not counted as set.
func (r *apacheRules) setHeader(d apacheDirective) {
	args, table := d.args, "onsuccess "
	if len(args) > 0 && (strings.EqualFold(args[0], "always") || strings.EqualFold(args[0], "onsuccess")) {
		table = strings.ToLower(args[0]) + " "
		args = args[1:]
	}
	if len(args) < 2 {
		return
	}
	name := strings.ToLower(strings.TrimSuffix(args[1], ":"))
	value := ""
	if len(args) > 2 {
		value = args[2]
	}
	conditional := len(args) > 3
	switch strings.ToLower(args[0]) {
	case "unset":
		delete(r.headers, table+name)
	case "set", "setifempty":
		if !conditional && (r.headers[table+name] == "" || strings.EqualFold(args[0], "set")) {
			r.headers[table+name] = value
		}
	case "append", "add", "merge":
		if !conditional {
			r.headers[table+name] = strings.TrimPrefix(r.headers[table+name]+", "+value, ", ")
		}
	case "edit", "edit*":
		if _, ok := r.headers[table+name]; ok {
			r.headers[table+name] = "(edited)"
		}
	}
}

// sent are the headers that a successful answer carries.
func (r *apacheRules) sent() map[string]string {
	all := map[string]string{}
	for _, table := range []string{"always ", "onsuccess "} {
		for name, value := range r.headers {
			if rest, ok := strings.CutPrefix(name, table); ok {
				all[rest] = strings.TrimPrefix(all[rest]+", "+value, ", ")
			}
		}
	}
	return all
}

func (r *apacheRules) setSSLOptions(d apacheDirective) {
	for i, w := range strings.Fields(strings.ToLower(d.raw)) {
		if i == 0 && !strings.HasPrefix(w, "+") && !strings.HasPrefix(w, "-") {
			r.stdEnv = false
		}
		if strings.TrimLeft(w, "+-") == "stdenvvars" {
			r.stdEnv = !strings.HasPrefix(w, "-")
		}
	}
}

// setForwarded knows SetEnvIf X-Forwarded-Proto "https" HTTPS=on.
func (r *apacheRules) setForwarded(d apacheDirective) {
	if len(d.args) < 3 || !strings.EqualFold(d.args[0], "x-forwarded-proto") {
		return
	}
	for _, v := range d.args[2:] {
		if name, value, _ := strings.Cut(v, "="); name == "HTTPS" && value != "" {
			r.forwarded = true
		}
	}
}

func (r *apacheRules) setPHP(d apacheDirective) {
	if len(d.args) < 2 {
		return
	}
	name, value := d.args[0], d.args[1]
	if strings.HasSuffix(d.name, "_flag") {
		value = phpFlag(value)
	}
	admin := strings.HasPrefix(d.name, "php_admin_")
	if r.php[name].admin && !admin { // php_value does not change what php_admin_value set
		return
	}
	if name == "engine" {
		r.engine = phpFlag(value) == "1"
		return
	}
	if strings.EqualFold(value, "none") {
		value = ""
	}
	r.php[name] = phpValue{Setting{value, d.origin}, admin}
}

// runs says how a .php file is run under these rules; module is whether mod_php is loaded.
func (r *apacheRules) runs(module bool) string {
	handler := r.handler
	if handler == "" {
		handler = r.byName
	}
	switch {
	case module && r.engine && strings.HasPrefix(handler, "application/x-httpd-php") && !strings.HasSuffix(handler, "-source"):
		return "module"
	case strings.HasPrefix(handler, "proxy:unix:"):
		socket, _, _ := strings.Cut(strings.TrimPrefix(handler, "proxy:"), "|")
		return socket
	case strings.HasPrefix(handler, "proxy:fcgi://"):
		address, _, _ := strings.Cut(strings.TrimPrefix(handler, "proxy:fcgi://"), "/")
		return address
	}
	return ""
}
