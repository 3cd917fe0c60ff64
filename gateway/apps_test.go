package gateway_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/gateway"
)

func writeApp(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "gateway.yaml"), []byte(text), 0o600))
	return dir
}

func TestAppNames(t *testing.T) {
	want := []string{"deskpro", "faveo", "generic", "idoit", "mor", "request-tracker"}
	if diff := cmp.Diff(want, gateway.AppNames()); diff != "" {
		t.Errorf("applications known (-want +got):\n%s", diff)
	}
}

func TestLoadAppReadsAFolder(t *testing.T) {
	app, err := gateway.LoadApp(writeApp(t, `
title: Shop
prefixes:
  - {path: /index.php, source: "seen: our own test"}
admin_paths:
  - path: /backend
    aliases: [/hinterhof]
    source: https://shop.example.org/manual
    confidence: low
    why: since version 3 only
deny_paths:
  - {path: /install, source: https://shop.example.org/manual}
public_paths:
  - {path: /catalogue, source: https://shop.example.org/manual}
authorization_paths:
  - {path: /api, source: https://shop.example.org/manual}
session_cookies:
  - {name: "shop_*", source: https://shop.example.org/manual}
remember_cookies:
  - {name: remember, source: https://shop.example.org/manual}
identity:
  - {field: user, header: X-Shop-User, source: https://shop.example.org/manual}
refused_parameters:
  - {path: /api, names: [login, pass], source: https://shop.example.org/manual}
refused_headers:
  - {header: X-Shop-Login, source: https://shop.example.org/manual}
allow:
  - {form: semicolon, source: https://shop.example.org/manual}
`))
	must(t, err)
	want := &gateway.App{
		Name: app.Name, Title: "Shop",
		Prefixes:   []string{"/index.php"},
		AdminPaths: []string{"/backend", "/hinterhof", "/index.php/backend", "/index.php/hinterhof"},
		DenyPaths:  []string{"/install", "/index.php/install"},
		// What loosens holds as written only.
		PublicPaths:        []string{"/catalogue"},
		AuthorizationPaths: []string{"/api"},
		SessionCookies:     []string{"shop_*"},
		RememberCookies:    []string{"remember"},
		Identity:           gateway.IdentityNames{User: "X-Shop-User"},
		StripParams:        []gateway.StripParams{{Paths: []string{"/api", "/index.php/api"}, Names: []string{"login", "pass"}}},
		StripHeaders:       []string{"X-Shop-Login"},
		Paths:              gateway.PathConfig{Allow: []string{"semicolon"}},
		Facts:              app.Facts,
	}
	if diff := cmp.Diff(want, app); diff != "" {
		t.Errorf("LoadApp (-want +got):\n%s", diff)
	}
	if len(app.Facts) != 11 {
		t.Errorf("%d facts, want the 11 of the file", len(app.Facts))
	}
	got := app.Spellings("/hinterhof/users")
	if want := []string{"/hinterhof/users", "/backend/users", "/index.php/hinterhof/users", "/index.php/backend/users"}; !cmp.Equal(want, got) {
		t.Errorf("Spellings: %v, want %v", got, want)
	}
}

func TestLoadAppExtends(t *testing.T) {
	app, err := gateway.LoadApp(writeApp(t, `
title: Our Deskpro
extends: deskpro
admin_paths:
  - {path: /reports, source: "choice: ours are for administrators"}
identity:
  - {field: user, header: Remote-User, source: "seen: our plugin reads it"}
`))
	must(t, err)
	for _, want := range []string{"/admin", "/index.php/admin", "/reports", "/index.php/reports"} {
		if !slices.Contains(app.AdminPaths, want) {
			t.Errorf("AdminPaths %v lack %s", app.AdminPaths, want)
		}
	}
	if !slices.Contains(app.DenyPaths, "/phpmyadmin") {
		t.Error("what generic denies is lost two folders up")
	}
	if app.Identity.User != "Remote-User" || app.Identity.Email != "X-Doorward-Email" {
		t.Errorf("identity %+v, want the folder's own name for the user and Doorward's for the rest", app.Identity)
	}
}

func TestLoadAppTellsWhatIsWrong(t *testing.T) {
	const source = `source: "https://example.org/manual"`
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "gateway.yaml:1: the file is empty"},
		{"a list", "- a\n", "gateway.yaml:1: here belongs a mapping"},
		{"no YAML", "title: [\n", "this is not valid YAML"},
		{"two documents", "title: a\nextends: generic\n---\ntitle: b\n", "gateway.yaml:4: the file holds more than one document"},
		{"no title", "extends: generic\n", "title is missing"},
		{"no facts", "title: x\n", "the file says nothing about the application"},
		{"unknown key", "title: x\nadmin_path: []\n", `gateway.yaml:2: unknown key "admin_path" (did you mean admin_paths?)`},
		{"unknown key of an item", "title: x\nadmin_paths:\n  - path: /a\n    alias: [/b]\n    " + source + "\n",
			`gateway.yaml:4: unknown key "alias" (did you mean aliases?)`},
		{"a key of another kind", "title: x\nadmin_paths:\n  - {path: /a, header: b, " + source + "}\n", `unknown key "header"`},
		{"key twice", "title: x\ntitle: y\nextends: generic\n", "title"},
		{"unknown base", "title: x\nextends: generi\n", `extends: "generi" is not an application that Doorward knows (did you mean generic?)`},
		{"base that is a path", "title: x\nextends: ../generic\n", "is not an application that Doorward knows"},
		{"no source", "title: x\nadmin_paths:\n  - path: /a\n", "gateway.yaml:3: admin_paths: /a has no source"},
		{"source without place", "title: x\nadmin_paths:\n  - {path: /a, source: 'https://'}\n", "has no source"},
		{"source in prose", "title: x\nadmin_paths:\n  - {path: /a, source: everybody knows}\n", "has no source"},
		{"low without why", "title: x\nadmin_paths:\n  - {path: /a, confidence: low, " + source + "}\n", "needs why"},
		{"why without low", "title: x\nadmin_paths:\n  - {path: /a, why: so, " + source + "}\n", "why explains confidence: low"},
		{"confidence", "title: x\nadmin_paths:\n  - {path: /a, confidence: some, " + source + "}\n", `not "some"`},
		{"relative path", "title: x\nadmin_paths:\n  - {path: admin, " + source + "}\n", `path "admin" does not begin with /`},
		{"relative alias", "title: x\nadmin_paths:\n  - {path: /a, aliases: [b], " + source + "}\n", `path "b" does not begin with /`},
		{"wildcard", "title: x\nadmin_paths:\n  - {path: '/a/*', " + source + "}\n", "has a wildcard"},
		{"encoded", "title: x\nadmin_paths:\n  - {path: /%61, " + source + "}\n", "is not plain"},
		{"query", "title: x\nadmin_paths:\n  - {path: '/a?b', " + source + "}\n", "is not plain"},
		{"two slashes", "title: x\nadmin_paths:\n  - {path: /a//b, " + source + "}\n", "is not plain"},
		{"space", "title: x\nadmin_paths:\n  - {path: '/a b', " + source + "}\n", "is not plain"},
		{"dots", "title: x\nadmin_paths:\n  - {path: /a/../b, " + source + "}\n", "has a dot segment"},
		{"our own", "title: x\npublic_paths:\n  - {path: /.Doorward/x, " + source + "}\n", "is Doorward's own"},
		{"all denied", "title: x\ndeny_paths:\n  - {path: /, " + source + "}\n", "path / is the whole site"},
		{"all public", "title: x\npublic_paths:\n  - {path: /, " + source + "}\n", "path / is the whole site"},
		{"fact twice", "title: x\ndeny_paths:\n  - {path: /a, " + source + "}\n  - {path: /a, " + source + "}\n", "gateway.yaml:4: deny_paths: /a stands here twice, first on line 3"},
		{"not a list", "title: x\ndeny_paths: /a\n", "gateway.yaml:2: deny_paths is a list"},
		{"names missing", "title: x\nrefused_parameters:\n  - {path: /a, " + source + "}\n", "needs names"},
		{"cookie", "title: x\nsession_cookies:\n  - {name: 'a b', " + source + "}\n", "is not a cookie name"},
		{"cookie star", "title: x\nsession_cookies:\n  - {name: 'a*b', " + source + "}\n", "is not a cookie name"},
		{"all cookies", "title: x\nsession_cookies:\n  - {name: '*', " + source + "}\n", "no cookie name"},
		{"field", "title: x\nidentity:\n  - {field: phone, header: X-A, " + source + "}\n", `field "phone" is not one of`},
		{"header", "title: x\nidentity:\n  - {field: user, header: X_A, " + source + "}\n", "is not a plain name"},
		{"reserved header", "title: x\nidentity:\n  - {field: user, header: authorization, " + source + "}\n", "already has a meaning"},
		{"header for two", "title: x\nidentity:\n  - {field: user, header: X-A, " + source + "}\n  - {field: email, header: x-a, " + source + "}\n", "already carries user"},
		{"refused reserved", "title: x\nrefused_headers:\n  - {header: Cookie, " + source + "}\n", "is not a plain header"},
		{"form", "title: x\nallow:\n  - {form: dots, " + source + "}\n", `form "dots" is not one of`},
		{"alias bomb", "title: &a x\nadmin_paths: [*a, *a]\n", "here belongs"},
		{"too large", "title: x # " + strings.Repeat("x", 300<<10), "is larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			app, err := gateway.LoadApp(writeApp(t, c.text))
			if err == nil {
				t.Fatalf("LoadApp accepted it: %+v", app)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error\n%v\nwant it to say\n%s", err, c.want)
			}
		})
	}
}

func TestLoadAppTellsEverythingAtOnce(t *testing.T) {
	_, err := gateway.LoadApp(writeApp(t, "title: x\nadmin_paths:\n  - {path: a}\ndeny_paths:\n  - {path: /}\n"))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"gateway.yaml:3: ", "gateway.yaml:5: ", "does not begin with /", "the whole site", "has no source"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestLoadAppStaysInItsFolder(t *testing.T) {
	outside := writeApp(t, "title: x\nextends: generic\n")
	dir := t.TempDir()
	must(t, os.Symlink(filepath.Join(outside, "gateway.yaml"), filepath.Join(dir, "gateway.yaml")))
	if _, err := gateway.LoadApp(dir); err == nil {
		t.Error("LoadApp followed a link out of the folder")
	}
	for _, name := range []string{"", "rt", "..", "/nonexistent", "./generic"} {
		if _, err := gateway.LoadApp(name); err == nil {
			t.Errorf("LoadApp(%q) found something", name)
		}
	}
}

func FuzzLoadApp(f *testing.F) {
	for _, name := range gateway.AppNames() {
		text, err := os.ReadFile("../rules/apps/" + name + "/gateway.yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{"", "title: &a x\nextends: *a", "a: [[[[[[", "{title: x, extends: generic}", "title: x\nadmin_paths:\n  - {path: /a}\n  - - -\n", "? a : b", "title: !!binary x"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "gateway.yaml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		app, err := gateway.LoadApp(dir)
		if err != nil {
			return
		}
		for _, list := range [][]string{app.AdminPaths, app.AgentPaths, app.DenyPaths, app.DataPaths, app.PublicPaths, app.AuthorizationPaths, app.Prefixes} {
			for _, path := range list {
				if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.Contains(path, "*") {
					t.Errorf("accepted path %q", path)
				}
			}
		}
	})
}

// TestAppFoldersPage keeps docs/app-folders.md true: its examples can be read, and it leaves no key out.
func TestAppFoldersPage(t *testing.T) {
	page, err := os.ReadFile("../docs/app-folders.md")
	must(t, err)
	var kinds []string
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if strings.HasPrefix(block[1], "sites:") {
			continue
		}
		app, err := gateway.LoadApp(writeApp(t, block[1]))
		if err != nil {
			t.Errorf("%v\nin the example\n%s", err, block[1])
			continue
		}
		for _, fact := range app.Facts {
			kinds = append(kinds, fact.Kind)
		}
	}
	_, err = gateway.LoadApp(writeApp(t, "nothing: 1\n"))
	if err == nil {
		t.Fatal("accepted")
	}
	_, known, found := strings.Cut(err.Error(), "known: ")
	if !found {
		t.Fatalf("%v does not list the keys", err)
	}
	for key := range strings.SplitSeq(known, ", ") {
		if key != "title" && key != "extends" && !slices.Contains(kinds, key) {
			t.Errorf("no example on the page has %s", key)
		}
		if !strings.Contains(string(page), "`"+key+"`") {
			t.Errorf("the page does not explain %s", key)
		}
	}
	for _, name := range gateway.AppNames() {
		if !strings.Contains(string(page), "| `"+name+"` |") {
			t.Errorf("the page does not list %s", name)
		}
	}
}
