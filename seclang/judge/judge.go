// Package judge holds the operators of SecLang that look at one text and need no expression: comparisons, the
// validations, address lists, and the detectors of libinjection. It knows no rule, no transaction and no macro: an
// argument is constant text here, and the plain comparisons take one that the caller has expanded.
//
// @rx, @pm and their like are not judged here; only their lists of phrases are read.
//
// The operators and their meaning are those of ModSecurity's reference manual. Where Coraza, for which the published
// rules are tested, does it in another way, its verdict counts, and the comment says so. What Coraza takes without a
// word and then never matches (a word in a list of addresses, say) is an error here.
package judge

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/corazawaf/libinjection-go"
)

// Judge decides on one text. found is what the operator captured (TX.0): the fingerprint of detectSQLi, and empty for
// all others. A Judge keeps nothing and may be called by many at once.
type Judge func(s string) (found string, ok bool)

// constructor makes a judge of the operator's argument.
type constructor func(argument string, data fs.FS) (Judge, error)

// operator is one operator under the name that the manual gives it.
type operator struct {
	name string
	make constructor
}

// operators returns those that New takes, sorted by name. The comparisons are among them, for constant arguments.
func operators() []operator {
	return []operator{
		{"beginsWith", comparing("beginsWith")},
		{"contains", comparing("contains")},
		{"containsWord", comparing("containsWord")},
		{"detectSQLi", always(detectSQLi)},
		{"detectXSS", always(detectXSS)},
		{"endsWith", comparing("endsWith")},
		{"eq", comparing("eq")},
		{"ge", comparing("ge")},
		{"gt", comparing("gt")},
		{"ipMatch", newIPMatch},
		{"ipMatchF", newIPMatchFromFile},
		{"ipMatchFromFile", newIPMatchFromFile},
		{"le", comparing("le")},
		{"lt", comparing("lt")},
		{"noMatch", always(func(string) (string, bool) { return "", false })},
		{"streq", comparing("streq")},
		{"strmatch", comparing("strmatch")},
		{"unconditionalMatch", always(func(string) (string, bool) { return "", true })},
		{"validateByteRange", newByteRange},
		{"validateUrlEncoding", always(badURLEncoding)},
		{"validateUtf8Encoding", always(badUTF8)},
		{"within", comparing("within")},
	}
}

// unsupported says why an operator that the manual or Coraza knows is not here.
func unsupported(name string) string {
	switch strings.ToLower(name) {
	case "rbl", "gsblookup":
		return "would ask another server about every request; use the gateway's decision lists"
	case "geolookup":
		return "is not supported; use the site's country rules"
	case "inspectfile":
		return "would run a program on every upload"
	case "fuzzyhash", "rsub", "validateschema", "validatedtd", "validatehash", "validatenid", "verifycc", "verifycpf", "verifyssn", "verifysvnr",
		"restpath", "pmfromdataset", "ipmatchfromdataset":
		return "is used by no published rule; write the check with @rx"
	}
	return ""
}

// New makes the judge of an operator (its name without the @, in any case) whose argument is constant text. Files named
// by the argument are read from data, now and only now. The error says what is wrong with the argument, or that the
// operator is not supported and why.
func New(name, argument string, data fs.FS) (Judge, error) {
	for _, o := range operators() {
		if strings.EqualFold(o.name, name) {
			j, err := o.make(argument, data)
			if err != nil {
				return nil, fmt.Errorf("operator @%s: %w", o.name, err)
			}
			return j, nil
		}
	}
	if why := unsupported(name); why != "" {
		return nil, fmt.Errorf("operator @%s %s", name, why)
	}
	return nil, fmt.Errorf("no operator is called @%s", name)
}

// Names returns the operators that New takes, sorted.
func Names() []string {
	all := operators()
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.name
	}
	return names
}

// always is an operator without an argument.
func always(j Judge) constructor {
	return func(string, fs.FS) (Judge, error) { return j, nil }
}

// detectSQLi spares the detector what is one word or one number: it is one token, and no fingerprint is that short.
func detectSQLi(s string) (string, bool) {
	if oneToken(s) {
		return "", false
	}
	found, fingerprint := libinjection.IsSQLi(s)
	if !found {
		return "", false
	}
	return fingerprint, true
}

// oneToken says whether s is letters and underscores only, or digits only.
func oneToken(s string) bool {
	letters, digits := 0, 0
	for _, c := range []byte(s) {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z':
			letters++
		default:
			return false
		}
		if letters > 0 && digits > 0 {
			return false
		}
	}
	return true
}

// detectXSS spares the detector's five passes over texts in which it cannot find anything: a tag, a comment and a
// declaration begin with <, and an attribute needs = to have a value.
func detectXSS(s string) (string, bool) {
	if strings.IndexByte(s, '<') < 0 && strings.IndexByte(s, '=') < 0 {
		return "", false
	}
	return "", libinjection.IsXSS(s)
}

// badURLEncoding is true for a text with a % that two hexadecimal digits do not follow.
func badURLEncoding(s string) (string, bool) {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return "", false
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", true
		}
		s = s[i+3:]
	}
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func badUTF8(s string) (string, bool) { return "", !utf8.ValidString(s) }
