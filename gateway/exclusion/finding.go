package exclusion

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway/waf"
)

// Finding is an event of the firewall, taken apart.
type Finding struct {
	Event     event.Event
	Request   string // the request's id
	Path      string // of the request, decoded
	Hits      []waf.Hit
	More      int // matches that are not in Hits
	RefusedBy int // the rule that refused; 0: none did
	Would     int // the rule that would have, had the site not only told
	Score     int // of the request
	Answer    int // and of the answer

	// Exceeded is the setting of the site's firewall that the request's body went beyond, fields_limit or body_limit, with its value in bytes;
	// "" where it did not.
	Exceeded string
	Limit    int
}

// Read takes an event of the firewall apart (class detection, action waf or waf-limit).
func Read(e event.Event) Finding {
	f := Finding{Event: e, Hits: []waf.Hit{}, Request: field(e, "request_id"), Path: pathOf(e)}
	number := func(key string) int {
		n, err := strconv.Atoi(field(e, key))
		if err != nil {
			return 0
		}
		return n
	}
	f.RefusedBy, f.Would, f.Score, f.Answer, f.More = number("refused_by"), number("would_refuse"), number("score"), number("answer_score"), number("more")
	f.Exceeded, f.Limit = field(e, "setting"), number("limit")
	for _, one := range e.Fields {
		if one.Key != "match" {
			continue
		}
		var hit waf.Hit
		if json.Unmarshal([]byte(one.Value), &hit) != nil { // it was cut short
			f.More++
			continue
		}
		f.Hits = append(f.Hits, hit)
	}
	return f
}

func field(e event.Event, key string) string {
	for _, f := range e.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

func pathOf(e event.Event) string {
	path, _, _ := strings.Cut(field(e, "target"), "?")
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}

// Unnarrowed is a match for which there is no exclusion that leaves out nothing else of the site.
type Unnarrowed struct {
	Rule     int
	Variable string
	Problem  string
}

// Narrowest are the exclusions that would let such a request pass: one for each rule and value, below a path, which is the request's where it
// is "". What cannot be left out so narrowly is told.
func (f Finding) Narrowest(path string) ([]Exclusion, []Unnarrowed) {
	var all []Exclusion
	var not []Unnarrowed
	if path == "" {
		path = f.Path
	}
	for _, hit := range f.Hits {
		x, err := narrow(f.Event.Site, path, hit)
		if err != nil {
			if n := (Unnarrowed{hit.Rule, hit.Variable, err.Error()}); !slices.Contains(not, n) {
				not = append(not, n)
			}
			continue
		}
		x.Request = f.Request
		if !slices.Contains(all, x) {
			all = append(all, x)
		}
	}
	return all, not
}

// narrow is the narrowest exclusion for a hit. What rules made themselves cannot be left out, so that the rule is.
func narrow(site, path string, hit waf.Hit) (Exclusion, error) {
	x := Exclusion{Site: site, Path: path, Rule: hit.Rule}
	if !waf.Made(hit.Variable) {
		x.Target = hit.Variable
	}
	if strings.HasSuffix(x.Target, "…") {
		return x, errors.New("the name of the value is too long")
	}
	return x, x.check()
}

// Widened ends a path before its first segment with a digit: what stands there is one ticket's number, not a page.
func Widened(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if i > 1 && strings.ContainsAny(segment, "0123456789") {
			return strings.Join(segments[:i], "/")
		}
	}
	return path
}
