package fail2ban_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/doorward/doorward/detect/fail2ban"
)

// TestGate: whatever texts a gate is made of and wherever in a line they stand, over the place of the date and at the line end too, it finds
// those that are there, and of texts that keep their case no others.
func TestGate(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 11))
	word := func(least, most int) string {
		text := make([]byte, least+r.IntN(most-least+1))
		for i := range text {
			text[i] = "abcABC \n"[r.IntN(7+r.IntN(2)*r.IntN(2))]
		}
		return string(text)
	}
	sieved := 0
	for range 3000 {
		least := 1 + r.IntN(14)
		texts := map[string]uint64{}
		var all []string
		for i := range 1 + r.IntN(12) {
			text := word(least, least+8)
			texts[text] |= 1 << i
			all = append(all, text)
		}
		fold := r.IntN(3) == 0
		g := fail2ban.NewGate(texts, fold)
		if g.Sieved() {
			sieved++
		}
		for range 20 {
			var line strings.Builder
			for range r.IntN(6) {
				line.WriteString(word(0, 20))
				if r.IntN(2) == 0 {
					text := all[r.IntN(len(all))]
					line.WriteString(text[:r.IntN(len(text)+1)])
				} else {
					line.WriteString(all[r.IntN(len(all))])
				}
			}
			whole := line.String()
			cut := r.IntN(len(whole) + 1)
			want := uint64(0)
			for text, bits := range texts {
				in := whole + "\n"
				if fold {
					in, text = strings.ToLower(in), strings.ToLower(text)
				}
				if strings.Contains(in, text) {
					want |= bits
				}
			}
			if got := g.Seen(whole[:cut], whole[cut:]); got != want {
				t.Fatalf("texts %q, fold %v, line %q and %q: seen %b, want %b", all, fold, whole[:cut], whole[cut:], got, want)
			}
		}
	}
	if sieved < 1000 {
		t.Errorf("%d gates had a sieve, want 1000 and more", sieved)
	}
}
