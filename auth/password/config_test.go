package password_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/password"
)

func validate(c password.Config) (problems []string) {
	c.Validate(func(path, format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	})
	return problems
}

func TestConfigDefaults(t *testing.T) {
	var got password.Config
	got.SetDefaults()
	want := password.Config{Preset: "nist", BreachCheck: password.BreachConfig{Timeout: 3 * time.Second}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	for _, cfg := range []password.Config{got, {}} { // a role's settings are often empty
		if problems := validate(cfg); len(problems) != 0 {
			t.Errorf("%+v is not valid: %v", cfg, problems)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	const noURL = "is not a URL; write https://HOST/range/"
	for _, c := range []struct {
		cfg  password.Config
		want []string
	}{
		{password.Config{Preset: "pci"}, []string{`preset: password preset "pci" is not known; known: asvs-l2, deskpro, faveo, idoit, mor, nist`}},
		{password.Config{MinLength: 7, MinLengthWithFactor: 65}, []string{"min_length: 7 is not between 8 and 64",
			"min_length_with_factor: 65 is not between 8 and 64", "min_length_with_factor: 65 is more than min_length, 7"}},
		{password.Config{Classes: []string{"lower", "emoji"}}, []string{`classes: class "emoji" is not known; known: lower, upper, digit, symbol, letter`}},
		{password.Config{MaxAge: time.Hour, History: 25, MinScore: 5}, []string{"max_age: 1h0m0s is not between 24h0m0s and 87600h0m0s",
			"history: 25 is not between 1 and 24", "min_score: 5 is not between 1 and 4"}},
		{password.Config{ContextWords: make([]string, 101)}, []string{"context_words: 101 are more than 100"}},
		{password.Config{BreachCheck: password.BreachConfig{URL: "https://breach.example/range/", Timeout: time.Minute}},
			[]string{"breach_check.timeout: 1m0s is not between 100ms and 10s"}},
		{breach("http://breach.example/range/"), []string{`breach_check.url: "http://breach.example/range/" needs https; http is possible to 127.0.0.1, [::1] and localhost only`}},
		{breach("http://127.0.0.1.example/"), []string{`breach_check.url: "http://127.0.0.1.example/" needs https; http is possible to 127.0.0.1, [::1] and localhost only`}},
		{breach("file:///etc/passwd"), []string{`breach_check.url: "file:///etc/passwd" ` + noURL}},
		{breach("breach.example"), []string{`breach_check.url: "breach.example" ` + noURL}},
		{breach("https://user:secret@breach.example/"), []string{`breach_check.url: "https://user:secret@breach.example/" may have no user, query or fragment; write https://HOST/range/`}},
		{breach("https://breach.example/?range="), []string{`breach_check.url: "https://breach.example/?range=" may have no user, query or fragment; write https://HOST/range/`}},
		{breach("http://127.0.0.9:8080/range/"), nil},
		{breach("http://[::1]/range/"), nil},
		{breach("https://breach.example"), nil},
	} {
		if diff := cmp.Diff(c.want, validate(c.cfg)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.cfg, diff)
		}
		if _, err := password.New(c.cfg); (err != nil) != (c.want != nil) {
			t.Errorf("New(%+v): got %v, want an error: %v", c.cfg, err, c.want != nil)
		}
	}
}

func breach(url string) password.Config {
	return password.Config{BreachCheck: password.BreachConfig{URL: url}}
}

// TestNewListsEveryProblem: who sets passwords up sees all that is wrong at once.
func TestNewListsEveryProblem(t *testing.T) {
	_, err := password.New(password.Config{MinLength: 3, History: 99})
	for _, want := range []string{"min_length: 3 is not", "history: 99 is not"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}

func TestConfigOver(t *testing.T) {
	base := password.Config{Preset: "deskpro", MinLength: 20, MaxAge: year / 2, AllowCommon: true, ContextWords: []string{"acme"},
		BreachCheck: password.BreachConfig{URL: "https://breach.example/range/", Timeout: time.Second}}
	for _, c := range []struct {
		name       string
		role, want password.Config
	}{
		{"nothing", password.Config{}, base},
		{"some values", password.Config{MinLength: 30, Classes: []string{"digit"}, History: 9, MinScore: 4, ChangeAtFirstSignIn: true, ContextWords: []string{"agents"}},
			password.Config{Preset: "deskpro", MinLength: 30, MaxAge: year / 2, AllowCommon: true, Classes: []string{"digit"}, History: 9, MinScore: 4,
				ChangeAtFirstSignIn: true, ContextWords: []string{"acme", "agents"}, BreachCheck: base.BreachCheck}},
		{"a preset of its own", password.Config{Preset: "nist", MinLengthWithFactor: 10},
			password.Config{Preset: "nist", MinLengthWithFactor: 10, ContextWords: []string{"acme"}, BreachCheck: base.BreachCheck}},
		{"a breach check of its own", password.Config{BreachCheck: password.BreachConfig{URL: "http://127.0.0.1:1/"}},
			func() password.Config {
				c := base
				c.BreachCheck.URL = "http://127.0.0.1:1/"
				return c
			}()},
	} {
		got := c.role.Over(base)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestOneLengthMovesTheOther: only one of the two lengths may be set, and a second factor never asks for more.
func TestOneLengthMovesTheOther(t *testing.T) {
	for _, c := range []struct {
		cfg         password.Config
		alone, with int
	}{
		{password.Config{MinLength: 20}, 20, 8},
		{password.Config{MinLengthWithFactor: 20}, 20, 20},
		{password.Config{Preset: "mor", MinLength: 10}, 10, 10},
		{password.Config{Preset: "mor", MinLengthWithFactor: 8}, 12, 8},
	} {
		p, err := password.Resolve(c.cfg)
		if err != nil {
			t.Errorf("%+v: %v", c.cfg, err)
		}
		if p.MinLengthFor(false) != c.alone || p.MinLengthFor(true) != c.with {
			t.Errorf("%+v: got %d and %d, want %d and %d", c.cfg, p.MinLengthFor(false), p.MinLengthFor(true), c.alone, c.with)
		}
	}
}
