package pages_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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

// TestEveryWordOfWhatWasDone: the account's page shows no word for an action whose text is missing, so every action that ends
// there has one in each language, and there are no others.
func TestEveryWordOfWhatWasDone(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]bool)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			word := wordOfWhatWasDone(n)
			if word == nil {
				return true
			}
			if handed, ok := word.(*ast.Ident); ok && handed.Name == "what" {
				return true // by finish, whose callers are asked
			}
			literal, ok := word.(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the word of what was done is no literal, so no test can know its text", name)
				return true
			}
			key, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			want["page.done."+key] = true
			return true
		})
	}
	if len(want) < 10 {
		t.Errorf("found only %d words", len(want))
	}
	catalogue := languagetest.Shipped(t)
	for _, lang := range catalogue.Names() {
		have := slices.DeleteFunc(slices.Clone(catalogue.Keys(lang)), func(key string) bool { return !strings.HasPrefix(key, "page.done.") })
		slices.Sort(have)
		if wanted := slices.Sorted(maps.Keys(want)); !slices.Equal(have, wanted) {
			t.Errorf("%s has the texts\n%q, want\n%q", lang, have, wanted)
		}
	}
}

// wordOfWhatWasDone is what a call of done, or of Pages.finish, says was done; nil for everything else.
func wordOfWhatWasDone(n ast.Node) ast.Expr {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		if f.Name == "done" && len(call.Args) == 1 {
			return call.Args[0]
		}
	case *ast.SelectorExpr:
		if f.Sel.Name == "finish" && len(call.Args) == 3 {
			return call.Args[2]
		}
	}
	return nil
}
