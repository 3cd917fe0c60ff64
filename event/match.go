package event

import (
	"net/netip"
	"slices"
	"strings"
)

// looks tells whether rows have to be looked at beyond what the database selects.
func (f *filter) looks() bool { return f.network.IsValid() || len(f.fields) > 0 || f.text != "" }

// match looks at what the database was not asked for: networks, fields and free text. The bytes in which
// fields and raw line are stored hold their texts as they are, so most rows are told by those.
func (f *filter) match(r *row) bool {
	if f.network.IsValid() {
		source, err := netip.ParseAddr(r.source)
		if err != nil || !f.network.Contains(source.WithZone("")) {
			return false
		}
	}
	if f.text != "" {
		inColumn := contains(r.user, f.text) || contains(r.action, f.text) || contains(r.site, f.text)
		if !inColumn && !(contains(string(r.extra), f.text) && f.inExtra(r)) {
			return false
		}
	}
	return len(f.fields) == 0 || f.hasFields(r)
}

// inExtra makes sure that the text is in one value or the raw line, not over the end of one.
func (f *filter) inExtra(r *row) bool {
	var e Event
	if readExtra(&e, r.extra) != nil {
		return true // damaged: what is there is shown, with the error
	}
	return contains(e.Raw, f.text) || slices.ContainsFunc(e.Fields, func(field Field) bool { return contains(field.Value, f.text) })
}

func (f *filter) hasFields(r *row) bool {
	text := string(r.extra)
	for _, want := range f.fields {
		if !strings.Contains(text, want.Value) {
			return false
		}
	}
	var e Event
	if readExtra(&e, r.extra) != nil {
		return false
	}
	for _, want := range f.fields {
		if !slices.Contains(e.Fields, want) {
			return false
		}
	}
	return true
}

// lower folds A to Z only: other letters change their length, and an attacker's bytes need not be letters.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// contains tells whether low, in lower case, is in s.
func contains(s, low string) bool {
	if low == "" {
		return true
	}
	first := low[0]
	for i := 0; i+len(low) <= len(s); i++ {
		if foldByte(s[i]) == first && equalFold(s[i:i+len(low)], low) {
			return true
		}
	}
	return false
}

func equalFold(s, low string) bool {
	for i := range len(low) {
		if foldByte(s[i]) != low[i] {
			return false
		}
	}
	return true
}

func foldByte(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// Match tells whether q selects e, whatever its limit.
func (q Query) Match(e Event) bool {
	f := newFilter(q)
	at, kind := e.Time.UnixMicro(), kindOf(&e)
	r := row{kind: kind, user: e.User, action: e.Action, site: e.Site}
	if e.Source.IsValid() {
		r.source = e.Source.Unmap().String()
	}
	switch {
	case at < f.from || at >= f.to,
		f.class >= 0 && kind/kindUnit/kindUnit != f.class, f.outcome >= 0 && kind/kindUnit%kindUnit != f.outcome,
		kind%kindUnit < f.severity, f.user != "" && r.user != f.user, f.site != "" && r.site != f.site,
		f.source != "" && r.source != f.source, f.action != "" && r.action != f.action:
		return false
	case f.looks():
		r.extra = appendExtra(nil, &e, nil)
		return f.match(&r)
	}
	return true
}
