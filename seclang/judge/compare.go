package judge

import (
	"fmt"
	"io/fs"
	"math"
	"strings"
)

// Comparison decides on a text and the operator's argument, whose macros are expanded.
type Comparison func(s, argument string) bool

// Compare finds the comparison of an operator whose argument may hold macros: eq, ge, gt, le, lt, streq, contains,
// containsWord, beginsWith, endsWith, within, strmatch; in any case.
func Compare(name string) (Comparison, bool) {
	if _, c := numeric(name); c != nil {
		return c, true
	}
	switch strings.ToLower(name) {
	case "streq":
		return func(s, argument string) bool { return s == argument }, true
	case "contains", "strmatch":
		return strings.Contains, true
	case "containsword":
		return containsWord, true
	case "beginswith":
		return strings.HasPrefix, true
	case "endswith":
		return strings.HasSuffix, true
	case "within":
		return func(s, argument string) bool { return strings.Contains(argument, s) }, true
	}
	return nil, false
}

// numeric finds the comparison of numbers and of texts that are numbers.
func numeric(name string) (func(a, b int) bool, Comparison) {
	var c func(a, b int) bool
	switch strings.ToLower(name) {
	case "eq":
		c = func(a, b int) bool { return a == b }
	case "ge":
		c = func(a, b int) bool { return a >= b }
	case "gt":
		c = func(a, b int) bool { return a > b }
	case "le":
		c = func(a, b int) bool { return a <= b }
	case "lt":
		c = func(a, b int) bool { return a < b }
	default:
		return nil, nil
	}
	return c, func(s, argument string) bool { return c(Number(s), Number(argument)) }
}

// Number reads a decimal number as the comparisons do: a text that is none is 0, and one that is too large the largest.
// Unlike the standard library's, it makes no error that would hold a copy of a stranger's text.
func Number(s string) int {
	digits, negative := s, false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		digits, negative = s[1:], s[0] == '-'
	}
	n := uint64(0)
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0
		}
		digit := uint64(c - '0')
		if n > (math.MaxUint64-digit)/10 {
			n = math.MaxUint64 // whatever follows
			break
		}
		n = n*10 + digit
	}
	switch {
	case !negative:
		return int(min(n, math.MaxInt))
	case n > math.MaxInt:
		return math.MinInt
	}
	return -int(n)
}

// containsWord is true where argument stands in s and no letter, digit or underscore stands beside it. Coraza has no
// such operator; this one follows the manual.
func containsWord(s, argument string) bool {
	if argument == "" {
		return true
	}
	for from := 0; ; from++ {
		i := strings.Index(s[from:], argument)
		if i < 0 {
			return false
		}
		from += i
		end := from + len(argument)
		if (from == 0 || !wordByte(s[from-1])) && (end == len(s) || !wordByte(s[end])) {
			return true
		}
	}
}

func wordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// comparing is the operator of a comparison for an argument without macros.
func comparing(name string) constructor {
	return func(argument string, _ fs.FS) (Judge, error) {
		if strings.Contains(argument, "%{") {
			return nil, fmt.Errorf("the argument %q has a macro, and nobody has expanded it", argument)
		}
		if c, _ := numeric(name); c != nil {
			n := Number(argument)
			return func(s string) (string, bool) { return "", c(Number(s), n) }, nil
		}
		c, ok := Compare(name)
		if !ok {
			return nil, fmt.Errorf("%s is no comparison", name)
		}
		return func(s string) (string, bool) { return "", c(s, argument) }, nil
	}
}
