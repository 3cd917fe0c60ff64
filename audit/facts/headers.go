package facts

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	maxHeader   = 2000 // bytes of a header that are kept as evidence
	maxPolicies = 16   // Content-Security-Policy headers of one answer
)

// Headers are those of an answer that protect whoever reads it, as browsers take them.
type Headers struct {
	// CSP is the policy that is enforced; several are joined. CSPReport is what is only reported.
	CSP       string `cel:"csp"`
	CSPReport string `cel:"csp_report"`
	// Scripts says what the policy lets run as a script: any (nothing restricts it, or *, https: or http: do not), listed
	// (some sources), none. Inline and Eval say that 'unsafe-inline' and 'unsafe-eval' count for scripts.
	Scripts string `cel:"scripts"`
	Inline  bool   `cel:"inline"`
	Eval    bool   `cel:"eval"`
	// Framing says who may show the page in a frame, by frame-ancestors or, without it, X-Frame-Options: any, listed, self or none.
	Framing string `cel:"framing"`
	NoSniff bool   `cel:"nosniff"` // X-Content-Type-Options
	// HSTS says that Strict-Transport-Security is set and valid (RFC 6797); MaxAge is in seconds.
	HSTS       bool   `cel:"hsts"`
	MaxAge     int    `cel:"max_age"`
	Subdomains bool   `cel:"subdomains"`
	XSS        string `cel:"xss"` // X-XSS-Protection without blanks, in small letters; empty when absent
	Referrer   string `cel:"referrer"`
	Server     string `cel:"server"`
	PoweredBy  string `cel:"powered_by"` // X-Powered-By and X-AspNet-Version
}

// readHeaders reads the headers of one answer.
func readHeaders(h http.Header) Headers {
	r := Headers{
		CSP: joined(h, "Content-Security-Policy"), CSPReport: joined(h, "Content-Security-Policy-Report-Only"),
		NoSniff:  strings.EqualFold(firstOf(joined(h, "X-Content-Type-Options")), "nosniff"),
		XSS:      strings.ToLower(strings.ReplaceAll(joined(h, "X-XSS-Protection"), " ", "")),
		Referrer: joined(h, "Referrer-Policy"), Server: joined(h, "Server"),
		PoweredBy: strings.TrimPrefix(joined(h, "X-Powered-By")+", "+joined(h, "X-AspNet-Version"), ", "),
	}
	r.PoweredBy = strings.TrimSuffix(r.PoweredBy, ", ")
	policies := readPolicies(h.Values("Content-Security-Policy"))
	r.Scripts, r.Inline, r.Eval = scripts(policies)
	r.Framing = framing(policies, joined(h, "X-Frame-Options"))
	r.MaxAge, r.Subdomains, r.HSTS = strictTransport(h.Values("Strict-Transport-Security"))
	return r
}

func joined(h http.Header, name string) string {
	text := strings.TrimSpace(strings.Join(h.Values(name), ", "))
	if len(text) > maxHeader {
		text = strings.ToValidUTF8(text[:maxHeader], "")
	}
	return text
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// policy is one Content-Security-Policy: its directives with their sources. The first of a name counts (CSP3, section 2.2.1).
type policy map[string][]string

// readPolicies reads all policies; one header may hold several, parted by commas, and all of them are enforced.
func readPolicies(values []string) []policy {
	var all []policy
	for _, text := range strings.Split(strings.Join(values, ","), ",") {
		p := policy{}
		for directive := range strings.SplitSeq(text, ";") {
			words := strings.Fields(strings.ToLower(directive))
			if len(words) == 0 {
				continue
			}
			if _, twice := p[words[0]]; !twice {
				p[words[0]] = words[1:]
			}
		}
		if len(p) > 0 && len(all) < maxPolicies {
			all = append(all, p)
		}
	}
	return all
}

// scripts says what all policies together let run. A policy that says nothing of scripts restricts nothing.
func scripts(policies []policy) (reach string, inline, eval bool) {
	reach, inline, eval = "any", true, true
	for _, p := range policies {
		sources, ok := p["script-src"]
		if !ok {
			if sources, ok = p["default-src"]; !ok {
				continue
			}
		}
		has := func(source string) bool { return slices.Contains(sources, source) }
		// A nonce, a hash or 'strict-dynamic' turns 'unsafe-inline' off in browsers that know them.
		strict := slices.ContainsFunc(sources, func(s string) bool {
			return strings.HasPrefix(s, "'nonce-") || strings.HasPrefix(s, "'sha") || s == "'strict-dynamic'"
		})
		inline = inline && has("'unsafe-inline'") && !strict
		eval = eval && has("'unsafe-eval'")
		open := (has("*") || has("https:") || has("http:")) && !has("'strict-dynamic'")
		switch {
		case len(sources) == 0 || len(sources) == 1 && sources[0] == "'none'":
			reach = "none"
		case !open && reach == "any":
			reach = "listed"
		}
	}
	return reach, inline, eval
}

// framing says who may frame the page. Where frame-ancestors stands, X-Frame-Options is ignored (CSP3, section 6.4.2.1).
func framing(policies []policy, options string) string {
	order := []string{"none", "self", "listed", "any"}
	result := ""
	for _, p := range policies {
		sources, ok := p["frame-ancestors"]
		if !ok {
			continue
		}
		who := "listed"
		switch {
		case len(sources) == 0 || slices.Equal(sources, []string{"'none'"}):
			who = "none"
		case slices.Equal(sources, []string{"'self'"}):
			who = "self"
		case slices.ContainsFunc(sources, func(s string) bool { return s == "*" || s == "https:" || s == "http:" }):
			who = "any"
		}
		if result == "" || slices.Index(order, who) < slices.Index(order, result) {
			result = who
		}
	}
	if result != "" {
		return result
	}
	return frameOptions(options)
}

// frameOptions reads X-Frame-Options as browsers do (HTML, section 7.5): the same word twice counts once, different words
// where one is known forbid all framing, and a word that is not known, such as ALLOW-FROM, counts for nothing.
func frameOptions(text string) string {
	words := map[string]bool{}
	for word := range strings.SplitSeq(strings.ToLower(text), ",") {
		words[strings.TrimSpace(word)] = true
	}
	known := words["deny"] || words["sameorigin"] || words["allowall"]
	switch {
	case len(words) > 1 && known, words["deny"]:
		return "none"
	case len(words) == 1 && words["sameorigin"]:
		return "self"
	}
	return "any"
}

// strictTransport reads the first Strict-Transport-Security (RFC 6797, sections 6.1 and 8.1): a directive that stands twice,
// or max-age without a number, makes all of it void.
func strictTransport(values []string) (maxAge int, subdomains, ok bool) {
	if len(values) == 0 {
		return 0, false, false
	}
	seen := map[string]bool{}
	for directive := range strings.SplitSeq(values[0], ";") {
		name, value, _ := strings.Cut(directive, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" {
			continue
		}
		if seen[name] {
			return 0, false, false
		}
		seen[name] = true
		switch name {
		case "max-age":
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 63)
			if err != nil {
				return 0, false, false
			}
			maxAge = int(min(n, 1<<40))
		case "includesubdomains":
			subdomains = true
		}
	}
	return maxAge, subdomains, seen["max-age"]
}
