package pyre

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	octal       = "01234567"
	decimal     = "0123456789"
	hexadecimal = "0123456789abcdefABCDEF"
)

// simpleEscape returns the character that the letter stands for in both an expression and a set.
func simpleEscape(letter rune) (rune, bool) {
	switch letter {
	case 'a':
		return '\a', true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'v':
		return '\v', true
	case '\\':
		return '\\', true
	}
	return 0, false
}

// escape reads the rest of an escape outside of sets.
func (p *parser) escape(t token) *node {
	ascii := p.flags&flagASCII != 0
	switch t.r {
	case 'A':
		return &node{op: nodeAt, place: placeTextStart}
	case 'Z':
		return &node{op: nodeAt, place: placeTextEnd}
	case 'b':
		return &node{op: nodeAt, place: choose(ascii, placeASCIIBound, placeBoundary)}
	case 'B':
		return &node{op: nodeAt, place: choose(ascii, placeASCIINoBound, placeNoBoundary)}
	}
	if set := categoryOf(t.r, ascii); set != nil {
		return p.setNode([]setItem{*set}, false)
	}
	if r, ok := simpleEscape(t.r); ok {
		return p.literal(r)
	}
	if t.r == '0' {
		v, _ := strconv.ParseInt("0"+p.some(2, octal), 8, 32)
		return p.literal(rune(v))
	}
	if t.in(decimal) || t.r >= '0' && t.r <= '9' {
		return p.reference(t)
	}
	return p.literal(p.character(t))
}

// reference reads \1 to \99, or an octal escape of three digits.
func (p *parser) reference(t token) *node {
	digits := string(t.r)
	if p.next.in(decimal) {
		digits += string(p.get().r)
		if strings.Trim(digits, octal) == "" && p.next.in(octal) {
			digits += string(p.get().r)
			return p.literal(p.octal(digits))
		}
	}
	group, _ := strconv.Atoi(digits)
	switch {
	case p.err != nil:
		return nil
	case group >= len(p.names):
		p.fail(fmt.Sprintf("invalid group reference %d", group), p.tell()-len(digits))
		return nil
	case !p.closed[group]:
		p.fail("cannot refer to an open group", p.tell()-len(digits)-1)
		return nil
	}
	p.checkLooking(group)
	return &node{op: nodeRef, group: group, flags: p.flags}
}

func (p *parser) octal(digits string) rune {
	v, _ := strconv.ParseInt(digits, 8, 32)
	if v > 0o377 {
		p.fail(fmt.Sprintf(`octal escape value \%s outside of range 0-0o377`, digits), p.tell()-len(digits)-1)
	}
	return rune(v)
}

// checkLooking refuses a reference out of a look-behind to a group inside it, which has not matched yet.
func (p *parser) checkLooking(group int) {
	if p.looking == 0 || p.err != nil {
		return
	}
	if group >= len(p.closed) || !p.closed[group] {
		p.fail("cannot refer to an open group", p.tell())
		return
	}
	if group >= p.looking {
		p.fail("cannot refer to group defined in the same lookbehind subpattern", p.tell())
	}
}

// character reads the escapes that stand for one character in expressions and sets alike, the octal ones excepted.
func (p *parser) character(t token) rune {
	letters := map[rune]int{'x': 2, 'u': 4, 'U': 8}
	if n := letters[t.r]; n > 0 {
		digits := p.some(n, hexadecimal)
		text := t.String() + digits
		if len(digits) != n {
			p.fail("incomplete escape "+text, p.tell()-len(text))
			return 0
		}
		v, _ := strconv.ParseInt(digits, 16, 64)
		if v > utf8.MaxRune {
			p.fail("bad escape "+text, p.tell()-len(text))
			return 0
		}
		return rune(v)
	}
	if t.r == 'N' {
		p.characterName()
		return 0
	}
	if t.r < utf8.RuneSelf && (t.r|0x20 >= 'a' && t.r|0x20 <= 'z') {
		p.fail("bad escape "+t.String(), p.tell()-2)
	}
	return t.r
}

// characterName reads \N{NAME} and refuses it: the table of names would be the largest part of the program, and no
// filter uses it.
func (p *parser) characterName() {
	if !p.accept('{') {
		p.fail("missing {", p.tell())
		return
	}
	if name := p.until('}', "character name"); p.err == nil {
		p.fail(fmt.Sprintf(`\N{%s}: characters by name are not supported, write \x, \u or \U`, name), p.tell()-len([]rune(name))-4)
	}
}

// some reads up to n characters of a set.
func (p *parser) some(n int, set string) string {
	var b strings.Builder
	for range n {
		if !p.next.in(set) {
			break
		}
		b.WriteRune(p.get().r)
	}
	return b.String()
}

// until reads to the end of a name.
func (p *parser) until(terminator rune, what string) string {
	var b strings.Builder
	for {
		t := p.get()
		switch {
		case p.err != nil:
			return ""
		case t.r == end && b.Len() == 0:
			p.fail("missing "+what, p.tell())
			return ""
		case t.r == end:
			p.fail(fmt.Sprintf("missing %c, unterminated name", terminator), p.tell()-utf8.RuneCountInString(b.String()))
			return ""
		case t.is(terminator):
			if b.Len() == 0 {
				p.fail("missing "+what, p.tell()-1)
			}
			return b.String()
		}
		b.WriteString(t.String())
	}
}

func choose[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}
