package language_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/language/languagetest"
)

func catalogue(t *testing.T, files map[string]string) (*language.Catalogue, error) {
	t.Helper()
	tree := make(fstest.MapFS)
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return language.Load(tree)
}

func TestText(t *testing.T) {
	c, err := catalogue(t, map[string]string{
		"en.yaml": "hello: Hello {who}\nonly: Only here\nleft.one: one left\nleft.other: '{n} left'\n",
		"de.yaml": "hello: Hallo {who}\nleft.one: noch einer\nleft.other: noch {n}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, key string
		pairs     []string
		want      string
	}{
		{"en", "hello", []string{"who", "Zoë"}, "Hello Zoë"},
		{"de", "hello", []string{"who", "{who} {n}"}, "Hallo {who} {n}"},
		{"de", "only", nil, "Only here"},
		{"fr", "hello", []string{"who", "you"}, "Hello you"},
		{"en", "left", []string{"n", "1"}, "one left"},
		{"de", "left", []string{"n", "12"}, "noch 12"},
		{"en", "no.such", nil, "no.such"},
	} {
		if got := c.Text(test.name, test.key, test.pairs...); got != test.want {
			t.Errorf("%s %s %v: got %q, want %q", test.name, test.key, test.pairs, got, test.want)
		}
	}
}

func TestMatch(t *testing.T) {
	c, err := catalogue(t, map[string]string{"en.yaml": "a: b\n", "de.yaml": "a: c\n"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ preferred, accept, want string }{
		{"", "", "en"}, {"", "de", "de"}, {"", "de-AT,de;q=0.9,en;q=0.5", "de"}, {"", "fr,en;q=0.1", "en"},
		{"de", "en", "de"}, {"xx", "de", "de"}, {"", "tlh", "en"}, {"", "de;q=x", "en"}, {"", "\x00", "en"},
		{"", strings.Repeat("de,", 500), "en"},
	} {
		if got := c.Match(test.preferred, test.accept); got != test.want {
			t.Errorf("Match(%q, %.40q): got %q, want %q", test.preferred, test.accept, got, test.want)
		}
	}
}

func TestTextOr(t *testing.T) {
	c, err := catalogue(t, map[string]string{"en.yaml": "a: one\nb: two {x}\nn.one: single\nn.other: many\n", "de.yaml": "a: eins\n"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, key string
		pairs     []string
		want      string
	}{
		{"de", "a", nil, "eins"},
		{"de", "b", []string{"x", "{a}"}, "two {a}"},
		{"en", "n", []string{"n", "1"}, "single"},
		{"en", "n", nil, "many"},
		{"en", "c", []string{"x", "y"}, "other {x}"},
		{"en", "", nil, "other {x}"},
		{"xx", "A", nil, "other {x}"},
	} {
		if got := c.TextOr(test.name, test.key, "other {x}", test.pairs...); got != test.want {
			t.Errorf("TextOr(%q, %q, %q): got %q, want %q", test.name, test.key, test.pairs, got, test.want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no English":  {"de.yaml": "a: b\n"},
		"no language": {"en.yaml": "a: b\n", "12.yaml": "a: b\n"},
		"no text":     {"en.yaml": "a: [b]\n"},
		"twice":       {"en.yaml": "a: b\na: c\n"},
	} {
		if _, err := catalogue(t, files); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestShippedLanguagesAreComplete: every language has every key, with the same values to fill in.
func TestShippedLanguagesAreComplete(t *testing.T) {
	c := languagetest.Shipped(t)
	if !slices.Contains(c.Names(), "de") {
		t.Fatal("German is not there")
	}
	hole := regexp.MustCompile(`\{[a-z_]+\}`)
	want := c.Keys(language.English)
	for _, name := range c.Names() {
		if diff := cmp.Diff(want, c.Keys(name)); diff != "" {
			t.Errorf("%s has other keys than English (-English +%s):\n%s", name, name, diff)
		}
		for _, key := range want {
			en, other := hole.FindAllString(c.Text("en", key), -1), hole.FindAllString(c.Text(name, key), -1)
			slices.Sort(en)
			slices.Sort(other)
			if diff := cmp.Diff(en, other); diff != "" {
				t.Errorf("%s: %s is to be filled in otherwise than in English:\n%s", name, key, diff)
			}
			if strings.TrimSpace(c.Text(name, key)) == "" {
				t.Errorf("%s: %s is empty", name, key)
			}
		}
	}
}
