package config_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/config"
)

func starter() config.Starter {
	return config.Starter{Hosts: []string{"helpdesk.example.org"}, Upstreams: []string{"http://127.0.0.1:8080"}, App: "request-tracker"}
}

func render(t *testing.T, s config.Starter) string {
	t.Helper()
	text, err := s.Render("doorward.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("doorward.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	cfg.SHA256 = ""
	return cfg
}

// commented matches a line that is a setting with its default.
var commented = regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`)

// TestStarterShowsTheDefaults: taking every # away changes nothing, so that what the file says of defaults is true.
func TestStarterShowsTheDefaults(t *testing.T) {
	text := render(t, starter())
	all := commented.ReplaceAllString(text, "$1$2")
	if all == text {
		t.Fatal("the file has no commented setting")
	}
	if diff := cmp.Diff(parse(t, text), parse(t, all), same, cmpopts.IgnoreFields(config.Config{}, "Warnings", "Notes")); diff != "" {
		t.Errorf("defaults (-real +in the file):\n%s", diff)
	}
}

// TestStarterNamesEverySetting: whoever reads the file knows all there is.
func TestStarterNamesEverySetting(t *testing.T) {
	text := render(t, starter())
	var keys func(v reflect.Type) []string
	keys = func(v reflect.Type) (found []string) {
		for v.Kind() == reflect.Slice {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || v.NumField() == 0 {
			return nil
		}
		for i := range v.NumField() {
			key, _, _ := strings.Cut(v.Field(i).Tag.Get("yaml"), ",")
			if key != "" && key != "-" {
				found = append(found, key)
			}
			found = append(found, keys(v.Field(i).Type)...)
		}
		return found
	}
	all := keys(reflect.TypeFor[config.Config]())
	if len(all) < 60 {
		t.Fatalf("found only %d settings", len(all))
	}
	for _, key := range all {
		if !regexp.MustCompile(`(?m)^[ #{-]*(.*[{,] ?)?` + key + `:`).MatchString(text) {
			t.Errorf("the file does not mention %s", key)
		}
	}
}

func TestStarterWritesWhatItWasGiven(t *testing.T) {
	s := config.Starter{Hosts: []string{"a.example.org", "0123.example.org"}, Upstreams: []string{"https://[::1]:8444", "unix:/run/app: 1.sock"},
		App: "generic", Listen: "[::1]:8443", DataDir: "./data with space"}
	got := parse(t, render(t, s))
	site := got.Gateway.Sites[0]
	if diff := cmp.Diff(s.Hosts, site.Hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if got, want := site.Upstreams[0], s.Upstreams[0]; got != want {
		t.Errorf("upstream is %s, want %s", got, want)
	}
	if diff := cmp.Diff([]string{"[::1]:8443"}, got.Gateway.Listen.HTTPS); diff != "" {
		t.Errorf("listen (-want +got):\n%s", diff)
	}
	if got, want := got.DataDir, "data with space"; got != want {
		t.Errorf("data_dir is %s, want %s", got, want)
	}
}

func TestStarterRefusesWhatCheckRefuses(t *testing.T) {
	for name, change := range map[string]func(*config.Starter){
		"host with scheme":  func(s *config.Starter) { s.Hosts = []string{"https://a.example.org"} },
		"host twice":        func(s *config.Starter) { s.Hosts = []string{"a.example.org", "A.example.org"} },
		"line break":        func(s *config.Starter) { s.Hosts = []string{"a.example.org]\nlog: {level: debug}\nx: ["} },
		"quote":             func(s *config.Starter) { s.Hosts = []string{`a"]`} },
		"upstream":          func(s *config.Starter) { s.Upstreams = []string{"127.0.0.1:80"} },
		"upstream is ours":  func(s *config.Starter) { s.Upstreams = []string{"https://127.0.0.1"} },
		"unknown app":       func(s *config.Starter) { s.App = "nothing" },
		"app with line":     func(s *config.Starter) { s.App = "generic\nlog: {level: debug}" },
		"listen":            func(s *config.Starter) { s.Listen = "8443" },
		"listen with quote": func(s *config.Starter) { s.Listen = `:8443", "x` },
	} {
		t.Run(name, func(t *testing.T) {
			s := starter()
			change(&s)
			if text, err := s.Render("doorward.yaml"); err == nil {
				t.Errorf("accepted:\n%s", text)
			}
		})
	}
}
