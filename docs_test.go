package doorward_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFailModesAreShown: every row of docs/fail-modes.md names at least one test, and each of them exists.
func TestFailModesAreShown(t *testing.T) {
	text, err := os.ReadFile("docs/fail-modes.md")
	if err != nil {
		t.Fatal(err)
	}
	functions := make(map[string]string) // folder → the source of its tests
	name := regexp.MustCompile(`^(Test|Fuzz)[A-Za-z0-9_]+$`)
	rows := 0
	for i, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what fails |") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		folder, named := "", 0
		for _, word := range strings.FieldsFunc(cells[len(cells)-1], func(r rune) bool { return r == ' ' || r == ',' || r == ';' }) {
			if path, ok := strings.CutPrefix(word, "`"); ok {
				folder = strings.TrimSuffix(path, "`")
				continue
			}
			if !name.MatchString(word) {
				t.Errorf("docs/fail-modes.md:%d: %q is neither a package nor a test", i+1, word)
				continue
			}
			named++
			if _, read := functions[folder]; !read {
				functions[folder] = testSources(t, folder)
			}
			if !strings.Contains(functions[folder], "\nfunc "+word+"(") {
				t.Errorf("docs/fail-modes.md:%d: %s has no test %s", i+1, folder, word)
			}
		}
		if named == 0 {
			t.Errorf("docs/fail-modes.md:%d: the row names no test", i+1)
		}
	}
	if rows < 40 {
		t.Errorf("docs/fail-modes.md: got %d rows, want the whole table", rows)
	}
}

func testSources(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
