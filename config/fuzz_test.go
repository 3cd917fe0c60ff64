package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/config"
)

// FuzzParse: whatever the bytes, Parse gives a configuration or a list of problems, each at a place that is in
// the file, and gives the same for the same bytes.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"good", "bad"} {
		names, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
		if err != nil || len(names) == 0 {
			f.Fatalf("no fixtures in %s: %v", folder, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := config.Parse("fuzz.yaml", text)
		again, errAgain := config.Parse("fuzz.yaml", text)
		if err == nil {
			if errAgain != nil || cfg.SHA256 != again.SHA256 {
				t.Fatalf("second run gave %v", errAgain)
			}
			if len(cfg.Gateway.Sites) == 0 {
				t.Fatal("accepted without a site")
			}
			return
		}
		var invalid *config.Errors
		if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
			t.Fatalf("Parse gave %v, want *config.Errors with problems", err)
		}
		if errAgain == nil || err.Error() != errAgain.Error() {
			t.Fatalf("first run gave %v, second %v", err, errAgain)
		}
		lines := strings.Count(string(text), "\n") + strings.Count(string(text), "\r") + 1
		for _, p := range invalid.Problems {
			if p.Line < 1 || p.Column < 1 || p.Line > lines+1 || p.Message == "" {
				t.Fatalf("problem %+v in a file of %d lines", p, lines)
			}
		}
	})
}
