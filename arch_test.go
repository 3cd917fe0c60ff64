// Package doorward_test keeps the shape of the whole module: who may import whom, and what no file may do. It
// parses the files itself, because the answer of a test that runs `go list` would come from the test cache.
package doorward_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/doorward/doorward/"

// allowedImports says which of our packages each package may import. Arrows point downwards: the store and the
// rules know nothing of ours, the records stand on the store, the domains on the records, and only what wires or
// shows things stands above the domains. A new arrow is a commit of its own, with the reason.
var allowedImports = map[string][]string{
	"store": {},
	"rules": {},
	// What of YAML is let through to its parser; it knows no key.
	"plainyaml": {},
	// How a file is written whole or not at all; it knows nothing of what is in it.
	"wholefile": {},
	"event":     {"store"},
	// The wire of an export; it knows no event.
	"event/syslog": {},
	// It tells people what the log counts.
	"event/digest": {"event", "language", "mail", "store"},
	"journal":      {"store", "wholefile"},

	// What people read, and how it reaches them.
	"language": {},
	"mail":     {"store"},

	// They know addresses only, and nothing of ours.
	"geo":      {},
	"hostname": {},

	// Bans in the kernel know addresses and times; the base ruleset knows ports and networks.
	"firewall":         {"firewall/ruleset"}, // whose settings stand in the same section
	"firewall/ruleset": {"wholefile"},
	// Who is refused: those who propose and those who enforce meet here.
	"decision":         {"event", "journal", "store"},
	"decision/bouncer": {"decision", "journal", "store"}, // CrowdSec's protocol over it

	// Domains.
	"auth":       {"auth/directory", "auth/oidc", "auth/password", "event", "journal", "language", "mail", "store", "wholefile"},
	"auth/pages": {"auth", "auth/oidc", "auth/password", "event", "language"},
	// A judge of passwords that knows nothing of accounts; the policies and lists are data.
	"auth/password": {"rules"},
	// Other systems that vouch for people; they know no accounts.
	"auth/directory": {},
	"auth/oidc":      {},
	"gateway":        {"gateway/exclusion", "gateway/waf", "seclang", "auth", "auth/pages", "decision", "event", "language", "rules", "wholefile"}, // the chain asks the decisions about each client

	// What rules see of requests; it knows no chain.
	"gateway/waf": {"rules", "seclang", "seclang/syntax"},

	// From what the rules found to what is left out of them; it knows no chain either.
	"gateway/exclusion": {"event", "gateway/waf", "journal", "store"},

	// What the gateway's own tool may know: its configuration, and nothing of how it works.
	"gateway/doctor": {"gateway"},

	// A domain that knows hosts, not requests: what was read is judged, and what reads knows no verdict.
	"audit":           {"audit/facts", "audit/scan"},
	"audit/facts":     {"audit/netfilter", "rules"},
	"audit/fix":       {"audit", "audit/facts", "rules", "wholefile"}, // a repair is judged by the controls it answers
	"audit/netfilter": {},
	"audit/remind":    {"audit", "audit/register", "audit/report", "language", "mail", "store"}, // it tells people what the others know
	"audit/report":    {"audit", "audit/facts", "wholefile"},
	"audit/register":  {"audit/scan", "journal", "store"},
	"audit/scan":      {}, // files of other scanners
	"audit/trial":     {"audit", "audit/facts"},

	// fail2ban's files and Python's expressions: pure, lines in and failures out.
	"detect":               {"decision", "detect/fail2ban", "detect/sigma", "event", "ingest", "rules", "store"},
	"detect/fail2ban":      {"detect/fail2ban/pyre"},
	"detect/fail2ban/pyre": {},
	"detect/sigma":         {"plainyaml"}, // rules and correlations: fields in, matches out
	// What others wrote down; it knows nothing of what is done about it.
	"ingest": {"event", "rules"},

	// Rules of web application firewalls and the leaves of their engine: texts in, matches, texts or verdicts out.
	"seclang":           {"seclang/body", "seclang/judge", "seclang/pattern", "seclang/syntax", "seclang/transform"},
	"seclang/body":      {},
	"seclang/judge":     {},
	"seclang/pattern":   {},
	"seclang/syntax":    {},
	"seclang/transform": {},

	// Above the domains: they show or command them, and know no configuration file.
	"api":     {"audit/register", "audit/scan", "auth", "decision", "decision/bouncer", "detect", "event", "gateway/exclusion", "journal", "mail"},
	"console": {"auth", "auth/pages", "decision", "detect", "event", "gateway", "geo", "hostname", "language"},

	"config": {"audit", "audit/facts", "auth", "auth/directory", "auth/oidc", "auth/password", "console", "decision", "detect", "event", "firewall", "firewall/ruleset", "gateway", "geo", "hostname", "mail", "plainyaml", "store"},
	"app": {"api", "audit/register", "audit/remind", "auth", "auth/directory", "auth/oidc", "config", "console", "decision", "decision/bouncer", "detect", "event", "event/digest", "firewall", "gateway", "gateway/exclusion", "geo", "hostname", "journal", "language",
		"mail", "rules", "store"},
	"demo":          {"app", "auth", "config", "demo/helpdesk", "gateway"},
	"demo/helpdesk": {},
	"cmd/doorward":  {"api", "app", "audit", "audit/facts", "audit/fix", "audit/register", "audit/report", "audit/scan", "audit/trial", "auth", "config", "decision", "decision/bouncer", "demo", "detect", "detect/fail2ban", "event", "event/syslog", "firewall", "firewall/ruleset", "gateway", "gateway/doctor", "gateway/exclusion", "ingest", "journal", "language", "mail", "rules", "store", "wholefile"},

	// Helpers of tests.
	"geo/geotest":           {},
	"language/languagetest": {"language", "rules"},
	"mail/mailtest":         {"mail"},
	"porttest":              {},
	"racetest":              {},
	"seclang/crstest":       {},
	"store/storetest":       {"porttest", "store", "unshared"},
	"unshared":              {},
}

// allowedPanics names the files that may panic over something other than a cut answer, and why.
var allowedPanics = map[string]string{
	"gateway/apps.go": "the embedded tree is part of the binary; a test reads it",
	"rules/rules.go":  "the embedded tree is part of the binary; a test reads it",
}

// source is one parsed Go file.
type source struct {
	name  string // slash-separated, from the root of the module
	dir   string
	test  bool
	lines int
	set   *token.FileSet
	file  *ast.File
}

// sources parses every Go file of the repository; the second module under test/ is included.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || name == "bin"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		all = append(all, source{name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
			lines: strings.Count(string(text), "\n"), set: set, file: file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d Go files; the walk does not reach the repository", len(all))
	}
	return all
}

func (s source) inTestModule() bool { return s.dir == "test" || strings.HasPrefix(s.dir, "test/") }

func (s source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.set.Position(n.Pos()).Line)
}

func TestImportsPointDownwards(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.inTestModule() {
			continue
		}
		allowed, known := allowedImports[s.dir]
		if !known {
			t.Errorf("%s: package %s is not in the table of imports; add it with the reason for its arrows", s.name, s.dir)
			continue
		}
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			ours, isOurs := strings.CutPrefix(name, module)
			if isOurs && !slices.Contains(allowed, ours) {
				t.Errorf("%s: %s may not import %s", s.at(spec), s.dir, ours)
			}
		}
	}
}

func TestTableHasNoCircle(t *testing.T) {
	var visit func(name string, above []string)
	visit = func(name string, above []string) {
		if slices.Contains(above, name) {
			t.Fatalf("circle in the table of imports: %s", strings.Join(append(above, name), " -> "))
		}
		for _, next := range allowedImports[name] {
			if _, known := allowedImports[next]; !known {
				t.Errorf("%s may import %s, which is not in the table", name, next)
			}
			visit(next, append(slices.Clip(above), name))
		}
	}
	for name := range allowedImports {
		visit(name, nil)
	}
}

func TestPackagesAreNounsOfTheTrade(t *testing.T) {
	for _, s := range sources(t) {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "model", "models", "manager", "misc", "shared", "internal"}, name) {
			t.Errorf("%s: package %s says nothing about what it knows", s.name, name)
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	documented := make(map[string]bool)
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		text := s.file.Doc.Text()
		documented[s.dir] = documented[s.dir] || strings.HasPrefix(text, "Package "+s.file.Name.Name+" ") || strings.HasPrefix(text, "Command ")
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no file begins with a comment that says what the package knows and must not know", dir)
		}
	}
}

func TestFilesHoldOneIdea(t *testing.T) {
	const most = 600
	for _, s := range sources(t) {
		if s.lines > most {
			t.Errorf("%s has %d lines, more than %d; split it by what it knows", s.name, s.lines, most)
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init runs in an order that nobody reads; set the value where it is used", s.at(f))
			}
		}
	}
}

// TestNoPanics allows two forms: net/http's own way of cutting an answer off, and passing on what was recovered.
func TestNoPanics(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.inTestModule() || allowedPanics[s.name] != "" {
			continue
		}
		for _, d := range s.file.Decls {
			recovers := callsBuiltin(d, "recover")
			ast.Inspect(d, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !isBuiltin(call, "panic") {
					return true
				}
				selector, isSelector := call.Args[0].(*ast.SelectorExpr)
				_, isVariable := call.Args[0].(*ast.Ident)
				if isSelector && selector.Sel.Name == "ErrAbortHandler" || isVariable && recovers {
					return true
				}
				t.Errorf("%s: panic ends every request and session; return an error", s.at(call))
				return true
			})
		}
	}
	for name := range allowedPanics {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("allowedPanics names %s: %v", name, err)
		}
	}
}

func callsBuiltin(n ast.Node, name string) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && isBuiltin(call, name) {
			found = true
		}
		return !found
	})
	return found
}

func isBuiltin(call *ast.CallExpr, name string) bool {
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == name
}

// TestNoDirector: with ReverseProxy.Director a client's "Connection: x-remote-user" deletes our identity header
// after it was set. Rewrite runs after that removal.
func TestNoDirector(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch v := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := v.Key.(*ast.Ident); ok && key.Name == "Director" {
					t.Errorf("%s: use Rewrite, never Director", s.at(v))
				}
			case *ast.SelectorExpr:
				if v.Sel.Name == "Director" || v.Sel.Name == "NewSingleHostReverseProxy" {
					t.Errorf("%s: use ReverseProxy.Rewrite, never Director", s.at(v))
				}
			}
			return true
		})
	}
}

// TestDocsPinVersions: the module is not published, and an unpinned version is another program every day.
func TestDocsPinVersions(t *testing.T) {
	pages := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return cmpSkip(err)
		}
		if d.IsDir() || !slices.Contains([]string{".md", ".sh", ".yaml", ".service", ".txtar"}, filepath.Ext(name)) && d.Name() != "Makefile" {
			return nil
		}
		pages++
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "@"+"latest") {
				t.Errorf("%s:%d: %q names no version", name, i+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil || pages == 0 {
		t.Fatalf("looked at %d pages: %v", pages, err)
	}
}

func cmpSkip(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}
