package password_test

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/doorward/doorward/auth/password"
	"github.com/doorward/doorward/rules"
)

func newChecker(t testing.TB, cfg password.Config) *password.Checker {
	t.Helper()
	c, err := password.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func codes(problems []password.Problem) []password.Code {
	var all []password.Code
	for _, p := range problems {
		all = append(all, p.Code)
	}
	return all
}

// zoe has names of every kind, with accents.
func zoe() password.Subject {
	return password.Subject{Name: "zoe.miller", Email: "zm@acme-helpdesk.example", DisplayName: "Zoë Müller-Lüdenscheidt",
		Context: []string{"support.example.com", "Deskpro"}}
}

func TestCheckLength(t *testing.T) {
	c := newChecker(t, password.Config{})
	const letters = "vqxjzkwpfhgybmuc" // no word, no line of keys
	for _, test := range []struct {
		password   string
		withFactor bool
		want       []password.Problem
	}{
		{"", false, []password.Problem{{Code: password.TooShort, Number: 15}}},
		{"", true, []password.Problem{{Code: password.TooShort, Number: 8}}},
		{letters[:14], false, []password.Problem{{Code: password.TooShort, Number: 15}}},
		{letters[:15], false, nil},
		{letters[:7], true, []password.Problem{{Code: password.TooShort, Number: 8}}},
		{letters[:8], true, nil},
		{strings.Repeat(letters, 16), false, nil},
		{strings.Repeat(letters, 16) + "v", false, []password.Problem{{Code: password.TooLong, Number: 256}}},
		{strings.Repeat("v", 1<<20), false, []password.Problem{{Code: password.TooLong, Number: 256}}},
		{strings.Repeat("ﷺ", 20), false, []password.Problem{{Code: password.TooLong, Number: 256}}}, // 18 characters each in NFKC
		{"vqxjzkw\xffpfhgybmuc", false, []password.Problem{{Code: password.NotText}}},
		{"жщъыэюяфцчшпбд", false, []password.Problem{{Code: password.TooShort, Number: 15}}}, // 14 characters, 28 bytes
		{"жщъыэюяфцчшпбдл", false, nil},
	} {
		if diff := cmp.Diff(test.want, c.Check(test.password, zoe(), test.withFactor)); diff != "" {
			t.Errorf("%.40q, factor %v (-want +got):\n%s", test.password, test.withFactor, diff)
		}
	}
}

func TestCheckClasses(t *testing.T) {
	all := newChecker(t, password.Config{Preset: "deskpro"})
	for text, want := range map[string][]password.Code{
		"vqxjzkwpfhgybmu": {password.NoUpper, password.NoDigit, password.NoSymbol},
		"VQXJZKWPFHGYBMU": {password.NoLower, password.NoDigit, password.NoSymbol},
		"493817560284917": {password.NoLower, password.NoUpper, password.NoSymbol},
		"vQxjzkw7pfhgybm": {password.NoSymbol},
		"vQxjzkw7 fhgybm": nil,
		"жЩъыэюя٣-цчшпбд": nil, // letters and digits of any script
		"漢字仮名交文章七八九十天地人心": {password.NoLower, password.NoUpper, password.NoDigit, password.NoSymbol},
	} {
		if diff := cmp.Diff(want, codes(all.Check(text, zoe(), false))); diff != "" {
			t.Errorf("deskpro, %q (-want +got):\n%s", text, diff)
		}
	}
	mor := newChecker(t, password.Config{Preset: "mor"})
	for text, want := range map[string][]password.Code{
		"vqxjzkwpfhgy":  {password.NoDigit, password.NoSymbol},
		"493817-60284":  {password.NoLetter},
		"vqxjz#wp7hgy":  nil,
		"漢字仮名交文章#七八九十7": nil,
	} {
		if diff := cmp.Diff(want, codes(mor.Check(text, zoe(), false))); diff != "" {
			t.Errorf("mor, %q (-want +got):\n%s", text, diff)
		}
	}
}

func TestCheckRefusesWhatIsTriedFirst(t *testing.T) {
	c := newChecker(t, password.Config{ContextWords: []string{"Umbrella Corp"}})
	for _, test := range []struct {
		want      password.Code
		passwords []string
	}{
		{password.Common, []string{"iloveyou", "ILoveYou", "P@ssw0rd123", "Passw0rd!", "passwordpassword1", "PasswordPassword1", "monkeydragon1999",
			"trustno1trustno1", "footballbaseball", "letmeinpassword123!", "Summer2024Winter", "pässwörd2024", "ｐａｓｓｗｏｒｄ１２３",
			"1qaz2wsx3edc4rfv", "sup3rm4n-sup3rm4n", "12121212121212121212", "drowssapdrowssap", "thunder#4711", "changemechangeme", "Passwort-2026!!", "Kennwort1"}},
		{password.Context, []string{"zoe.miller2024", "ZoeMiller!", "Zoë.Müller.2024", "z0em1ller", "muellerzoe-mueller", "support-example",
			"AcmeHelpdesk2026", "adm1n1strat0r!", "loginlogin1234", "deskpro-deskpro", "Doorward123!", "umbrella-corp-1", "UMBRELLA2026!!", "lüdenscheidt-1"}},
		{password.Predictable, []string{"aaaaaaaaaaaaaaaaaaaa", "qwertyuiopasdfg", "abcdefghijklmno", "zyxwvutsrqponml", "poiuztrewqlkjhgf",
			"987654321098765", "!!!!!!!!!!!!!!!!", "yxcvbnm,.-#+ü", "ab12ab12ab12ab12", "zxcvb zxcvb zxcvb", "19991999199919991"}},
	} {
		for _, text := range test.passwords {
			got := codes(c.Check(text, zoe(), true))
			if diff := cmp.Diff([]password.Code{test.want}, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", text, diff)
			}
		}
	}
}

// TestCheckAcceptsGoodPasswords: a common word or a name in a password is no reason to refuse it (NIST compares the
// entire password).
func TestCheckAcceptsGoodPasswords(t *testing.T) {
	c := newChecker(t, password.Config{})
	for _, text := range []string{"otter lamp fig quilt", "orbit-lantern-cobalt-thistle", "zoe likes password managers", "monkey tape granite 1999",
		"пример пароля для вас", "天地玄黄宇宙洪荒日月盈昃辰宿列", "q7#Lw!9vT$e2Rz&k", "my deskpro is on the 3rd floor", "🦊🐙🌵🚲🎻🧭🪁🥝🦉🐌🍋🧊🪵🛶🎲",
		strings.Repeat("vqxjzkwpfhgybmuc", 16)} {
		if got := c.Check(text, zoe(), false); got != nil {
			t.Errorf("%q: got %v, want it accepted", text, got)
		}
	}
	for _, text := range []string{"x7Kq9$Lm", "Vq#xjz7k", "hafnium ox"} {
		if got := c.Check(text, zoe(), true); got != nil {
			t.Errorf("%q beside a factor: got %v, want it accepted", text, got)
		}
	}
}

func TestCheckScore(t *testing.T) {
	const text = "january january" // no common password, but two dictionary words that are one
	for least, want := range map[int][]password.Problem{
		1: nil, 2: {{Code: password.Guessable, Number: 2}}, 4: {{Code: password.Guessable, Number: 4}},
	} {
		if diff := cmp.Diff(want, newChecker(t, password.Config{MinScore: least}).Check(text, zoe(), false)); diff != "" {
			t.Errorf("min_score %d (-want +got):\n%s", least, diff)
		}
	}
	// Beyond what zxcvbn sees at a time, either end may be the strong one.
	c := newChecker(t, password.Config{MinScore: 4})
	strong := "q7#Lw!9vT$e2Rz&k"
	for _, long := range []string{strong + strings.Repeat("january ", 20), strings.Repeat("january ", 20) + strong} {
		if got := c.Check(long, zoe(), false); got != nil {
			t.Errorf("%q: got %v, want it accepted", long, got)
		}
	}
}

func TestAllowCommonTurnsTheListOffOnly(t *testing.T) {
	c := newChecker(t, password.Config{Preset: "faveo", AllowCommon: true, MinScore: 1})
	if got := codes(c.Check("footballbaseball", zoe(), false)); cmp.Diff([]password.Code{password.Guessable}, got) != "" {
		t.Errorf("two common passwords: got %v, want them refused by the score only", got)
	}
	if got := codes(c.Check("zoemiller2024!!", zoe(), false)); cmp.Diff([]password.Code{password.Context}, got) != "" {
		t.Errorf("the person's name: got %v, want context", got)
	}
}

// TestCommonListIsLargeEnough: ASVS 6.2.4 wants at least the top 3,000 passwords that satisfy the policy's length.
// With a factor these are in the list as they are; without one they are its variants.
func TestCommonListIsLargeEnough(t *testing.T) {
	text, err := fs.ReadFile(rules.Passwords(), "common.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := newChecker(t, password.Config{})
	refused := map[bool]int{}
	for i, word := range strings.Fields(commentFree(string(text))) {
		if i%3 != 0 {
			continue // a third is enough to show it
		}
		if len(word) >= 8 {
			if got := c.Check(word, password.Subject{}, true); got == nil {
				t.Fatalf("%q is in the list and accepted", word)
			}
			refused[true]++
		}
		if twice := word + word; len(twice) >= 15 {
			if got := c.Check(twice, password.Subject{}, false); got == nil {
				t.Fatalf("%q, a common password twice, is accepted", twice)
			}
			refused[false]++
		}
	}
	if refused[true] < 3000 || refused[false] < 3000 {
		t.Errorf("refused %d of 8 characters or more and %d of 15 or more, want 3000 of each at least", refused[true], refused[false])
	}
}

func commentFree(text string) string {
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// TestCheckIsTheSameForEverySpelling: composed and decomposed, wide and narrow, a password is one password.
func TestCheckIsTheSameForEverySpelling(t *testing.T) {
	for _, preset := range []string{"nist", "deskpro", "mor"} {
		c := newChecker(t, password.Config{Preset: preset})
		for _, text := range []string{"Zoë.Müller.2024", "пароль и йод 42!", "ǻéîõü-ÁḃĆđĕ-7", "한글비밀번호입니다일이삼사오육", "ẛ̣ẛ̣ẛ̣ẛ̣ẛ̣ẛ̣ẛ̣ẛ̣",
			strings.Repeat("ế", 256), strings.Repeat("한", 256), strings.Repeat("é", 257)} {
			want := c.Check(text, zoe(), false)
			for _, form := range []norm.Form{norm.NFC, norm.NFD, norm.NFKC, norm.NFKD} {
				if diff := cmp.Diff(want, c.Check(form.String(text), zoe(), false)); diff != "" {
					t.Errorf("%s, %.30q in form %d (-want +got):\n%s", preset, text, form, diff)
				}
			}
		}
	}
}

// TestCheckCapsWhatStrangersChoose: where registration is open, the names are a stranger's too.
func TestCheckCapsWhatStrangersChoose(t *testing.T) {
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("word%dx", i))
	}
	who := password.Subject{Name: strings.Repeat("n", 1<<20), Email: strings.Join(many, "."), DisplayName: "Zoë " + strings.Repeat("Müller ", 500),
		Context: many}
	c := newChecker(t, password.Config{})
	if got := codes(c.Check("word1x-word2x-word3x", who, false)); cmp.Diff([]password.Code{password.Context}, got) != "" {
		t.Errorf("a word below the cap: got %v, want context", got)
	}
	if got := c.Check("word9999x-vqjz-word9998x", who, false); got != nil {
		t.Errorf("a word beyond the cap: got %v, want it not looked at", got)
	}
}

func TestCheckerIsSafeForConcurrentUse(t *testing.T) {
	c := newChecker(t, password.Config{})
	role, err := c.For(password.Config{Preset: "mor"})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if got := codes(c.Check("passwordpassword1", zoe(), false)); cmp.Diff([]password.Code{password.Common}, got) != "" {
				t.Errorf("got %v, want common", got)
			}
			if got := codes(role.Check("passwordpassword1!", zoe(), false)); cmp.Diff([]password.Code{password.Common}, got) != "" {
				t.Errorf("got %v, want common", got)
			}
		})
	}
	wait.Wait()
}

func TestExpired(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	never := newChecker(t, password.Config{}).Policy()
	yearly := newChecker(t, password.Config{Preset: "mor"}).Policy()
	for _, test := range []struct {
		policy  password.Policy
		changed time.Time
		want    bool
	}{
		{never, now.AddDate(-20, 0, 0), false},
		{never, time.Time{}, false},
		{yearly, now.Add(-yearly.MaxAge + time.Nanosecond), false},
		{yearly, now.Add(-yearly.MaxAge), true},
		{yearly, time.Time{}, true},              // nobody knows how old it is
		{yearly, now.Add(24 * time.Hour), false}, // a clock that was set back locks nobody out
	} {
		if got := test.policy.Expired(test.changed, now); got != test.want {
			t.Errorf("%s, changed %v: got %v, want %v", test.policy.Preset, test.changed, got, test.want)
		}
	}
}

// TestEveryCodeHasASentence: and none of them speaks of the password's own characters.
func TestEveryCodeHasASentence(t *testing.T) {
	fallback := password.Problem{Code: "no such code"}.String()
	seen := map[string]password.Code{}
	for _, code := range password.Codes() {
		text := password.Problem{Code: code, Number: 3}.String()
		if text == fallback || seen[text] != "" {
			t.Errorf("%s: %q is the sentence of another code", code, text)
		}
		seen[text] = code
		if !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q is no sentence", code, text)
		}
	}
}
