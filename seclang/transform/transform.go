// Package transform holds the transformation functions of SecLang (t:lowercase and the like): text in, text out. It
// knows no rule, no transaction and no variable; which functions run over which value, and in which order, is the
// caller's.
//
// The names and their meaning are those of ModSecurity's reference manual. Where Coraza, for which the published rules
// are tested, does it in another way, its result counts, and the function's comment says so.
package transform

import "strings"

// Func returns the transformed text. It returns s itself, without an allocation, when nothing changed. Texts are
// bytes: a Func takes any, also such that are no UTF-8, and works in time linear in their length.
type Func func(s string) string

// named is one function under the name that the manual gives it.
type named struct {
	name string
	do   Func
}

// functions returns every function, sorted by name.
func functions() []named {
	return []named{
		{"base64Decode", base64Decode},
		{"base64DecodeExt", base64DecodeExt},
		{"base64Encode", base64Encode},
		{"cmdLine", cmdLine},
		{"compressWhitespace", compressWhitespace},
		{"cssDecode", cssDecode},
		{"escapeSeqDecode", escapeSeqDecode},
		{"hexDecode", hexDecode},
		{"hexEncode", hexEncode},
		{"htmlEntityDecode", htmlEntityDecode},
		{"jsDecode", jsDecode},
		{"length", length},
		{"lowercase", lowercase},
		{"md5", md5Sum},
		{"normalisePath", normalisePath},
		{"normalisePathWin", normalisePathWin},
		{"normalizePath", normalisePath},
		{"normalizePathWin", normalisePathWin},
		{"removeComments", removeComments},
		{"removeCommentsChar", removeCommentsChar},
		{"removeNulls", removeNulls},
		{"removeWhitespace", removeWhitespace},
		{"replaceComments", replaceComments},
		{"replaceNulls", replaceNulls},
		{"sha1", sha1Sum},
		{"sqlHexDecode", sqlHexDecode},
		{"trim", trim},
		{"trimLeft", trimLeft},
		{"trimRight", trimRight},
		{"uppercase", strings.ToUpper},
		{"urlDecode", urlDecode},
		{"urlDecodeUni", urlDecodeUni},
		{"urlEncode", urlEncode},
		{"utf8toUnicode", utf8ToUnicode},
	}
}

// Lookup finds a function by its name, in any case. "none" is not one of them: it empties the list of functions, which
// is the caller's.
func Lookup(name string) (Func, bool) {
	for _, f := range functions() {
		if strings.EqualFold(f.name, name) {
			return f.do, true
		}
	}
	return nil, false
}

// Names returns the names of all functions as the manual writes them, sorted.
func Names() []string {
	all := functions()
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.name
	}
	return names
}

// edit is a text that is changed here and there, from its front to its end. Until the first change it allocates
// nothing, because most values are not changed by most functions.
type edit struct {
	s    string
	kept int // s[:kept] is dealt with
	out  strings.Builder
}

// keep writes what stands before i as it is.
func (e *edit) keep(i int) {
	if e.out.Cap() == 0 {
		e.out.Grow(len(e.s) + 3) // an escape of CSS grows by one byte, and is the only thing here that grows
	}
	e.out.WriteString(e.s[e.kept:i])
}

// drop leaves s[from:to] out.
func (e *edit) drop(from, to int) {
	e.keep(from)
	e.kept = to
}

// put writes c in the place of s[from:to].
func (e *edit) put(from, to int, c byte) {
	e.keep(from)
	e.out.WriteByte(c)
	e.kept = to
}

// putRune writes r in the place of s[from:to].
func (e *edit) putRune(from, to int, r rune) {
	e.keep(from)
	e.out.WriteRune(r)
	e.kept = to
}

// text ends the edit.
func (e *edit) text() string {
	if e.kept == 0 {
		return e.s
	}
	e.keep(len(e.s))
	return e.out.String()
}

// unhex returns the value of a hexadecimal digit, and whether c is one.
func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// hexAt reads exactly n hexadecimal digits at s[i:].
func hexAt(s string, i, n int) (value int, ok bool) {
	if i+n > len(s) {
		return 0, false
	}
	for _, c := range []byte(s[i : i+n]) {
		digit, ok := unhex(c)
		if !ok {
			return 0, false
		}
		value = value<<4 | int(digit)
	}
	return value, true
}

// hexRun reads up to most hexadecimal digits at s[i:] and says how many there were.
func hexRun(s string, i, most int) (value, n int) {
	for n < most && i+n < len(s) {
		digit, ok := unhex(s[i+n])
		if !ok {
			break
		}
		value = value<<4 | int(digit)
		n++
	}
	return value, n
}

// octalRun reads up to three octal digits at s[i:] and says how many there were.
func octalRun(s string, i int) (value, n int) {
	for n < 3 && i+n < len(s) && '0' <= s[i+n] && s[i+n] <= '7' {
		value = value<<3 | int(s[i+n]-'0')
		n++
	}
	return value, n
}
