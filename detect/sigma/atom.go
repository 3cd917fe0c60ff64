package sigma

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// op is what a node of a condition does with what is below it.
type op uint8

const (
	opAtom op = iota
	opAnd
	opOr
	opNot
	opName // a search identifier, or a rule of a correlation; gone once the condition is resolved
)

// node is a condition over atoms.
type node struct {
	op    op
	kids  []*node
	atom  *atom
	index int // of the atom, once compiled; of the rule, in a correlation
	name  string
}

// atomKind is what an atom asks of a field.
type atomKind uint8

const (
	isText       atomKind = iota // the value is as the pattern says
	isRegex                      // the expression is found in the value
	isNetwork                    // the value is an address of the network
	isCompared                   // the value is a number, and less or more than another
	isTimePart                   // the value is a time whose part has this number
	isThere                      // the field is there
	isAbsent                     // the field is not there: null
	isOtherField                 // the value is that of another field
)

// atom is the smallest question: one field, one value. An atom without a field is a keyword: it asks all values of the
// event and its text.
type atom struct {
	kind    atomKind
	field   string
	cased   bool
	pattern pattern
	source  string // the value as written, to tell atoms apart
	regex   *regexp.Regexp
	network netip.Prefix
	op      string // lt, lte, gt, gte; or the part of the time
	number  float64
	other   string
}

// same is a text that two atoms share only if they always have the same answer.
func (a *atom) same() string {
	return fmt.Sprintf("%d|%s|%t|%s|%q|%s|%q|%g|%q", a.kind, a.op, a.cased, a.network, a.field, strconv.Itoa(int(a.pattern.shape)),
		a.source, a.number, a.other)
}

// value tells whether one value of the field is as the atom asks. low and raw are the value in lower case and as it is.
func (a *atom) value(s string, v *view, i int) bool {
	switch a.kind {
	case isText:
		if a.cased {
			return a.pattern.match(v.raw(i))
		}
		return a.pattern.match(v.lower(i))
	case isRegex:
		return a.regex.MatchString(s)
	case isNetwork:
		addr, err := netip.ParseAddr(s)
		return err == nil && a.network.Contains(addr.Unmap().WithZone(""))
	case isCompared:
		return a.compare(s)
	case isTimePart:
		part, ok := timePart(a.op, s)
		return ok && float64(part) == a.number
	case isThere:
		return true
	}
	return false
}

// compare answers false for what is no finite number: "inf" in a log is a text.
func (a *atom) compare(s string) bool {
	if s == "" || strings.ContainsAny(s, "iInNxXpP_") {
		return false
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return false
	}
	switch a.op {
	case "lt":
		return n < a.number
	case "lte":
		return n <= a.number
	case "gt":
		return n > a.number
	}
	return n >= a.number
}

// timePart takes a number out of a time as the event states it, in the time zone it states. It knows RFC 3339, the same
// without a zone, the same with a space, and a date alone.
func timePart(part, s string) (int, bool) {
	if len(s) < len("2006-01-02") || len(s) > len("2006-01-02T15:04:05.999999999+07:00") {
		return 0, false
	}
	var t time.Time
	err := error(nil)
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02"} {
		if t, err = time.Parse(layout, s); err == nil {
			break
		}
	}
	if err != nil {
		return 0, false
	}
	switch part {
	case "minute":
		return t.Minute(), true
	case "hour":
		return t.Hour(), true
	case "day":
		return t.Day(), true
	case "week":
		_, week := t.ISOWeek()
		return week, true
	case "month":
		return int(t.Month()), true
	}
	return t.Year(), true
}

// partRange is the least and the greatest number of a part of a time. A year can have 53 weeks (ISO 8601).
func partRange(part string) (least, most float64, ok bool) {
	switch part {
	case "minute":
		return 0, 59, true
	case "hour":
		return 0, 23, true
	case "day":
		return 1, 31, true
	case "week":
		return 1, 53, true
	case "month":
		return 1, 12, true
	case "year":
		return 1, 9999, true
	}
	return 0, 0, false
}
