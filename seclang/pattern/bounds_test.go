package pattern_test

import (
	"math/rand/v2"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/seclang/pattern"
)

// explosive needs a state for each set of places where an a stood.
const explosive = `a[ab]{14}c`

func randomAB(rng *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte("ab"[rng.IntN(2)])
	}
	return b.String()
}

func TestStatesHaveACap(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit int64
	}{{"states", 1 << 30}, {"memory", 60_000}} {
		memory := pattern.NewMemory(c.limit)
		re, err := pattern.CompileIn(memory, explosive)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 1))
		for _, end := range []string{"", "c", "cc", "a"} {
			text := randomAB(rng, 100_000) + end
			if got, want := re.Match(text), judge(t, explosive).MatchString(text); got != want {
				t.Errorf("%s: text that ends with %q: got %v, want %v", c.name, end, got, want)
			}
		}
		usage := memory.Usage()
		if usage.Flushes == 0 || usage.Fallbacks == 0 {
			t.Errorf("%s: got %+v, want flushes and fallbacks", c.name, usage)
		}
		if usage.Bytes > c.limit || usage.Bytes > 8<<20 {
			t.Errorf("%s: holds %d bytes, more than its %d or than 8192 states take", c.name, usage.Bytes, c.limit)
		}
		// An ordinary text gets its states afterwards.
		before := usage.Fallbacks
		if !re.Match("xxaaaaaaaaaaaaaaac") || memory.Usage().Fallbacks != before {
			t.Errorf("%s: after the flood a short text went to Go's regexp", c.name)
		}
	}
}

// TestMemoryIsShared fills one expression's states until another's have no room: the larger must give way.
func TestMemoryIsShared(t *testing.T) {
	memory := pattern.NewMemory(200_000)
	large, err := pattern.CompileIn(memory, explosive)
	if err != nil {
		t.Fatal(err)
	}
	small, err := pattern.CompileIn(memory, `foo\s+bar`)
	if err != nil {
		t.Fatal(err)
	}
	large.Match(randomAB(rand.New(rand.NewPCG(2, 2)), 5000))
	before := memory.Usage()
	for range 3 {
		if !small.Match("a foo  bar") {
			t.Error("got no match")
		}
	}
	after := memory.Usage()
	if after.Fallbacks != before.Fallbacks || after.Bytes > 200_000 {
		t.Errorf("got %+v after %+v, want no more fallbacks", after, before)
	}
}

// TestManyAtOnce lets goroutines share an expression whose states are thrown away all the time.
func TestManyAtOnce(t *testing.T) {
	memory := pattern.NewMemory(100_000)
	var all []*pattern.Regexp
	exprs := []string{explosive, `(?i)\bselect\b.*from`, `[^a]b$`, `b[ab]{10}c|foo`}
	for _, expr := range exprs {
		re, err := pattern.CompileIn(memory, expr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, re)
	}
	var wg sync.WaitGroup
	for w := range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(w)))
			for range 60 {
				text := randomAB(rng, rng.IntN(400)) + []string{"", "c", "foo", " SELECT x from"}[rng.IntN(4)]
				for i, re := range all {
					if got, want := re.Match(text), regexp.MustCompile("(?sm)"+exprs[i]).MatchString(text); got != want {
						t.Errorf("%q on %q: got %v, want %v", exprs[i], text, got, want)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if usage := memory.Usage(); usage.Bytes > 100_000 || usage.Flushes == 0 {
		t.Errorf("got %+v, want flushes and at most 100000 bytes", usage)
	}
}
