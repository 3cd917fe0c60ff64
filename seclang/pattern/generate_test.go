package pattern_test

import (
	"math/rand/v2"
	"regexp/syntax"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// generator makes texts that an expression matches, mostly: where an assertion asks for more, the caller looks.
type generator struct {
	rng  *rand.Rand
	out  []byte
	most int  // bytes after which repetitions end
	raw  bool // characters are bytes
}

func treeOf(t testing.TB, expr string) *syntax.Regexp {
	t.Helper()
	tree, err := syntax.Parse("(?sm)"+expr, syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// text returns a text for the tree.
func (g *generator) text(tree *syntax.Regexp) string {
	g.out = g.out[:0]
	g.walk(tree)
	return string(g.out)
}

func (g *generator) put(r rune) {
	if g.raw && r <= 255 {
		g.out = append(g.out, byte(r))
		return
	}
	g.out = utf8.AppendRune(g.out, r)
}

func (g *generator) walk(re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if re.Flags&syntax.FoldCase != 0 {
				for range g.rng.IntN(4) {
					r = unicode.SimpleFold(r)
				}
			}
			g.put(r)
		}
	case syntax.OpCharClass:
		g.member(re.Rune)
	case syntax.OpAnyCharNotNL:
		g.put(rune(' ' + g.rng.IntN(95)))
	case syntax.OpAnyChar:
		g.any()
	case syntax.OpBeginLine:
		if len(g.out) > 0 && g.rng.IntN(2) == 0 {
			g.put('\n')
		}
	case syntax.OpCapture:
		g.walk(re.Sub[0])
	case syntax.OpStar:
		g.repeat(re.Sub[0], 0, -1)
	case syntax.OpPlus:
		g.repeat(re.Sub[0], 1, -1)
	case syntax.OpQuest:
		g.repeat(re.Sub[0], 0, 1)
	case syntax.OpRepeat:
		g.repeat(re.Sub[0], re.Min, re.Max)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			g.walk(sub)
		}
	case syntax.OpAlternate:
		g.walk(re.Sub[g.rng.IntN(len(re.Sub))])
	}
}

// repeat favours few rounds, and none at all as often as some: what stands between letters is often left out.
func (g *generator) repeat(re *syntax.Regexp, least, most int) {
	n := least
	for len(g.out) < g.most && (most < 0 || n < most) && n < least+40 && g.rng.IntN(5) < 2 {
		n++
	}
	for range n {
		g.walk(re)
	}
}

func (g *generator) any() {
	switch g.rng.IntN(12) {
	case 0:
		g.out = append(g.out, byte(g.rng.IntN(256)))
	case 1:
		g.put(rune(g.rng.IntN(0x3000)))
	default:
		g.put(rune(' ' + g.rng.IntN(95)))
	}
}

// member chooses a stretch of the class, then a character near its beginning or anywhere in it.
func (g *generator) member(pairs []rune) {
	if len(pairs) == 0 {
		return
	}
	for range 4 {
		i := 2 * g.rng.IntN(len(pairs)/2)
		lo, hi := pairs[i], pairs[i+1]
		if g.rng.IntN(3) > 0 {
			hi = min(hi, max(lo, 126))
		}
		r := lo + rune(g.rng.IntN(int(hi-lo)+1))
		if utf8.ValidRune(r) && (r < 0x80 || g.rng.IntN(4) == 0) {
			g.put(r)
			return
		}
	}
	g.put(pairs[0])
}

// around puts a text between others, as it stands in requests.
func (g *generator) around(text string) string {
	words := []string{"", "", " ", "q=", "the quick brown fox ", "; ", "\n", "é", "\xff", "&x=1", "%27", "' ", "<b>", "/index.php?", "\x00"}
	var b strings.Builder
	b.WriteString(words[g.rng.IntN(len(words))])
	b.WriteString(text)
	b.WriteString(words[g.rng.IntN(len(words))])
	return b.String()
}

// flip changes the case of some ASCII letters.
func (g *generator) flip(text string) string {
	out := []byte(text)
	for i, c := range out {
		if c|0x20 >= 'a' && c|0x20 <= 'z' && g.rng.IntN(2) == 0 {
			out[i] = c ^ 0x20
		}
	}
	return string(out)
}

// mutate changes a few bytes.
func (g *generator) mutate(text string) string {
	const marks = " \n'\"()ab0_;\\<>="
	out := []byte(text)
	for range 1 + g.rng.IntN(3) {
		at := g.rng.IntN(len(out) + 1)
		switch n := g.rng.IntN(4); {
		case n == 0 && at < len(out):
			out = append(out[:at], out[at+1:]...)
		case n == 1 && at < len(out):
			out[at] = byte(g.rng.IntN(256))
		case n == 2 && at < len(out):
			out = append(out, out[at:min(len(out), at+8)]...)
		default:
			out = append(out[:at], append([]byte{marks[g.rng.IntN(len(marks))]}, out[at:]...)...)
		}
	}
	return string(out)
}
