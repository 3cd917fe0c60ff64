package api_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
)

const descriptionFile = "../docs/openapi.yaml"

// TestGeneratedDescription keeps docs/openapi.yaml equal to what the API serves. `make docs` writes it anew.
func TestGeneratedDescription(t *testing.T) {
	d := newDoor(t)
	answer, text := d.send("", "GET", "/api/v1/openapi.yaml", "")
	if answer.StatusCode != 200 || !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/yaml") {
		t.Fatalf("got %d, %s", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	if os.Getenv("DOORWARD_UPDATE") == "1" {
		if err := os.WriteFile(descriptionFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(descriptionFile)
	if err != nil {
		t.Fatalf("%v; run: make docs", err)
	}
	if diff := cmp.Diff(text, string(want)); diff != "" {
		t.Errorf("%s is stale; run: make docs (-served +file):\n%s", descriptionFile, diff)
	}
}

// TestDescriptionIsComplete reads the file as a program would: every command with its privilege, and every field, is there.
func TestDescriptionIsComplete(t *testing.T) {
	text, err := os.ReadFile(descriptionFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI string `yaml:"openapi"`
		Paths   map[string]map[string]struct {
			Summary    string `yaml:"summary"`
			Privilege  string `yaml:"x-privilege"`
			Parameters []struct {
				Name string `yaml:"name"`
				In   string `yaml:"in"`
			} `yaml:"parameters"`
			Responses map[string]any `yaml:"responses"`
		} `yaml:"paths"`
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any `yaml:"properties"`
				Required   []string       `yaml:"required"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi is %q, want 3.1.0", doc.OpenAPI)
	}
	count := 0
	for _, methods := range doc.Paths {
		count += len(methods)
	}
	routes := newRig(t).handler.Routes()
	if count != len(routes) || count < 28 {
		t.Errorf("%d commands described, %d exist", count, len(routes))
	}
	for _, r := range routes {
		fields := append(strings.Fields(r), "")
		op, known := doc.Paths["/api"+fields[1]][strings.ToLower(fields[0])]
		if !known || op.Summary == "" || op.Privilege != fields[2] || op.Responses["200"] == nil {
			t.Errorf("%s is described as %+v", r, op)
		}
		for _, p := range op.Parameters {
			if p.In == "path" && !strings.Contains(fields[1], "{"+p.Name+"}") {
				t.Errorf("%s: parameter %s is not in its path", r, p.Name)
			}
		}
	}
	for _, v := range []any{api.Principal{}, api.NewPrincipal{}, api.Session{}, api.Entry{}, api.Report{}, api.Status{}, api.Details{}, api.Factors{}, api.Passkey{},
		api.Address{}, api.Trusted{}, api.NewToken{}, api.Token{}, api.AddedToken{}, api.AccessReport{}, api.Finding{}, api.Review{}, api.ReviewStatus{}, api.Error{},
		auth.Snapshot{}, auth.SnapshotRole{}, auth.SnapshotAccount{}, auth.SnapshotToken{}, auth.SnapshotOthers{}} {
		kind := reflect.TypeOf(v)
		schema, known := doc.Components.Schemas[kind.Name()]
		if !known {
			t.Errorf("%s is not described", kind.Name())
			continue
		}
		for _, f := range reflect.VisibleFields(kind) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || name == "-" {
				continue
			}
			if schema.Properties[name] == nil {
				t.Errorf("%s: the field %s is not described", kind.Name(), name)
			}
			required := false
			for _, r := range schema.Required {
				required = required || r == name
			}
			if optional := strings.Contains(options, "omit"); required == optional {
				t.Errorf("%s: the field %s is required %t, optional %t", kind.Name(), name, required, optional)
			}
		}
	}
}
