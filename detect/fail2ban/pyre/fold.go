package pyre

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// How IGNORECASE compares: both characters are made lower case, one by one; and a few lower case characters are equal
// because they share their upper case.

// lower is Python's lower case of one character.
func lower(r rune) rune {
	if r < utf8.RuneSelf {
		return lowerASCII(r)
	}
	return unicode.ToLower(r)
}

// lowerASCII is lower with the flag ASCII.
func lowerASCII(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// cased says whether a character has another case.
func cased(r rune) bool {
	if r < utf8.RuneSelf {
		return r|0x20 >= 'a' && r|0x20 <= 'z'
	}
	return lower(r) != r || unicode.ToUpper(r) != r || unicode.SimpleFold(r) != r || len(twins(r)) > 0
}

// twins returns the other lower case characters with the upper case of the lower case character r.
func twins(r rune) []rune {
	var all []rune
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		if lower(o) == o {
			all = append(all, o)
		}
	}
	// Pairs that Unicode's simple folding keeps apart, or joins only in later versions.
	for _, pair := range [][2]rune{{'i', 'ı'}, {0x390, 0x1fd3}, {0x3b0, 0x1fe3}, {0xfb05, 0xfb06}} {
		for i, c := range pair {
			if c == r && !slices.Contains(all, pair[1-i]) {
				all = append(all, pair[1-i])
			}
		}
	}
	return all
}

// foldItems makes s a set that ignores case, if any of its characters has one.
func (s *runeSet) foldItems(ascii bool) {
	s.foldable = lower
	if ascii {
		s.foldable = lowerASCII
	}
	var more []setItem
	for _, i := range s.items {
		if i.category != notCategory {
			continue
		}
		more = append(more, foldRange(i.low, i.high, ascii)...)
	}
	if len(more) > 0 {
		s.fold, s.items = true, append(slices.Clone(s.items), more...)
	}
}

// foldRange returns the lower case characters that equal one of a range; none if no character of it has a case.
func foldRange(low, high rune, ascii bool) []setItem {
	var more []setItem
	add := func(r rune) {
		if n := len(more); n > 0 && more[n-1].high+1 == r {
			more[n-1].high = r
			return
		}
		more = append(more, setItem{low: r, high: r})
	}
	if ascii {
		for r := max(low, 'A'); r <= min(high, 'z'); r++ {
			if l := lowerASCII(r); l >= 'a' && l <= 'z' {
				add(l)
			}
		}
		return more
	}
	for r := low; r <= min(high, 0x1ffff); r++ { // no letter with a case stands higher
		if r > 0x600 && r < 0x10a0 || r > 0x3000 && r < 0xa640 || r > 0xac00 && r < 0xfb00 {
			continue // scripts without case: Arabic to Myanmar, CJK, Hangul
		}
		if cased(r) {
			add(lower(r))
			for _, t := range twins(lower(r)) {
				add(t)
			}
		}
	}
	return more
}

// eachLower calls f for all characters that have a lower case other than themselves.
func eachLower(fold func(rune) rune, f func(upper, lower rune)) {
	for _, c := range unicode.CaseRanges {
		for r := rune(c.Lo); r <= rune(c.Hi); r++ {
			if l := fold(r); l != r {
				f(r, l)
			}
		}
	}
}

// folds returns all characters that equal r if case is ignored, r among them.
func folds(r rune, ascii bool) []rune {
	if ascii {
		switch l := lowerASCII(r); {
		case l >= 'a' && l <= 'z':
			return []rune{l, l - 'a' + 'A'}
		}
		return []rune{r}
	}
	if !cased(r) {
		return []rune{r}
	}
	var all []rune
	for _, l := range append([]rune{lower(r)}, twins(lower(r))...) {
		all = append(all, l)
		for o := unicode.SimpleFold(l); o != l; o = unicode.SimpleFold(o) {
			if lower(o) == l {
				all = append(all, o)
			}
		}
		if l == 'i' {
			all = append(all, 'İ') // its lower case is two characters, of which the first counts
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
