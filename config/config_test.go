package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/config"
)

// fixtures are the files of a testdata folder. Their names in messages are without the folder.
func fixtures(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures in %s: %v", folder, err)
	}
	files := make(map[string][]byte)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = text
	}
	return files
}

// want reads or, with DOORWARD_UPDATE=1, writes what a fixture is expected to give.
func want(t *testing.T, folder, name, got string) string {
	t.Helper()
	file := filepath.Join("testdata", folder, strings.TrimSuffix(name, ".yaml")+".want")
	if os.Getenv("DOORWARD_UPDATE") == "1" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBadFilesGiveExactlyTheseMessages(t *testing.T) {
	for name, text := range fixtures(t, "bad") {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse(name, text)
			var invalid *config.Errors
			if !errors.As(err, &invalid) {
				t.Fatalf("Parse gave %v, want *config.Errors", err)
			}
			got := invalid.Error() + "\n"
			if diff := cmp.Diff(want(t, "bad", name, got), got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGoodFilesGiveExactlyTheseWarnings(t *testing.T) {
	for name, text := range fixtures(t, "good") {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse(name, text)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, p := range cfg.Warnings {
				got += fmt.Sprintln(p)
			}
			if got == "" {
				if _, err := os.Stat(filepath.Join("testdata", "good", strings.TrimSuffix(name, ".yaml")+".want")); err == nil {
					t.Fatal("no warnings, but there is a file of expected ones")
				}
				return
			}
			if diff := cmp.Diff(want(t, "good", name, got), got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
