package facts

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// overrideClass is the class of AllowOverride that a directive in a .htaccess file needs; "any" is any of them.
func overrideClass(name string) string {
	switch name {
	case "options", "ssloptions", "php_value", "php_flag":
		return "options"
	case "require", "requireall", "requireany", "requirenone":
		return "authconfig"
	case "order", "allow", "deny", "satisfy":
		return "limit"
	case "serversignature", "files", "filesmatch", "if", "else", "elseif":
		return "any"
	case "header", "sethandler", "addhandler", "addtype", "removehandler", "removetype", "setenvif", "setenvifnocase",
		"setenv":
		return "fileinfo"
	}
	return "never" // what rules do not look at, and what no .htaccess may say
}

// permitted leaves of a .htaccess file what AllowOverride lets it say here.
func (r *apacheRules) permitted(body []apacheDirective) []apacheDirective {
	var left []apacheDirective
	for _, d := range body {
		class := overrideClass(d.name)
		ok := class != "never" && slices.Contains(r.list, d.name)
		for _, o := range r.override {
			switch {
			case class == "never":
			case o == "all" || o == class || class == "any" && o != "none" && !strings.HasPrefix(o, "nonfatal="):
				ok = true
			case class == "options" && strings.HasPrefix(o, "options="):
				ok = ok || d.name != "options" || optionsAllowed(d.raw, strings.TrimPrefix(o, "options="))
			}
		}
		if ok {
			d.body = r.permittedIn(d)
			left = append(left, d)
		}
	}
	return left
}

func (r *apacheRules) permittedIn(d apacheDirective) []apacheDirective {
	if overrideClass(d.name) != "any" {
		return d.body
	}
	return r.permitted(d.body)
}

func optionsAllowed(raw, allowed string) bool {
	names := strings.Split(allowed, ",")
	for _, w := range strings.Fields(strings.ToLower(raw)) {
		if name := strings.TrimLeft(w, "+-"); name != "none" && !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

// patterns are regular expressions that were compiled before; nil for one that cannot be.
type patterns map[string]*regexp.Regexp

func (p patterns) compile(text string) *regexp.Regexp {
	re, known := p[text]
	if !known {
		re, _ = regexp.Compile(text) // nil for what is Perl's alone, see matches
		p[text] = re
	}
	return re
}

// matches says whether a section is about a name: by pattern, by wildcards, or as the folder or location itself and all
// below it. sure is false where the pattern is none that can be tried here.
func (d *apacheDirective) matches(name string, known patterns) (yes, sure bool) {
	pattern, regex := d.pattern()
	if regex {
		re := known.compile(pattern)
		if re == nil {
			return true, false
		}
		return re.MatchString(name) || re.MatchString(strings.TrimSuffix(name, "/")+"/"), true
	}
	if d.name == "files" {
		ok, err := path.Match(pattern, name)
		return ok && err == nil, true
	}
	if !strings.ContainsAny(pattern, "*?[") {
		return lies(strings.TrimSuffix(name, "/"), strings.TrimSuffix(pattern, "/")) || pattern == "/", true
	}
	depth := strings.Count(strings.TrimSuffix(pattern, "/"), "/")
	parts := strings.SplitN(name, "/", depth+2)
	ok, err := path.Match(strings.TrimSuffix(pattern, "/"), strings.Join(parts[:min(len(parts), depth+1)], "/"))
	return ok && err == nil, true
}

// aim notes what a section is about, once for all the names that it is tried on.
func (d *apacheDirective) aim() {
	args := d.args
	d.regex = strings.HasSuffix(d.name, "match")
	if len(args) > 1 && args[0] == "~" {
		args, d.regex = args[1:], true
	}
	if len(args) == 0 {
		return
	}
	d.about = args[0]
	if !d.regex && d.name == "directory" {
		d.about = path.Clean("/" + d.about)
	}
}

// pattern is what a section is about, and whether that is a regular expression.
func (d apacheDirective) pattern() (string, bool) { return d.about, d.regex }
