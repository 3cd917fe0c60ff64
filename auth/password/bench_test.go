package password_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth/password"
)

// BenchmarkCheck is what a password change costs beside the hash: an ordinary password, and 256 characters chosen to make
// each part of the judge slow. docs/passwords.md has the numbers.
func BenchmarkCheck(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	mixed := make([]byte, 256)
	for i := range mixed {
		mixed[i] = "abcdefghijklmnopqrstuvwxyz4@8(3691!|0$5+72%"[random.IntN(43)]
	}
	for _, c := range []struct{ name, text string }{
		{"ordinary", "otter lamp fig quilt"},
		{"refused", "passwordpassword1"},
		{"leet", strings.Repeat("4@8(3691!|0$5+72", 16)},
		{"mixed", string(mixed)},
		{"repeated", strings.Repeat("a", 256)},
		{"walks", strings.Repeat("qwertyuiopasdfghjklzxcvbnm1qaz2w", 8)},
		{"short walks", strings.Repeat("qwe9aoe0sdf1,.p3", 16)}, // each makes zxcvbn read its keyboards anew
		{"dates", strings.Repeat("01/02/1999-3.4.05", 15) + "x"},
		{"words", strings.Repeat("loveyoumanforthe", 16)},
		{"wide", strings.Repeat("ΐ", 256)},
		{"refused by length", strings.Repeat("ﷺ", 1300)},
	} {
		b.Run(c.name, func(b *testing.B) {
			checker := newChecker(b, password.Config{MinScore: 4})
			checker.Check(c.text, zoe(), false) // reads the list
			b.ReportAllocs()
			for b.Loop() {
				checker.Check(c.text, zoe(), false)
			}
		})
	}
}

// BenchmarkList is what the first check costs: reading the list of common passwords.
func BenchmarkList(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newChecker(b, password.Config{}).Check("otter lamp fig quilt", zoe(), false)
	}
}
