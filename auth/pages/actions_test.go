package pages_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/language/languagetest"
)

// TestEveryActionHasAText: recent activity shows events of authentication, whose actions package auth writes. Its source is read for
// them, so that no event can be added whose bare code people would be shown.
func TestEveryActionHasAText(t *testing.T) {
	var keys []string
	for _, action := range authenticationActions(t) {
		if action != "text-message" { // has no user, and is in nobody's activity
			keys = append(keys, "page.action."+strings.ReplaceAll(action, "-", "_"))
		}
	}
	catalogue := languagetest.Shipped(t)
	for _, name := range catalogue.Names() {
		known := catalogue.Keys(name)
		for _, key := range keys {
			if !slices.Contains(known, key) {
				t.Errorf("%s.yaml lacks %s", name, key)
			}
		}
		for _, key := range known {
			if strings.HasPrefix(key, "page.action.") && !slices.Contains(keys, key) {
				t.Errorf("%s.yaml has %s, and there is no such action", name, key)
			}
		}
	}
}

// authenticationActions are the actions of all events of authentication that package auth leaves. An action is a literal in the event,
// or a parameter of the function around it, for which the callers write the literal; anything else fails the test.
func authenticationActions(t *testing.T) []string {
	t.Helper()
	functions := functionsOf(t, "..")
	var actions []string
	events := 0
	for _, f := range functions {
		for _, action := range eventActions(f) {
			events++
			place := parameter(f, action)
			if place < 0 {
				actions = append(actions, literal(t, f, action))
				continue
			}
			for _, caller := range functions {
				for _, call := range nodes[*ast.CallExpr](caller) {
					if method, ok := call.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == f.Name.Name {
						actions = append(actions, literal(t, caller, call.Args[place]))
					}
				}
			}
		}
	}
	named := 0
	for _, f := range functions {
		for _, s := range nodes[*ast.SelectorExpr](f) {
			if isAuthentication(s) {
				named++
			}
		}
	}
	if events == 0 || events != named {
		t.Errorf("event.Authentication is named %d times, and in %d events that this test can read", named, events)
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// functionsOf are the functions and methods of the package in the folder, without its tests.
func functionsOf(t *testing.T, folder string) []*ast.FuncDecl {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var functions []*ast.FuncDecl
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				functions = append(functions, f)
			}
		}
	}
	return functions
}

// nodes are a function's nodes of one kind.
func nodes[T ast.Node](f *ast.FuncDecl) (all []T) {
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(T); ok {
			all = append(all, v)
		}
		return true
	})
	return all
}

func isAuthentication(value ast.Expr) bool {
	s, ok := value.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Authentication" {
		return false
	}
	of, ok := s.X.(*ast.Ident)
	return ok && of.Name == "event"
}

// eventActions are the actions of the events of authentication that a function makes.
func eventActions(f *ast.FuncDecl) (actions []ast.Expr) {
	for _, made := range nodes[*ast.CompositeLit](f) {
		fields := make(map[string]ast.Expr)
		for _, element := range made.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok {
					fields[key.Name] = pair.Value
				}
			}
		}
		if isAuthentication(fields["Class"]) && fields["Action"] != nil {
			actions = append(actions, fields["Action"])
		}
	}
	return actions
}

// parameter is the place of a value among the function's parameters; -1: it is none of them.
func parameter(f *ast.FuncDecl, value ast.Expr) int {
	wanted, ok := value.(*ast.Ident)
	if !ok {
		return -1
	}
	place := 0
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			if name.Name == wanted.Name {
				return place
			}
			place++
		}
	}
	return -1
}

func literal(t *testing.T, f *ast.FuncDecl, value ast.Expr) string {
	t.Helper()
	if l, ok := value.(*ast.BasicLit); ok && l.Kind == token.STRING {
		if text, err := strconv.Unquote(l.Value); err == nil {
			return text
		}
	}
	t.Errorf("%s: an event's action is not written there, so this test cannot tell what it is", f.Name.Name)
	return ""
}
