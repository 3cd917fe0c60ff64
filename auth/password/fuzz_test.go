package password_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/auth/password"
)

// FuzzCheck: whatever is typed, by whomever, the judge does not panic, says the same again, says the same of every
// Unicode spelling, and lets nothing pass that is too short, too long or without a class that the policy wants.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "password", "P@ssw0rd123", "passwordpassword1", "Zoë.Müller.2024", "Zoe\u0308", "qwertyuiop", "aaaaaaaaaaaaaaaa",
		"\xff\xfe", "a\x00b\nc", "ﷺ", "İstanbul ǅ ẞ ΐ", "пароль", "🦊🐙", "1qaz2wsx", "01/02/2003", "4@8(3691!|0$5+72", strings.Repeat("4@8(3691!|0$5+72", 16),
		strings.Repeat("ế", 256), strings.Repeat("a", 257), "\u0301\u0301\u0301", "\U000E0001"} {
		f.Add(seed, "zoe.miller", true)
		f.Add(seed, seed, false)
	}
	nist := newChecker(f, password.Config{})
	deskpro := newChecker(f, password.Config{Preset: "deskpro", MinScore: 4, AllowCommon: true})
	f.Fuzz(func(t *testing.T, text, name string, withFactor bool) {
		who := password.Subject{Name: name, Email: name + "@example.com", Context: []string{name}}
		for _, c := range []*password.Checker{nist, deskpro} {
			got := c.Check(text, who, withFactor)
			if diff := cmp.Diff(got, c.Check(text, who, withFactor)); diff != "" {
				t.Errorf("%q: twice looked at, two answers:\n%s", text, diff)
			}
			prepared := norm.NFKC.String(text)
			if utf8.ValidString(text) && len(text) <= 1000 {
				for _, form := range []norm.Form{norm.NFC, norm.NFD, norm.NFKC, norm.NFKD} {
					if diff := cmp.Diff(got, c.Check(form.String(text), who, withFactor)); diff != "" {
						t.Errorf("%q in form %d, another answer:\n%s", text, form, diff)
					}
				}
			}
			if got != nil {
				continue
			}
			if n := utf8.RuneCountInString(prepared); n < c.Policy().MinLengthFor(withFactor) || n > password.MaxLength || !utf8.ValidString(text) {
				t.Errorf("%q: accepted with %d characters", text, n)
			}
			if c == deskpro && strings.ToLower(prepared) == prepared && strings.ToUpper(prepared) == prepared {
				t.Errorf("%q: accepted without letters", text)
			}
		}
	})
}
