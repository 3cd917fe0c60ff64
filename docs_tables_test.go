package doorward_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is a page of docs whose tables name the tests that show what is said.
type page struct {
	t         *testing.T
	file      string
	text      string
	functions map[string]string // folder → the source of its tests
}

// row is one line of a table.
type row struct {
	line    int
	section string // the heading of the second level above it
	cells   []string
}

func readPage(t *testing.T, file string) *page {
	t.Helper()
	return &page{t, file, readText(t, file), make(map[string]string)}
}

func (p *page) rows() []row {
	var rows []row
	section := ""
	for i, line := range strings.Split(p.text, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			section = heading
		}
		if strings.HasPrefix(line, "| ") {
			rows = append(rows, row{i + 1, section, strings.Split(strings.Trim(line, "| "), " | ")})
		}
	}
	return rows
}

// wantTests wants tests in the row's last cell, after the folder that each is in, and that they exist. A script of the command line
// stands as TestScripts/NAME.
func (p *page) wantTests(r row) {
	p.t.Helper()
	name := regexp.MustCompile(`^(Test|Fuzz)[A-Za-z0-9_]+$`)
	folder, named := "", 0
	for _, word := range strings.FieldsFunc(r.cells[len(r.cells)-1], func(r rune) bool { return r == ' ' || r == ',' || r == ';' }) {
		if path, ok := strings.CutPrefix(word, "`"); ok {
			folder = strings.TrimSuffix(path, "`")
			continue
		}
		word, script, isScript := strings.Cut(word, "/")
		if !name.MatchString(word) {
			p.t.Errorf("%s:%d: %q is neither a package nor a test", p.file, r.line, word)
			continue
		}
		named++
		if isScript {
			if _, err := os.Stat(filepath.Join(filepath.FromSlash(folder), "testdata", "script", script+".txtar")); err != nil {
				p.t.Errorf("%s:%d: %s has no script %s", p.file, r.line, folder, script)
			}
		}
		if _, read := p.functions[folder]; !read {
			p.functions[folder] = testSources(p.t, folder)
		}
		if !strings.Contains(p.functions[folder], "\nfunc "+word+"(") {
			p.t.Errorf("%s:%d: %s has no test %s", p.file, r.line, folder, word)
		}
	}
	if named == 0 {
		p.t.Errorf("%s:%d: the row names no test", p.file, r.line)
	}
}

func (p *page) wantState(r row, state string) {
	p.t.Helper()
	if !slices.Contains([]string{"met", "settable", "partly", "none"}, state) {
		p.t.Errorf("%s:%d: the state %q is none", p.file, r.line, state)
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
		all.WriteString(readText(t, file))
	}
	return all.String()
}
