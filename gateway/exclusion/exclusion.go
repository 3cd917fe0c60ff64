package exclusion

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/gateway/waf"
)

// Exclusion leaves one rule, or one value of one rule, out of the requests of a site below a path.
type Exclusion struct {
	ID   string `json:"id,omitempty"` // UUIDv7; empty as long as it is not in the store
	Site string `json:"site"`         // its first host
	Path string `json:"path"`         // a prefix of whole segments, exactly as written
	Rule int    `json:"rule"`
	// Target is the value that the rule leaves out, in the words of rules (ARGS:body); empty: the rule does not run.
	Target  string    `json:"target,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Request string    `json:"request,omitempty"` // the request that it was made of
	Created time.Time `json:"created,omitzero"`
	By      string    `json:"by,omitempty"` // the actor who took it over
}

// Caps. Only people with a privilege add exclusions, but each request is compared with every path, and a finding's names come from strangers.
const (
	Max       = 1000 // exclusions of all sites
	maxSite   = 255  // bytes, and so below
	maxPath   = 512
	maxTarget = 256
	maxReason = 500
)

// parameterPrefix begins the targets that the configuration calls parameters.
const parameterPrefix = "ARGS:"

// Parameter is the name of the parameter in query or form whose value is left out; empty where the target is something else.
func (e Exclusion) Parameter() string {
	name, ok := strings.CutPrefix(e.Target, parameterPrefix)
	if !ok {
		return ""
	}
	return name
}

// YAML is the exclusion as sites[].waf.exclude has it, on one line.
func (e Exclusion) YAML() string {
	text := fmt.Sprintf("{path: %s, rules: [%d]", strconv.Quote(e.Path), e.Rule)
	switch {
	case e.Parameter() != "":
		text += ", parameter: " + strconv.Quote(e.Parameter())
	case e.Target != "":
		text += ", target: " + strconv.Quote(e.Target)
	}
	return text + "}"
}

// Covers tells whether whatever other leaves out is left out by e too.
func (e Exclusion) Covers(other Exclusion) bool {
	return e.Site == other.Site && e.Rule == other.Rule && Below(other.Path, e.Path) && (e.Target == "" || strings.EqualFold(e.Target, other.Target))
}

// Below tells whether a path is the prefix or lies below it, by whole segments.
func Below(path, prefix string) bool {
	path, prefix = strings.TrimSuffix(path, "/"), strings.TrimSuffix(prefix, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// InputError says which part of an exclusion cannot be accepted, and why.
type InputError struct{ Field, Problem string }

// Error is the sentence.
func (e *InputError) Error() string { return e.Field + " " + e.Problem }

// wholeSite is the problem with a path.
const wholeSite = "is the whole site, in which the rule would be switched off: it matched no value with a name"

// check judges what is to be stored. A rule is never switched off for a whole site.
func (e Exclusion) check() error {
	switch {
	case e.Site == "" || len(e.Site) > maxSite:
		return &InputError{"site", fmt.Sprintf("has to be a site's name of 1 to %d bytes", maxSite)}
	case e.Rule < 1:
		return &InputError{"rule", "has to be the id of a rule"}
	case len(e.Reason) > maxReason:
		return &InputError{"reason", fmt.Sprintf("has more than %d bytes", maxReason)}
	}
	if err := checkPath(e.Path); err != nil {
		return &InputError{"path", err.Error()}
	}
	if e.Target != "" {
		if err := checkTarget(e.Target); err != nil {
			return &InputError{"target", err.Error()}
		}
	}
	if e.Path == "/" && !waf.Named(e.Target) {
		return &InputError{"path", wholeSite}
	}
	return nil
}

// checkPath accepts what the configuration accepts as path of an exclusion.
func checkPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return errors.New("does not begin with /")
	case len(path) > maxPath:
		return fmt.Errorf("is longer than %d bytes", maxPath)
	case strings.ContainsAny(path, "*?#%\\;") || strings.Contains(path, "//") || strings.Contains(path, " ") || !plain(path):
		return errors.New("has characters that no path of an exclusion may have")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return errors.New("has a dot segment")
		}
	}
	return nil
}

// checkTarget accepts what names one value. A name of a stranger's choice must not become an expression that means every value.
func checkTarget(target string) error {
	switch {
	case len(target) > maxTarget:
		return fmt.Errorf("is longer than %d bytes", maxTarget)
	case !plain(target):
		return errors.New("has characters that cannot be written")
	}
	return waf.CheckValue(target)
}

// plain tells whether everything in a text can be seen. What the event log had to clean stands there as U+FFFD and is not what the request had.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError })
}
