package sigma

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a response.
const (
	maxDuration = 3650 * 24 * time.Hour
	maxFactor   = 100
)

// respond reads our own section: one action with its duration, and how it is to be applied.
func (p *parserOf) respond(e entry) *Response {
	r := &Response{Scope: ScopeAddress, Line: e.line}
	for _, part := range p.mapping(e.value, e.key) {
		switch part.key {
		case "ban", "throttle", "challenge", "alert":
			if r.Action != "" {
				p.at(part.line, "respond has both %s and %s; keep one", r.Action, part.key)
			}
			r.Action = Action(part.key)
			r.For = p.duration(part, r.Action == Ban)
		case "escalate":
			p.escalate(r, part)
		case "scope":
			r.Scope = Scope(p.text(part))
			if !slices.Contains([]Scope{ScopeAddress, ScopeSubnet64, ScopeSubnet, ScopeAccount}, r.Scope) {
				p.at(part.line, "scope %q is none of address, subnet64, subnet and account", r.Scope)
			}
		case "target":
			r.Target = p.text(part)
		case "spoofable":
			r.Spoofable = p.truth(part)
		default:
			p.at(part.line, "respond has no key %q; it has ban, throttle, challenge or alert, and escalate, scope, target and spoofable", part.key)
		}
	}
	switch {
	case r.Action == "":
		p.at(e.line, "respond needs one of ban, throttle, challenge and alert, with a duration")
	case r.EscalateFactor > 0 && (r.For == 0 || r.Action == Alert):
		p.at(e.line, "escalate needs an action that ends, and is no alert")
	case r.EscalateFactor > 0 && r.EscalateMax < r.For:
		p.at(e.line, "escalate: max is less than the first duration")
	case r.Scope == ScopeAccount && r.Action == Ban && r.For == 0:
		p.at(e.line, "an account cannot be banned for good: whoever knows its name could lock its owner out")
	}
	return r
}

func (p *parserOf) escalate(r *Response, e entry) {
	for _, part := range p.mapping(e.value, e.key) {
		switch part.key {
		case "factor":
			f, err := strconv.ParseFloat(p.text(part), 64)
			if err != nil || math.IsNaN(f) || f <= 1 || f > maxFactor {
				p.at(part.line, "factor must be a number over 1, and at most %d", maxFactor)
				f = 2
			}
			r.EscalateFactor = f
		case "max":
			r.EscalateMax = p.duration(part, false)
		default:
			p.at(part.line, "escalate has no key %q; it has factor and max", part.key)
		}
	}
	if r.EscalateFactor == 0 || r.EscalateMax == 0 {
		p.at(e.line, "escalate needs factor and max")
	}
}

// duration reads a number and a letter; permanent, where it is allowed, is zero.
func (p *parserOf) duration(e entry, permanent bool) time.Duration {
	s := p.text(e)
	if permanent && s == "permanent" {
		return 0
	}
	d, ok := parseSpan(s)
	if !ok {
		p.at(e.line, "%s: %q is no duration; write a number and one of s, m, h, d, w, such as 10m", e.key, s)
		return time.Minute
	}
	return d
}

// parseSpan reads the specification's form of a time span: a number and a letter. w is ours; the letters M and y of some
// other tools are not read, since a month has no fixed length.
func parseSpan(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 10 {
		return 0, false
	}
	at := strings.IndexByte("smhdw", s[len(s)-1])
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if at < 0 || err != nil || n == 0 {
		return 0, false
	}
	unit := [...]time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}[at]
	if time.Duration(n) > maxDuration/unit {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// checkResponse checks what a response is about. The target of a correlation must be a field that it groups by: any other
// field is the one of the last event only, and whoever sends that event would choose who is banned.
func (p *parserOf) checkResponse(r *Response, c *Correlation) {
	if r == nil || r.Action == "" {
		return
	}
	if c != nil && r.Target == "" && len(c.GroupBy) == 1 {
		r.Target = c.GroupBy[0]
	}
	switch {
	case r.Target == "" && r.Action != Alert:
		p.at(r.Line, "respond needs a target: the field that names whom it is about")
	case r.Target != "" && c != nil && !slices.Contains(c.GroupBy, r.Target):
		p.at(r.Line, "the target %s is none of the fields in group-by: the last event alone would choose who it is", r.Target)
	}
}
