package doorward_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/config"
)

// TestFailModesAreShown: every row of docs/fail-modes.md names at least one test, and each of them exists.
func TestFailModesAreShown(t *testing.T) {
	p := readPage(t, "docs/fail-modes.md")
	rows := 0
	for _, r := range p.rows() {
		if r.cells[0] != "what fails" {
			rows++
			p.wantTests(r)
		}
	}
	if rows < 40 {
		t.Errorf("docs/fail-modes.md: got %d rows, want the whole table", rows)
	}
}

// TestASVSIsShown: docs/asvs.md has every requirement of levels 1 and 2 in order, and every control of sign-in and access; their
// rows name tests that exist. Level 3 is mentioned as a whole.
func TestASVSIsShown(t *testing.T) {
	p := readPage(t, "docs/asvs.md")
	levels := make(map[string]string) // of the requirements, as the page says
	var requirements, controls, third []string
	for _, r := range p.rows() {
		first := r.cells[0]
		switch {
		case first == "id" || first == "way" || r.section == "":
			continue
		case r.section == "Level 3":
			third = append(third, strings.Split(first, ", ")...)
			continue
		case strings.HasPrefix(r.section, "V"):
			requirements, levels[first] = append(requirements, first), r.cells[1]
			p.wantState(r, r.cells[3])
		case r.section == "The guides' controls":
			controls = append(controls, first)
			p.wantState(r, r.cells[2])
		}
		p.wantTests(r)
	}
	if want := strings.Fields(asvsFirst + asvsSecond); !slices.Equal(sorted(requirements), sorted(want)) {
		t.Errorf("requirements %q\nwant %q", sorted(requirements), sorted(want))
	}
	if !slices.IsSortedFunc(requirements, byNumber) {
		t.Errorf("the requirements are not in order: %q", requirements)
	}
	for _, first := range strings.Fields(asvsFirst) {
		if levels[first] != "1" {
			t.Errorf("%s has level %q, want 1", first, levels[first])
		}
	}
	for _, second := range strings.Fields(asvsSecond) {
		if levels[second] != "2" {
			t.Errorf("%s has level %q, want 2", second, levels[second])
		}
	}
	if want := strings.Fields(asvsThird); !slices.Equal(sorted(third), sorted(want)) {
		t.Errorf("level 3: %q\nwant %q", sorted(third), sorted(want))
	}
	if want := strings.Fields(accessControls); !slices.Equal(controls, want) {
		t.Errorf("controls %q\nwant %q", controls, want)
	}
}

// The requirements of OWASP ASVS 5.0.0, chapters V6, V7 and V8, by level.
const (
	asvsFirst = `6.1.1 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.3.1 6.3.2 6.4.1 6.4.2
		7.2.1 7.2.2 7.2.3 7.2.4 7.4.1 7.4.2
		8.1.1 8.2.1 8.2.2 8.3.1 `
	asvsSecond = `6.1.2 6.1.3 6.2.9 6.2.10 6.2.11 6.2.12 6.3.3 6.3.4 6.4.3 6.4.4 6.5.1 6.5.2 6.5.3 6.5.4 6.5.5 6.6.1 6.6.2 6.6.3
		6.8.1 6.8.2 6.8.3 6.8.4
		7.1.1 7.1.2 7.1.3 7.3.1 7.3.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.6.1 7.6.2
		8.1.2 8.2.3 8.4.1`
	asvsThird = `6.3.5 6.3.6 6.3.7 6.3.8 6.4.5 6.4.6 6.5.6 6.5.7 6.5.8 6.6.4 6.7.1 6.7.2 7.5.3 8.1.3 8.1.4 8.2.4 8.3.2 8.3.3 8.4.2`
)

// accessControls are the guides' controls of sign-in and access.
const accessControls = `D-01 D-02 D-03 D-04 D-05 D-06 D-07 D-08 D-09 D-10 D-11 D-12 D-13 D-14 D-15 D-16 D-17 D-18 D-19 D-31
	F-26 F-40 F-41 F-42 F-43 F-44 I-09 I-53 I-75 I-82 I-83 M-02 M-03 M-06 M-08 M-12 M-13 M-19 M-40 M-41 M-42`

// TestAccessPageExamples: what docs/access.md shows can be used as it stands. test/access follows it.
func TestAccessPageExamples(t *testing.T) {
	text, err := os.ReadFile("docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(examples) < 5 {
		t.Fatalf("the page has %d examples, want all of them", len(examples))
	}
	for _, example := range examples {
		text := string(example[1])
		if !strings.Contains(text, "\nsites:") && !strings.HasPrefix(text, "sites:") {
			text += "sites: [{hosts: [a.example.org], upstreams: ['http://127.0.0.1:8080']}]\n"
		}
		if !strings.Contains(text, "\nzones:") && strings.Contains(text, "zones: [office]") {
			text += "zones: [{name: office, networks: [192.0.2.0/24]}]\n"
		}
		if _, err := config.Parse("doorward.yaml", []byte(text)); err != nil {
			t.Errorf("%v in:\n%s", err, text)
		}
	}
}

// TestLinksLeadSomewhere: every link from one page of docs to another file, and to a heading there.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]*)?\)`)
	headings := make(map[string][]string)
	for _, file := range pages {
		for i, line := range strings.Split(readText(t, file), "\n") {
			for _, found := range link.FindAllStringSubmatch(line, -1) {
				target := file
				if found[1] != "" {
					target = filepath.Join("docs", found[1])
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s:%d: %s is not there", file, i+1, found[1])
					continue
				}
				if found[2] == "" || filepath.Ext(target) != ".md" {
					continue
				}
				if headings[target] == nil {
					headings[target] = anchors(readText(t, target))
				}
				if !slices.Contains(headings[target], found[2]) {
					t.Errorf("%s:%d: %s has no heading %s", file, i+1, target, found[2])
				}
			}
		}
	}
}

// anchors are the names that links give a page's headings.
func anchors(text string) []string {
	var all []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(heading[1])
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		all = append(all, "#"+strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.SortFunc(list, byNumber)
	return list
}

// byNumber orders ids such as 6.2.9 and 6.2.10.
func byNumber(a, b string) int {
	wide := func(id string) string {
		parts := strings.Split(id, ".")
		for i, part := range parts {
			parts[i] = strings.Repeat("0", max(0, 3-len(part))) + part
		}
		return strings.Join(parts, ".")
	}
	return strings.Compare(wide(a), wide(b))
}
