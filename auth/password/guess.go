package password

import (
	"strings"
	"unicode"
)

// A password is taken apart into what a guesser tries: common passwords, the person's and the site's names, lines of
// keys, sequences, repetitions, years. Each part costs about what it adds to the guesser's work, and the cheapest way to
// take it apart counts. The whole password is judged, never a word in it alone (NIST SP 800-63B-4 3.1.1.2 compares
// the entire password): one common word among enough others is a good password.
const (
	costOther   = 1 // a digit or symbol that is part of nothing
	costLetter  = 2 // a letter that is part of nothing
	costRepeat  = 1 // what stood before, once more
	costRun     = 2 // one character three times or more
	costRising  = 2 // abc, 321
	costYear    = 2 // 1900 to 2099
	costContext = 2 // a name that the guesser knows, too
	costWord    = 3 // a common password
	costWalk    = 3 // four keys or more in a line

	// maxCheap is the cost up to which a password is refused: a common one and five more digits and symbols, or
	// two of them and a year. Three words are never cheap.
	maxCheap = 8

	minRun, minRising, minWalk = 3, 3, 4
	maxRepeat                  = MaxLength / 2
)

// parse is the cheapest way to take apart the beginning of a text.
type parse struct {
	cost    int
	parts   int // characters that belong to a part; ties go to more of them
	common  int // characters of common passwords
	context int // characters of names
}

func (p parse) cheaper(q parse) bool {
	if p.cost != q.cost {
		return p.cost < q.cost
	}
	if p.parts != q.parts {
		return p.parts > q.parts
	}
	return p.context > q.context || p.context == q.context && p.common > q.common
}

// guess tells by which code a text is refused as one that is tried early, or "" for none. It takes at most 256 characters'
// time: each place looks at no more than MaxLength parts.
func guess(text string, list *wordList, names names) Code {
	t := newTarget(text)
	if len(t.runes) == 0 {
		return ""
	}
	best := make([]parse, len(t.runes)+1)
	for i := range best[1:] {
		best[i+1].cost = 1 << 30
	}
	for i := range t.runes {
		from := best[i]
		reach := func(n, cost int, add parse) {
			next := parse{cost: from.cost + cost, parts: from.parts + add.parts, common: from.common + add.common,
				context: from.context + add.context}
			if next.cheaper(best[i+n]) {
				best[i+n] = next
			}
		}
		if unicode.In(t.runes[i], unicode.L, unicode.M) {
			reach(1, costLetter, parse{})
		} else {
			reach(1, costOther, parse{})
		}
		t.words(i, list, names, reach)
		t.patterns(i, list, reach)
	}
	switch end := best[len(t.runes)]; {
	case end.cost > maxCheap || 2*end.parts < len(t.runes):
		return ""
	case end.context > 0:
		return Context
	case end.common > 0:
		return Common
	}
	return Predictable
}

// target is the text with what is needed to look its parts up.
type target struct {
	runes   []rune
	offset  []int     // of each rune in the spellings; one more for the end
	letters []int     // how many letters stand before each rune
	spelled [3]string // as it is, and with digits and symbols read as the letters they look like
}

func newTarget(text string) target {
	t := target{runes: []rune(text), spelled: [3]string{text, unleet(text, 0), unleet(text, 1)}}
	letters := 0
	for i, r := range text {
		t.offset = append(t.offset, i)
		t.letters = append(t.letters, letters)
		if unicode.IsLetter(r) {
			letters++
		}
	}
	t.offset = append(t.offset, len(text))
	t.letters = append(t.letters, letters)
	return t
}

// unleet reads digits and symbols as the letters they look like. 1, !, | and 7 look like two: reading 0 takes them for i
// and t, reading 1 for l. One byte stays one byte, so that places in the text stay.
func unleet(text string, reading int) string {
	const from = "4@8(3691!|0$5+72"
	to := [2]string{
		"aabceggiiiossttz",
		"aabcegglllosstlz",
	}[reading]
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune(from, r); i >= 0 {
			return rune(to[i])
		}
		return r
	}, text)
}

// words looks up every part that begins at i. A part without a letter is read as it is: digits alone spell nothing.
func (t target) words(i int, list *wordList, names names, reach func(n, cost int, add parse)) {
	longest := min(max(list.longest, names.longest), len(t.runes)-i)
	for n := minWordRunes; n <= longest; n++ {
		spellings := t.spelled[:]
		if t.letters[i+n] == t.letters[i] {
			spellings = spellings[:1]
		}
		for _, spelling := range spellings {
			part := spelling[t.offset[i]:t.offset[i+n]]
			if names.set[part] {
				reach(n, costContext, parse{parts: n, context: n})
			}
			if _, ok := list.common[part]; ok {
				reach(n, costWord, parse{parts: n, common: n})
			}
		}
	}
}

// patterns finds the runs, sequences, lines of keys, years and repetitions that begin at i.
func (t target) patterns(i int, list *wordList, reach func(n, cost int, add parse)) {
	rest := t.runes[i:]
	upTo := func(longest, shortest, cost int) {
		for n := shortest; n <= longest; n++ {
			reach(n, cost, parse{parts: n})
		}
	}
	upTo(stepping(rest, 0), minRun, costRun)
	upTo(max(stepping(rest, 1), stepping(rest, -1)), minRising, costRising)
	upTo(list.walk(rest), minWalk, costWalk)
	if len(rest) >= 4 && (rest[0] == '1' && rest[1] == '9' || rest[0] == '2' && rest[1] == '0') && digits(rest[2:4]) {
		reach(4, costYear, parse{parts: 4})
	}
	for n := 2; n <= min(i, len(rest), maxRepeat); n++ {
		if t.repeats(i, n) {
			reach(n, costRepeat, parse{parts: n})
		}
	}
}

// repeats tells whether the n characters at i are those just before it.
func (t target) repeats(i, n int) bool {
	for k := range n {
		if t.runes[i+k] != t.runes[i-n+k] {
			return false
		}
	}
	return true
}

// stepping is how many characters at the beginning each differ by step from the one before. Only letters and
// digits rise and fall; anything can stand still.
func stepping(text []rune, step rune) int {
	n := 1
	for n < len(text) && text[n]-text[n-1] == step && (step == 0 || unicode.In(text[n], unicode.L, unicode.Nd) && unicode.In(text[n-1], unicode.L, unicode.Nd)) {
		n++
	}
	return n
}

func digits(text []rune) bool {
	for _, r := range text {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}
