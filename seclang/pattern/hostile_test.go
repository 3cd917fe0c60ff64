package pattern_test

import (
	"cmp"
	"math/rand/v2"
	"os"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/seclang/pattern"
)

// ownRules are the rules of our own, with the expressions that they find.
func ownRules(t testing.TB) []rule {
	t.Helper()
	text, err := os.ReadFile("../../rules/waf/own.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		ID   int
		Find string
	}
	if err := yaml.Unmarshal(text, &entries); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, e := range entries {
		if e.Find != "" {
			all = append(all, rule{id: strconv.Itoa(e.ID), argument: e.Find})
		}
	}
	if len(all) < 20 {
		t.Fatalf("read %d expressions of our own, want at least 20", len(all))
	}
	return all
}

// hostile makes texts that are to cost as much as possible.
func hostile(g *generator, tree *syntax.Regexp, size int) string {
	var b strings.Builder
	var pool [16]string
	for i := range pool {
		pool[i] = g.text(tree)
	}
	piece := pool[0]
	style := g.rng.IntN(6)
	for b.Len() < size {
		before := b.Len()
		switch style {
		case 0: // one match begun again and again, never ended
			b.WriteString(piece[:g.rng.IntN(len(piece)+1)])
			b.WriteByte(" x'(;\n"[g.rng.IntN(6)])
		case 1: // a part of one match over and over
			b.WriteString(piece[len(piece)/4 : len(piece)/4+len(piece)/2])
			b.WriteByte(' ')
		case 2: // characters of many matches in any order
			if piece = pool[g.rng.IntN(len(pool))]; piece != "" {
				b.WriteByte(piece[g.rng.IntN(len(piece))])
			}
			b.WriteByte("aA0 \n'(<;.%x\xc3\xa9"[g.rng.IntN(14)])
		case 3: // changed matches
			piece = g.mutate(pool[g.rng.IntN(len(pool))])
			b.WriteString(piece)
		case 4: // one character
			b.WriteString((piece + "a")[:1])
		case 5: // beginnings
			piece = pool[g.rng.IntN(len(pool))]
			b.WriteString(piece[:g.rng.IntN(len(piece)+1)])
		}
		if b.Len() == before {
			b.WriteByte('a')
		}
	}
	return b.String()[:size]
}

// worst is the worst text found for an expression.
type worst struct {
	id        string
	size      int
	steps     float64 // a byte, beside looking a state up
	nanos     float64 // a byte
	fallbacks uint64  // texts of all that went to Go's regexp
	flushes   uint64
	text      string
}

// seeker looks for the text that costs an expression most.
type seeker struct {
	g     *generator
	tree  *syntax.Regexp
	re    *pattern.Regexp
	mem   *pattern.Memory
	insts int
}

func newSeeker(t *testing.T, r rule, seed uint64) *seeker {
	t.Helper()
	s := &seeker{tree: treeOf(t, r.argument), mem: pattern.NewMemory(32 << 20)}
	prog, err := syntax.Compile(s.tree.Simplify())
	if err != nil {
		t.Fatal(err)
	}
	s.insts = len(prog.Inst)
	s.g = &generator{rng: rand.New(rand.NewPCG(11, seed)), most: 60, raw: pattern.MeansBytes(r.argument)}
	if s.re, err = pattern.CompileIn(s.mem, r.argument); err != nil {
		t.Fatal(err)
	}
	return s
}

// try gives a text to the expression, which has no states yet, and notes it when it is the worst so far.
func (s *seeker) try(t *testing.T, text string, w *worst) {
	t.Helper()
	pattern.Forget(s.re)
	before, start := s.mem.Usage(), processorTime(t)
	s.re.Match(text)
	took, after := processorTime(t)-start, s.mem.Usage()
	w.fallbacks += after.Fallbacks - before.Fallbacks
	w.flushes += after.Flushes - before.Flushes
	w.nanos = max(w.nanos, float64(took)/float64(len(text)))
	if steps := float64(after.Steps-before.Steps) / float64(len(text)); steps > w.steps || w.text == "" {
		w.steps, w.text = steps, text
	}
}

// search tries some texts, and then changes of the worst.
func (s *seeker) search(t *testing.T, id string, size, tries, changes int) worst {
	t.Helper()
	w := worst{id: id, size: size}
	for range tries {
		text := hostile(s.g, s.tree, size)
		for range 3 { // one that matches ends the work early
			if !s.re.Match(text) {
				break
			}
			text = hostile(s.g, s.tree, size)
		}
		s.try(t, text, &w)
	}
	for range changes {
		s.try(t, s.change(w.text), &w)
	}
	return w
}

// change puts something else in the place of a part of a text.
func (s *seeker) change(text string) string {
	size := len(text)
	length := 1 + s.g.rng.IntN(size/2)
	at := s.g.rng.IntN(size - length + 1)
	part := text[at : at+length]
	switch s.g.rng.IntN(4) {
	case 0: // another text
		part = hostile(s.g, s.tree, length)
	case 1: // another place of the same, moved by a little
		from := s.g.rng.IntN(size - length + 1)
		part = text[from : from+length]
	case 2: // a short piece of it again and again
		piece := part[:1+s.g.rng.IntN(min(length, 60))]
		part = strings.Repeat(piece, length/len(piece)+1)[:length]
	case 3: // some bytes
		for range 8 {
			part = s.g.mutate(part)
		}
	}
	return (text[:at] + part + text[at+length:] + text)[:size]
}

// maxStepsPerByte bounds what any expression of the rules may cost for a byte of any text, in instructions looked at while
// states are made. The searches found less than a third of it.
const maxStepsPerByte = 200

// TestHostileTexts looks for the worst texts of 4 KB for each expression of the Core Rule Set and of our own. The work is
// bounded by the instructions of the expression for each byte; what counts is that the worst is far from that.
// DOORWARD_HOSTILE=1 looks longer, and at texts of 128 KB too, and prints the worst.
func TestHostileTexts(t *testing.T) {
	tries, changes, sizes := 3, 3, []int{4 << 10}
	if os.Getenv("DOORWARD_HOSTILE") != "" {
		tries, changes, sizes = 12, 60, []int{4 << 10, 128 << 10}
	}
	var all []worst
	for i, r := range slices.Concat(rulesOf(t, "rx"), ownRules(t)) {
		s := newSeeker(t, r, uint64(i))
		for _, size := range sizes {
			n := changes
			if size > 4<<10 {
				n /= 4
			}
			w := s.search(t, r.id, size, tries, n)
			// Each of three passes a byte looks at an instruction at most once.
			if limit := min(maxStepsPerByte, 4*float64(s.insts+10)); w.steps > limit {
				t.Errorf("rule %s: %.0f steps a byte, more than %.0f", r.id, w.steps, limit)
			}
			w.text = ""
			all = append(all, w)
		}
	}
	show := func(what string, size int, by func(w worst) float64) {
		slices.SortStableFunc(all, func(a, b worst) int { return cmp.Compare(by(b), by(a)) })
		shown := 0
		for _, w := range all {
			if w.size == size && shown < 10 {
				shown++
				t.Logf("%s of %d bytes: rule %s, %.1f steps and %.0f ns a byte, %d flushes, %d fallbacks", what, size, w.id, w.steps, w.nanos, w.flushes, w.fallbacks)
			}
		}
	}
	for _, size := range sizes {
		show("most steps", size, func(w worst) float64 { return w.steps })
	}
	show("slowest", sizes[len(sizes)-1], func(w worst) float64 { return w.nanos })
	var ours, flushes, fallbacks float64
	for _, w := range all {
		flushes, fallbacks = flushes+float64(w.flushes), fallbacks+float64(w.fallbacks)
		if len(w.id) == 8 {
			ours = max(ours, w.steps)
		}
	}
	t.Logf("the worst of our own: %.1f steps a byte; %.0f flushes and %.0f fallbacks altogether", ours, flushes, fallbacks)
}

// TestHostileNarrowings looks at the expressions of narrowings, which are Go's: linear, so that only a text's length and the
// expression's size count. Both are capped.
func TestHostileNarrowings(t *testing.T) {
	text, err := os.ReadFile("../../rules/waf/tuning.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct{ Name, Unless, But string }
	if err := yaml.Unmarshal(text, &entries); err != nil {
		t.Fatal(err)
	}
	const most = 1500 // instructions: with 128 KiB a request, at most some 200 million of the simplest steps
	for i, e := range entries {
		for _, expr := range []string{e.Unless, e.But} {
			if expr == "" {
				continue
			}
			tree, err := syntax.Parse(expr, syntax.Perl)
			if err != nil {
				t.Fatal(err)
			}
			prog, err := syntax.Compile(tree.Simplify())
			if err != nil {
				t.Fatal(err)
			}
			if len(prog.Inst) > most {
				t.Errorf("%s: %d instructions, want at most %d", e.Name, len(prog.Inst), most)
			}
			if os.Getenv("DOORWARD_HOSTILE") == "" {
				continue
			}
			re, g := regexp.MustCompile(expr), &generator{rng: rand.New(rand.NewPCG(12, uint64(i))), most: 60}
			nanos := 0.0
			for range 10 {
				text := hostile(g, tree, 128<<10)
				start := processorTime(t)
				re.MatchString(text)
				nanos = max(nanos, float64(processorTime(t)-start)/float64(len(text)))
			}
			t.Logf("%s: %d instructions, %.0f ns a byte", e.Name, len(prog.Inst), nanos)
		}
	}
}
