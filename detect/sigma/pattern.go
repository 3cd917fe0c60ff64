package sigma

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// piece is a part of a pattern: plain text, or one wildcard.
type piece struct {
	wild byte // '*', '?' or zero for plain text
	text string
}

// parsePattern takes the wildcards of a value apart. A backslash takes the meaning from a wildcard or a backslash behind
// it, and is a plain character everywhere else (Sigma specification, "Escaping").
func parsePattern(s string) []piece {
	var pieces []piece
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			pieces = append(pieces, piece{text: plain.String()})
			plain.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '*' || s[i+1] == '?' || s[i+1] == '\\'):
			i++
			plain.WriteByte(s[i])
		case c == '*' || c == '?':
			flush()
			pieces = append(pieces, piece{wild: c})
		default:
			plain.WriteByte(c)
		}
	}
	flush()
	return pieces
}

// hasWild tells whether any piece is a wildcard.
func hasWild(pieces []piece) bool {
	for _, p := range pieces {
		if p.wild != 0 {
			return true
		}
	}
	return false
}

// between puts stars before and behind a pattern, unless there is one already.
func between(pieces []piece, before, behind bool) []piece {
	out := make([]piece, 0, len(pieces)+2)
	if before && (len(pieces) == 0 || pieces[0].wild != '*') {
		out = append(out, piece{wild: '*'})
	}
	out = append(out, pieces...)
	if behind && (len(out) == 0 || out[len(out)-1].wild != '*') {
		out = append(out, piece{wild: '*'})
	}
	return out
}

// shape is how a pattern is compared. Most are one plain text with stars around it, which needs no search for wildcards.
type shape uint8

const (
	exact shape = iota
	prefix
	suffix
	inside
	anything
	glob
)

// pattern is a compiled pattern over bytes. Its texts are in lower case unless it was compiled for cased comparison.
type pattern struct {
	shape  shape
	text   []byte     // all shapes but glob and anything
	pieces []globPart // glob
}

// globPart is a piece of a compiled pattern.
type globPart struct {
	wild byte
	text []byte
}

func compilePattern(pieces []piece, cased bool) pattern {
	joined := make([]piece, 0, len(pieces))
	for _, p := range pieces {
		if !cased {
			p.text = string(appendLower(nil, p.text))
		}
		last := len(joined) - 1
		switch {
		case last >= 0 && p.wild == 0 && joined[last].wild == 0:
			joined[last].text += p.text
		case last >= 0 && p.wild == '*' && joined[last].wild == '*':
		default:
			joined = append(joined, p)
		}
	}
	star := func(i int) bool { return joined[i].wild == '*' }
	plain := func(i int) bool { return joined[i].wild == 0 }
	switch n := len(joined); {
	case n == 0:
		return pattern{shape: exact}
	case n == 1 && plain(0):
		return pattern{shape: exact, text: []byte(joined[0].text)}
	case n == 1 && star(0):
		return pattern{shape: anything}
	case n == 2 && plain(0) && star(1):
		return pattern{shape: prefix, text: []byte(joined[0].text)}
	case n == 2 && star(0) && plain(1):
		return pattern{shape: suffix, text: []byte(joined[1].text)}
	case n == 3 && star(0) && plain(1) && star(2):
		return pattern{shape: inside, text: []byte(joined[1].text)}
	}
	return pattern{shape: glob, pieces: globParts(joined)}
}

func globParts(pieces []piece) []globPart {
	parts := make([]globPart, 0, len(pieces))
	for _, p := range pieces {
		parts = append(parts, globPart{wild: p.wild, text: []byte(p.text)})
	}
	return parts
}

// match tells whether the whole of s is as the pattern says.
func (p *pattern) match(s []byte) bool {
	switch p.shape {
	case exact:
		return bytes.Equal(s, p.text)
	case prefix:
		return bytes.HasPrefix(s, p.text)
	case suffix:
		return bytes.HasSuffix(s, p.text)
	case inside:
		return bytes.Contains(s, p.text)
	case anything:
		return true
	}
	return matchGlob(p.pieces, s)
}

// matchGlob goes back to the last star only, so its time is at worst the product of both lengths.
func matchGlob(pieces []globPart, s []byte) bool {
	at, i := 0, 0
	starPiece, starAt := -1, 0
	for {
		if i == len(pieces) && at == len(s) {
			return true
		}
		if i < len(pieces) {
			switch p := &pieces[i]; {
			case p.wild == '*':
				starPiece, starAt = i, at
				i++
				continue
			case p.wild == '?' && at < len(s):
				_, size := utf8.DecodeRune(s[at:])
				at, i = at+size, i+1
				continue
			case p.wild == 0 && bytes.HasPrefix(s[at:], p.text):
				at, i = at+len(p.text), i+1
				continue
			}
		}
		if starPiece < 0 || starAt >= len(s) {
			return false
		}
		// The text behind the star is looked for as a whole: most bytes need no second look.
		_, size := utf8.DecodeRune(s[starAt:])
		starAt += size
		if next := starPiece + 1; next < len(pieces) && pieces[next].wild == 0 {
			skip := bytes.Index(s[starAt:], pieces[next].text)
			if skip < 0 {
				return false
			}
			starAt += skip
		}
		at, i = starAt, starPiece+1
	}
}

// appendLower appends s in lower case. Bytes that are no UTF-8 stay as they are: two different ones must not become the
// same.
func appendLower(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return appendLowerRunes(dst, s[i:])
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func appendLowerRunes(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[i])
		} else {
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		}
		i += size
	}
	return dst
}
