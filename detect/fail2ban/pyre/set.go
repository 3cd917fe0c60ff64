package pyre

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// category is one of Python's classes of characters.
type category uint8

const (
	notCategory category = iota
	digitCategory
	spaceCategory
	wordCategory
)

// setItem is a range of characters or a category, or a category's complement.
type setItem struct {
	low, high rune
	category  category
	ascii     bool // the category means ASCII characters only
	negative  bool // the category's complement
}

// runeSet is a set of characters. ASCII is answered from a bitmap, what lies above from the items, because the tables
// of \w alone would be kilobytes for every set.
type runeSet struct {
	ascii    [2]uint64
	items    []setItem
	negative bool
	fold     bool // the items hold lower case, and what is asked for is made lower case first
	foldable func(rune) rune
}

func (s *runeSet) has(r rune) bool {
	if r < utf8.RuneSelf {
		return s.ascii[r>>6]&(1<<(r&63)) != 0
	}
	return s.slow(r)
}

func (s *runeSet) slow(r rune) bool {
	if s.fold {
		r = s.foldable(r)
	}
	for i := range s.items {
		if s.items[i].has(r) {
			return !s.negative
		}
	}
	return s.negative
}

func (i *setItem) has(r rune) bool {
	switch i.category {
	case notCategory:
		return r >= i.low && r <= i.high
	case digitCategory:
		return isDigit(r, i.ascii) != i.negative
	case spaceCategory:
		return isSpace(r, i.ascii) != i.negative
	}
	return isWord(r, i.ascii) != i.negative
}

// seal fills the bitmap, once the items are complete.
func (s *runeSet) seal() *runeSet {
	for r := range rune(utf8.RuneSelf) {
		if s.slow(r) {
			s.ascii[r>>6] |= 1 << (r & 63)
		}
	}
	return s
}

func isDigit(r rune, ascii bool) bool {
	if r < utf8.RuneSelf || ascii {
		return r >= '0' && r <= '9'
	}
	return unicode.Is(unicode.Nd, r)
}

func isSpace(r rune, ascii bool) bool {
	switch {
	case r >= '\t' && r <= '\r' || r == ' ':
		return true
	case ascii:
		return false
	}
	return r >= 0x1c && r <= 0x1f || r == 0x85 || unicode.Is(unicode.Z, r)
}

func isWord(r rune, ascii bool) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
	case ascii:
		return false
	}
	return unicode.In(r, unicode.L, unicode.N)
}

// categoryOf returns the set of \d, \D, \s, \S, \w or \W; nil for other letters.
func categoryOf(letter rune, ascii bool) *setItem {
	item := setItem{ascii: ascii}
	switch letter | 0x20 {
	case 'd':
		item.category = digitCategory
	case 's':
		item.category = spaceCategory
	case 'w':
		item.category = wordCategory
	default:
		return nil
	}
	switch letter {
	case 'D', 'S', 'W':
		item.negative = true
	case 'd', 's', 'w':
	default:
		return nil
	}
	return &item
}

// anyRune is the dot.
func anyRune(newline bool) *runeSet {
	s := &runeSet{negative: true}
	if !newline {
		s.items = []setItem{{low: '\n', high: '\n'}}
	}
	return s.seal()
}

// set reads a set, after its opening bracket.
func (p *parser) set() *node {
	here := p.tell() - 1
	negative := p.accept('^')
	var items []setItem
	for {
		t := p.get()
		if t.r == end {
			p.fail("unterminated character set", here)
			return nil
		}
		if t.is(']') && items != nil {
			break
		}
		low := p.setMember(t)
		if !p.accept('-') {
			items = append(items, low)
			continue
		}
		last := p.get()
		if last.r == end {
			p.fail("unterminated character set", here)
			return nil
		}
		if last.is(']') {
			items = append(items, low, setItem{low: '-', high: '-'})
			break
		}
		high := p.setMember(last)
		if p.err == nil && (low.category != notCategory || high.category != notCategory || high.low < low.low) {
			text := t.String() + "-" + last.String()
			p.fail("bad character range "+text, p.tell()-utf8.RuneCountInString(text))
			return nil
		}
		items = append(items, setItem{low: low.low, high: high.low})
	}
	if len(items) == 1 && items[0].category == notCategory && items[0].low == items[0].high && !negative {
		return p.literal(items[0].low)
	}
	return p.setNode(items, negative)
}

// setMember reads a character or category inside a set.
func (p *parser) setMember(t token) setItem {
	if !t.escaped {
		return setItem{low: t.r, high: t.r}
	}
	if item := categoryOf(t.r, p.flags&flagASCII != 0); item != nil {
		return *item
	}
	r, ok := simpleEscape(t.r)
	switch {
	case ok:
	case strings.ContainsRune(octal, t.r):
		r = p.octal(string(t.r) + p.some(2, octal))
	case t.r == '8' || t.r == '9':
		p.fail("bad escape "+t.String(), p.tell()-2)
	default:
		r = p.character(t)
	}
	return setItem{low: r, high: r}
}

// setNode makes the set, with the case of letters taken away if it does not count.
func (p *parser) setNode(items []setItem, negative bool) *node {
	s := &runeSet{items: items, negative: negative}
	if p.flags&flagIgnoreCase != 0 {
		s.foldItems(p.flags&flagASCII != 0)
	}
	return &node{op: nodeSet, set: s.seal()}
}

// class writes the set for Go's regexp.
func (s *runeSet) class() string {
	var b strings.Builder
	b.WriteString("[")
	if s.negative {
		b.WriteString("^")
	}
	if len(s.items) == 0 {
		if s.negative {
			return `(?s:.)`
		}
		return `[^\x{0}-\x{10FFFF}]`
	}
	for _, i := range s.items {
		b.WriteString(i.class())
	}
	if s.fold {
		eachLower(s.foldable, func(upper, lower rune) {
			for i := range s.items {
				if s.items[i].has(lower) {
					fmt.Fprintf(&b, `\x{%X}`, upper)
					return
				}
			}
		})
	}
	return b.String() + "]"
}

func (i *setItem) class() string {
	plain, upper, wide := "", "", ""
	switch i.category {
	case notCategory:
		return fmt.Sprintf(`\x{%X}-\x{%X}`, i.low, i.high)
	case digitCategory:
		plain, upper, wide = `\d`, `\D`, `\p{Nd}`
	case spaceCategory:
		plain, upper = `\t-\r `, `\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{10FFFF}`
		if !i.ascii {
			plain, upper = `\t-\r\x{1C}-\x{20}\x{85}\p{Z}`, ""
			low := rune(0)
			for r := rune(0); r <= 0x3001; r++ { // no space stands higher
				if isSpace(r, false) {
					if r > low {
						upper += fmt.Sprintf(`\x{%X}-\x{%X}`, low, r-1)
					}
					low = r + 1
				}
			}
			upper += fmt.Sprintf(`\x{%X}-\x{10FFFF}`, low)
		}
		return choose(i.negative, upper, plain)
	case wordCategory:
		plain, upper = `\w`, `\W`
		if !i.ascii {
			if i.negative { // two tables: what is in neither cannot be said inside of brackets but by ranges
				return complementOfWord()
			}
			return `\p{L}\p{N}_`
		}
	}
	if !i.ascii && wide != "" {
		return choose(i.negative, strings.ToUpper(wide[:2])+wide[2:], wide)
	}
	return choose(i.negative, upper, plain)
}

// complementOfWord is \W as ranges.
func complementOfWord() string {
	var b strings.Builder
	low := rune(0)
	for r := rune(0); r < 0x40000; r++ { // no letter or number stands higher
		if isWord(r, false) {
			if r > low {
				fmt.Fprintf(&b, `\x{%X}-\x{%X}`, low, r-1)
			}
			low = r + 1
		}
	}
	fmt.Fprintf(&b, `\x{%X}-\x{10FFFF}`, low)
	return b.String()
}
