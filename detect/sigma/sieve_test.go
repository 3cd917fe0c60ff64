package sigma_test

import (
	"math/rand/v2"
	"testing"

	"github.com/doorward/doorward/detect/sigma"
)

// TestSieveLosesNothing: rules that are chosen by literals match the same events as all rules asked one by one.
func TestSieveLosesNothing(t *testing.T) {
	matched := 0
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 7))
		text := ""
		for i := range 60 {
			text += randomRule(rng, i)
		}
		sieved, plain := engine(t, text, sigma.Limits{}), engine(t, text, sigma.Limits{}).WithoutSieve()
		for range 400 {
			e := randomEvent(rng)
			got, want := sieved.Process(e), plain.Process(e)
			matched += len(want)
			if len(got) != len(want) {
				t.Fatalf("seed %d: %d matches, want %d, of %+v", seed, len(got), len(want), e)
			}
			for i := range got {
				if got[i].Rule.Title != want[i].Rule.Title {
					t.Fatalf("seed %d: rule %s, want %s, of %+v", seed, got[i].Rule.Title, want[i].Rule.Title, e)
				}
			}
		}
	}
	if matched < 5000 {
		t.Errorf("got %d matches in all: the rules are too strict to show anything", matched)
	}
}
