package ingest

import (
	"fmt"
	"net/netip"
	"strings"
)

// kind says what a field of a layout can hold.
type kind uint8

const (
	word     kind = iota // one byte or more, and no blank
	number               // decimal digits
	address              // an IP address, in brackets or not
	endpoint             // an address, and a port behind a colon where one is stated
	moment               // a date
	quoted               // up to the quote that no backslash precedes
	request              // quoted; the request line of HTTP
	free                 // anything
)

// kinds are the names of the kinds in a layout: <NAME:KIND>.
var kinds = map[string]kind{"word": word, "number": number, "address": address, "endpoint": endpoint, "time": moment, "quoted": quoted, "request": request, "any": free}

// layout is how a line is built: fixed texts and fields in turn. At most one field may hold anything, so there is one way only to
// read a line: what stands before that field is read from the left, what stands after it from the right, and the field is
// all between. What a stranger writes into it can therefore never pass for what the program wrote around it.
type layout struct {
	lits   []string // one more than fields
	fields []layoutField
	free   int // index of the field that may hold anything; len(fields) where none does
}

type layoutField struct {
	name string
	kind kind
}

// newLayout reads a layout such as: Invalid user <user:any> from <source:address> port <src_port:number>
func newLayout(text string) (layout, error) {
	l := layout{free: -1}
	for {
		lit, rest, found := strings.Cut(text, "<")
		l.lits = append(l.lits, lit)
		if !found {
			break
		}
		spec, after, ok := strings.Cut(rest, ">")
		name, kindName, _ := strings.Cut(spec, ":")
		k, known := kinds[kindName]
		if !ok || name == "" || kindName != "" && !known {
			return l, fmt.Errorf("layout %q: <%s> is no field", text, spec)
		}
		if k == free {
			if l.free >= 0 {
				return l, fmt.Errorf("layout %q: two fields may hold anything, so a line could be read in two ways", text)
			}
			l.free = len(l.fields)
		}
		if len(l.fields) > 0 && lit == "" {
			return l, fmt.Errorf("layout: nothing stands between a field and <%s>", spec)
		}
		l.fields, text = append(l.fields, layoutField{name, k}), after
	}
	if l.free < 0 {
		l.free = len(l.fields)
	}
	for i, f := range l.fields {
		if (f.kind == quoted || f.kind == request) && (!strings.HasSuffix(l.lits[i], `"`) || !strings.HasPrefix(l.lits[i+1], `"`)) {
			return l, fmt.Errorf("layout: <%s> needs a quote before and after it", f.name)
		}
	}
	return l, nil
}

// match reads a line. values gets the fields' texts and has room for them.
func (l *layout) match(s string, values []string) bool {
	n := len(l.fields)
	first, last := l.lits[0], l.lits[n]
	if !strings.HasPrefix(s, first) || len(s) < len(first)+len(last) || !strings.HasSuffix(s, last) {
		return false
	}
	if n == 0 {
		return s == first
	}
	s = s[len(first) : len(s)-len(last)]
	ok := true
	for i := 0; i < l.free; i++ {
		if i == n-1 { // what is left
			if values[i] = s; !fits(s, l.fields[i].kind) {
				return false
			}
			return true
		}
		if values[i], s, ok = takeLeft(s, l.fields[i].kind, l.lits[i+1]); !ok {
			return false
		}
	}
	for i := n - 1; i > l.free; i-- {
		if s, values[i], ok = takeRight(s, l.fields[i].kind, l.lits[i]); !ok {
			return false
		}
	}
	values[l.free] = s
	return true
}

// minMoment is the length of the shortest date, Nov 25 18:57:50.
const minMoment = 15

// takeLeft takes the value at the beginning of s, which ends before lit.
func takeLeft(s string, k kind, lit string) (value, rest string, ok bool) {
	var end int
	if k == quoted || k == request {
		if end = endQuote(s); end < 0 || !strings.HasPrefix(s[end:], lit) {
			return "", "", false
		}
		return s[:end], s[end+len(lit):], true
	}
	switch {
	case k == moment && len(s) > minMoment: // some hold blanks
		if end = strings.Index(s[minMoment:], lit); end >= 0 {
			end += minMoment
		}
	case len(lit) == 1:
		end = strings.IndexByte(s, lit[0])
	default:
		end = strings.Index(s, lit)
	}
	if end < 0 || !fits(s[:end], k) {
		return "", "", false
	}
	return s[:end], s[end+len(lit):], true
}

// takeRight takes the value at the end of s, which begins behind lit.
func takeRight(s string, k kind, lit string) (rest, value string, ok bool) {
	if k == quoted || k == request {
		at := len(s)
		for {
			if at = strings.LastIndexByte(s[:at], '"'); at < 0 {
				return "", "", false
			}
			if !escaped(s, at) {
				break
			}
		}
		if !strings.HasSuffix(s[:at+1], lit) {
			return "", "", false
		}
		return s[:at+1-len(lit)], s[at+1:], true
	}
	at := strings.LastIndex(s, lit)
	if at < 0 || !fits(s[at+len(lit):], k) {
		return "", "", false
	}
	return s[:at], s[at+len(lit):], true
}

// endQuote finds the first quote that is not escaped.
func endQuote(s string) int {
	for at := 0; ; at++ {
		i := strings.IndexByte(s[at:], '"')
		if i < 0 {
			return -1
		}
		if at += i; !escaped(s, at) {
			return at
		}
	}
}

// escaped says that an odd number of backslashes stands before s[at].
func escaped(s string, at int) bool {
	n := 0
	for at > n && s[at-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

func fits(s string, k kind) bool {
	switch k {
	case word:
		return s != "" && strings.IndexByte(s, ' ') < 0
	case number:
		if s == "" || len(s) > 20 {
			return false
		}
		for i := range len(s) {
			if s[i] < '0' || s[i] > '9' {
				return false
			}
		}
		return true
	case address: // read where it is used
		return s != "" && len(s) <= maxAddress
	case endpoint:
		_, _, ok := readEndpoint(s)
		return ok
	case quoted, request:
		return endQuote(s) < 0
	case moment:
		return s != "" && len(s) < 48
	}
	return true
}

const maxAddress = 64 // bytes of an address with its port

// readEndpoint reads ADDRESS or ADDRESS:PORT.
func readEndpoint(s string) (a netip.Addr, port string, ok bool) {
	if a, ok = readAddress(s); ok {
		return a, "", true
	}
	at := strings.LastIndexByte(s, ':')
	if at < 0 || !fits(s[at+1:], number) {
		return a, "", false
	}
	a, ok = readAddress(s[:at])
	return a, s[at+1:], ok
}

// readAddress reads an address as logs write it. Those of IPv4 in the form of IPv6 become IPv4; a zone is left out, because
// nobody outside of the host has one.
func readAddress(s string) (netip.Addr, bool) {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	if len(s) < 2 || len(s) > maxAddress {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}
