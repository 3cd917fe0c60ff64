package fail2ban

import (
	"fmt"
	"strings"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// templateFlags say where a template's expression is bound.
type templateFlags uint8

const (
	wordEnd templateFlags = 1 << iota
	wordBegin
	lineEnd
	lineBegin
)

// templateKind says how the time is read from a match.
type templateKind uint8

const (
	fieldsTemplate    templateKind = iota // by the names of the groups
	epochTemplate                         // seconds since 1970
	longEpochTemplate                     // or milliseconds, or microseconds
	tai64nTemplate                        // @ and hexadecimal seconds
)

// template is one form of a date. Two detectors never share one: what they count would depend on each other.
type template struct {
	name    string
	pattern string // as given; "" for those without fields
	expr    string
	re      *pyre.Regexp
	kind    templateKind
	group   int // where the number of an epoch stands
	flags   templateFlags
	weight  float64
	hits    int
	fields  []string // name of each group
}

const (
	anchorBegin = "{^LN-BEG}"
	unbound     = "{UNB}"
)

// binding is how a template's expression is held at its ends.
type binding struct {
	begin, end bool
	line       bool // begin means the start of the line
}

// newFields makes a template of a pattern with fields.
func newFields(fields map[string][2]string, pattern string) (*template, error) {
	t := &template{pattern: pattern, weight: 1}
	bind, text := binding{begin: true, end: true}, pattern
	if rest, ok := strings.CutPrefix(text, unbound); ok {
		bind, text = binding{}, rest
	} else if rest, ok := strings.CutPrefix(text, anchorBegin); ok {
		bind.line, text = true, rest
	}
	var expr, name strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			expr.WriteByte(text[i])
			name.WriteByte(text[i])
			continue
		}
		field := fieldAt(fields, text[i+1:])
		if field == "" {
			return nil, fmt.Errorf("datepattern %q: %q is no field; a percent sign is written as %%%%", pattern, text[i:min(i+2, len(text))])
		}
		expr.WriteString(fields[field][0])
		name.WriteString(fields[field][1])
		i += len(field)
	}
	t.name = name.String()
	all := expr.String()
	if hasNames(pattern) {
		all = "(?iu)" + all
	}
	return t, t.bind(all, bind)
}

// hasNames says whether a pattern has a field of letters, for which case does not count.
func hasNames(pattern string) bool {
	for i := 0; i+1 < len(pattern); i++ {
		if pattern[i] == '%' && strings.IndexByte("aAbBpc", pattern[i+1]) >= 0 && (i == 0 || pattern[i-1] != '%') {
			return true
		}
	}
	return false
}

// newEpoch makes a template for seconds since 1970; pattern is "" for the built-in ones.
func newEpoch(pattern string, long, line bool) (*template, error) {
	t := &template{name: "Epoch", kind: epochTemplate, group: 1, weight: 1}
	number := `\d{10,11}\b(?:\.\d{3,6})?`
	if long {
		t.name, t.kind = "LongEpoch", longEpochTemplate
		number = `\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?`
	}
	switch {
	case pattern != "":
		t.name, t.group = pattern, 2
		return t, t.bind("("+replaceEpoch(pattern, "("+number+")")+")", binding{begin: true, end: true})
	case line:
		return t, t.bind(`((?P<square>(?<=^\[))?`+number+`)(?(square)(?=\]))`, binding{begin: true, end: true, line: true})
	}
	// At the start of the line, maybe in brackets, or in a record of the kernel's audit.
	begin := `(?:^|(?P<square>(?<=^\[))|(?P<selinux>(?<=\baudit\()))`
	return t, t.bind(`(`+begin+number+`)(?:(?(selinux)(?=:\d+\)))|(?(square)(?=\])))`, binding{end: true})
}

func newTAI64N(line bool) (*template, error) {
	t := &template{name: "TAI64N", kind: tai64nTemplate, weight: 1}
	return t, t.bind("@[0-9a-f]{24}", binding{begin: line, end: true, line: line})
}

// bind completes the expression: one group at least, and ends that are not in the middle of a word unless the pattern
// says so itself.
func (t *template) bind(expr string, bind binding) error {
	expr, flags := cutGlobalFlags(strings.TrimSpace(expr))
	begin, end := bind.begin && !bindsBegin(expr), bind.end && !bindsEnd(expr)
	if !hasPlainGroup(expr) {
		expr = wrapGroup(expr)
	}
	switch {
	case begin && bind.line:
		t.flags |= lineBegin
		expr = `^(?:\W{0,2})?` + expr
		if !strings.HasPrefix(t.name, anchorBegin) {
			t.name = anchorBegin + t.name
		}
	case begin:
		t.flags |= wordBegin
		expr = `(?=^|\b|\W)` + expr
	}
	if end {
		t.flags |= wordEnd
		expr += `(?=\b|\W|$)`
	}
	if beginsLine(expr) {
		t.flags |= lineBegin
	}
	if endsLine(expr) {
		t.flags |= lineEnd
	}
	t.expr = flags + cutStars(expr)
	var err error
	if t.re, err = pyre.Compile(t.expr, pyre.Options{}); err != nil {
		return fmt.Errorf("datepattern %q: %w", t.name, err)
	}
	if t.re.Groups() < max(t.group, 1) {
		return fmt.Errorf("datepattern %q: no group says where the date stands", t.name)
	}
	t.fields = t.re.Names()
	return nil
}
