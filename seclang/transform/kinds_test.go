package transform_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/transform"
)

// A function changes no text that has nothing of what it is said to look for.
func TestFunctionsChangeWhatTheyLookFor(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pieces := strings.Split("a|b|Z|0|9|f|x|u|é|ſ|\xff|\xa0| |  |\t|\n|\v|(|%|%41|+|\\|\\n|&|&amp;|&#65;|\x00|/|.|..|:|*|/*|*/|#|-|--|<!--|-->|'|\"|^|,|;|==", "|")
	unchanged := map[string]int{}
	for range 100_000 {
		var b strings.Builder
		few := pieces[rng.IntN(len(pieces)-4):]
		for range rng.IntN(8) {
			b.WriteString(few[rng.IntN(min(len(few), 1+rng.IntN(20)))])
		}
		text := b.String()
		kinds := transform.KindsOf(text)
		for _, name := range transform.Names() {
			if kinds&transform.Changes(name) != 0 {
				continue
			}
			unchanged[name]++
			f, _ := transform.Lookup(name)
			if got := f(text); got != text {
				t.Fatalf("%s: %q becomes %q, but it is said to change nothing", name, text, got)
			}
		}
	}
	if n := unchanged["urlDecodeUni"]; n < 10_000 {
		t.Errorf("urlDecodeUni changes nothing in %d texts, want at least 10000", n)
	}
	if n := unchanged["base64Decode"]; n > 0 {
		t.Errorf("base64Decode is said to change nothing in %d texts, want none", n)
	}
}
