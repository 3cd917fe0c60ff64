package password_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/password"
)

const (
	year     = 365 * 24 * time.Hour
	fourKind = password.Lower | password.Upper | password.Digit | password.Symbol
)

// TestPresets reads every file of rules/passwords/presets, and shows what a configuration gets that names it.
func TestPresets(t *testing.T) {
	want := map[string]password.Policy{
		"nist":    {MinLength: 15, MinLengthWithFactor: 8, MinScore: 2, CommonPasswords: true},
		"asvs-l2": {MinLength: 15, MinLengthWithFactor: 8, MinScore: 2, CommonPasswords: true, ChangeAtFirstSignIn: true},
		"deskpro": {MinLength: 15, MinLengthWithFactor: 8, MinScore: 3, CommonPasswords: true, Classes: fourKind, MaxAge: year, History: 4},
		"faveo":   {MinLength: 15, MinLengthWithFactor: 8, MinScore: 2, CommonPasswords: true},
		"idoit":   {MinLength: 15, MinLengthWithFactor: 8, MinScore: 3, CommonPasswords: true, ChangeAtFirstSignIn: true},
		"mor": {MinLength: 12, MinLengthWithFactor: 12, MinScore: 2, CommonPasswords: true, MaxAge: year, History: 1,
			Classes: password.Letter | password.Digit | password.Symbol, ChangeAtFirstSignIn: true},
	}
	names, err := password.PresetNames()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"asvs-l2", "deskpro", "faveo", "idoit", "mor", "nist"}, names); diff != "" {
		t.Errorf("presets (-want +got):\n%s", diff)
	}
	for _, name := range names {
		expected := want[name]
		expected.Preset = name
		got, err := password.Resolve(password.Config{Preset: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got, err := password.Resolve(password.Config{}); err != nil || got.Preset != "nist" {
		t.Errorf("no preset: got %q, %v, want nist", got.Preset, err)
	}
}

// TestPresetsHaveSources: a number that nobody can look up is one that nobody dares to change.
func TestPresetsHaveSources(t *testing.T) {
	source := regexp.MustCompile(`^([DFIM]-[0-9]{2}|NIST SP 800-63B-4 3\.1\.1\.2|ASVS 5\.0 6\.[0-9]+\.[0-9]+|choice)$`)
	names, err := password.PresetNames()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		p, err := password.LoadPreset(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Title == "" || p.MinLength == nil || p.MinLengthWithFactor == nil || p.CommonPasswords == nil {
			t.Errorf("%s: title, lengths or common_passwords are missing", name)
		}
		facts := slices.Concat(sourceOf(p.MinLength), sourceOf(p.MinLengthWithFactor), sourceOf(p.Classes), sourceOf(p.MaxAge), sourceOf(p.History),
			sourceOf(p.ChangeAtFirstSignIn), sourceOf(p.CommonPasswords), sourceOf(p.BreachCheck), sourceOf(p.MinScore))
		for _, fact := range facts {
			if !source.MatchString(fact[0]) {
				t.Errorf("%s: source %q is neither a control nor a section", name, fact[0])
			}
			if fact[0] == "choice" && fact[1] == "" {
				t.Errorf("%s: a choice without a why", name)
			}
		}
	}
}

func sourceOf[T any](f *password.Fact[T]) [][2]string {
	if f == nil {
		return nil
	}
	return [][2]string{{f.Source, f.Why}}
}

func TestLoadPresetNamesTheKnownOnes(t *testing.T) {
	_, err := password.LoadPreset("../common")
	if err == nil || !strings.Contains(err.Error(), "known: asvs-l2, deskpro, faveo, idoit, mor, nist") {
		t.Errorf("got %v, want the known names", err)
	}
}

// TestMorGuide is the guide's own wording: "at least 12 symbols", letters, numbers and special characters (M-02, M-03).
func TestMorGuide(t *testing.T) {
	c := newChecker(t, password.Config{Preset: "mor"})
	if got := c.Check("vq7#xjzkwpf", zoe(), true); cmp.Diff([]password.Problem{{Code: password.TooShort, Number: 12}}, got) != "" {
		t.Errorf("11 characters beside a factor: got %v, want 12 asked for", got)
	}
	if got := c.Check("vq7#xjzkwpfh", zoe(), false); got != nil {
		t.Errorf("12 characters with all three kinds: got %v, want it accepted", got)
	}
}

// TestDeskproGuide: the example that the guide warns of, a password of five characters, has every problem (D-04, D-05).
func TestDeskproGuide(t *testing.T) {
	got := codes(newChecker(t, password.Config{Preset: "deskpro"}).Check("hello", zoe(), true))
	want := []password.Code{password.TooShort, password.NoUpper, password.NoDigit, password.NoSymbol, password.Common}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestIdoitGuide: the accounts that come with i-doit have their names as passwords (I-79).
func TestIdoitGuide(t *testing.T) {
	c := newChecker(t, password.Config{Preset: "idoit"})
	for _, name := range []string{"admin", "reader", "author", "editor"} {
		if got := codes(c.Check(name+name+name, password.Subject{Name: name}, false)); !slices.Contains(got, password.Context) {
			t.Errorf("%s thrice: got %v, want context", name, got)
		}
	}
}

// TestStandardsAskForNoClasses: NIST and ASVS forbid them, so a password of one kind of character is as good as any.
func TestStandardsAskForNoClasses(t *testing.T) {
	for _, preset := range []string{"nist", "asvs-l2", "faveo"} {
		for _, text := range []string{"vqxjzkwpfhgybmuc", "VQXJZKWPFHGYBMUC", "8391746205938172", "#;%<~)&=>?(*}{|^"} {
			if got := newChecker(t, password.Config{Preset: preset}).Check(text, zoe(), false); got != nil {
				t.Errorf("%s, %q: got %v, want it accepted", preset, text, got)
			}
		}
	}
}
