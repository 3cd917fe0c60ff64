package console_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const docsPage = "../docs/observability.md"

// TestDocsNameEveryMetric compares the page with what /metrics really shows, both ways.
func TestDocsNameEveryMetric(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	must(t, err)
	r := start(t, nil)
	_, text := r.send(t, http.MethodGet, "/metrics", nil)
	shown, told := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (doorward_\w+)`).FindAllStringSubmatch(text, -1) {
		shown[m[1]] = true
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(doorward_\\w+)`").FindAllStringSubmatch(string(page), -1) {
		told[m[1]] = true
	}
	if len(shown) < 20 {
		t.Fatalf("found %d metrics of Doorward in\n%s", len(shown), text)
	}
	if got, want := slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(shown)); !slices.Equal(got, want) {
		t.Errorf("%s tells of\n%q\nbut /metrics shows\n%q", docsPage, got, want)
	}
}

// TestDocsNameEveryReason reads the gateway's source for the constants that may stand in an event's reason.
func TestDocsNameEveryReason(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	must(t, err)
	reasons := map[string]string{}
	files, err := filepath.Glob("../gateway/*.go")
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			for _, reason := range reasonsIn(n) {
				reasons[reason] = name
			}
			return true
		})
	}
	if len(reasons) < 30 {
		t.Fatalf("found only %d reasons in the gateway's source: %v", len(reasons), reasons)
	}
	for reason, file := range reasons {
		if !strings.Contains(string(page), "`"+reason+"`") {
			t.Errorf("%s does not tell of the reason %q (%s)", docsPage, reason, file)
		}
	}
}

// reasonsIn finds reasons in the calls that make refusals, in fields named reason, and in what a function that
// looks at paths returns.
func reasonsIn(n ast.Node) (found []string) {
	take := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil && regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(text) {
				found = append(found, text)
			}
		}
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		name, ok := n.Fun.(*ast.Ident)
		switch {
		case ok && name.Name == "refuse" && len(n.Args) > 1:
			take(n.Args[1])
		case ok && (name.Name == "ambiguous" || name.Name == "overload") && len(n.Args) > 0:
			take(n.Args[0])
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "reason" {
			take(n.Value)
		}
	case *ast.ReturnStmt:
		for _, result := range n.Results {
			if literal, ok := result.(*ast.BasicLit); ok && strings.HasPrefix(literal.Value, `"path-`) {
				take(literal)
			}
		}
	}
	return found
}
