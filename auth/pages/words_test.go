package pages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template/parse"

	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/language/languagetest"
)

// TestTemplatesHoldNoWords: every word that a person reads stands in the catalogue, so that a language is one file.
func TestTemplatesHoldNoWords(t *testing.T) {
	names, err := filepath.Glob("templates/*.html")
	if err != nil || len(names) < 10 {
		t.Fatalf("found %d templates: %v", len(names), err)
	}
	tags := regexp.MustCompile(`<[^>]*>`)
	letters := regexp.MustCompile(`\pL`)
	shown := regexp.MustCompile(`(?:title|placeholder|alt|aria-label|aria-description|label)="[^"\x00]*\pL`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tree := parse.New(name)
		tree.Mode = parse.SkipFuncCheck
		set := make(map[string]*parse.Tree)
		if _, err := tree.Parse(string(text), "", "", set); err != nil {
			t.Fatal(err)
		}
		for _, part := range set {
			var b strings.Builder
			flatten(&b, part.Root)
			if words := tags.ReplaceAllString(b.String(), " "); letters.MatchString(words) {
				t.Errorf("%s: %s holds words: %q", name, part.Name, strings.Join(strings.Fields(strings.ReplaceAll(words, "\x00", " ")), " "))
			}
			if words := shown.FindString(b.String()); words != "" {
				t.Errorf("%s: %s holds words: %q", name, part.Name, words)
			}
		}
	}
}

// flatten writes a template's own text, with a mark for each action.
func flatten(b *strings.Builder, n parse.Node) {
	branch := func(v parse.BranchNode) {
		flatten(b, v.List)
		if v.ElseList != nil {
			flatten(b, v.ElseList)
		}
	}
	switch v := n.(type) {
	case *parse.ListNode:
		for _, n := range v.Nodes {
			flatten(b, n)
		}
	case *parse.TextNode:
		b.Write(v.Text)
	case *parse.IfNode:
		branch(v.BranchNode)
	case *parse.RangeNode:
		branch(v.BranchNode)
	case *parse.WithNode:
		branch(v.BranchNode)
	default:
		b.WriteByte(0)
	}
}

// TestEveryTextIsUsed: a key that nothing shows is work for every translator, and one that is not there is shown itself.
func TestEveryTextIsUsed(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	catalogue := languagetest.Shipped(t)
	keys := catalogue.Keys(language.English)
	used := regexp.MustCompile(`"(page\.[a-z_.]+)"`).FindAllStringSubmatch(source.String(), -1)
	var names, prefixes []string
	for _, u := range used {
		if strings.HasSuffix(u[1], ".") {
			prefixes = append(prefixes, u[1])
			continue
		}
		names = append(names, u[1])
		if !slices.Contains(keys, u[1]) && !slices.Contains(keys, u[1]+".one") {
			t.Errorf("%s is shown and is in no catalogue", u[1])
		}
	}
	for _, key := range keys {
		stem := strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
		begins := func(prefix string) bool { return strings.HasPrefix(key, prefix) }
		if strings.HasPrefix(key, "page.") && !slices.Contains(names, key) && !slices.Contains(names, stem) && !slices.ContainsFunc(prefixes, begins) {
			t.Errorf("%s is in the catalogue and nothing shows it", key)
		}
	}
}
