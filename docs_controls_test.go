package doorward_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/rules"
)

const controlsHead = `# Controls

Every row of the four guides, and how Doorward answers it. This page is made from [rules/controls](../rules/controls) by ` + "`make docs`" + `;
[controls-format.md](controls-format.md) says how those files are written, and ` + "`doorward audit explain ID`" + ` tells all of a row: why, what is
expected, the condition, what to do, and where guides contradict each other or a standard.

*How* says what answers a row: **gateway** (Doorward keeps it itself, and tries its own door), **check** (the audit reads it off the host), **fix**
(there is something to repair it with), **watch**, **monitor** and **mail** (the audit looks for what does the job), **attest** (a person
answers, with evidence, until a day). The tests stand after the folder they are in.

`

// TestGeneratedControls keeps docs/controls.md: a table a guide.
func TestGeneratedControls(t *testing.T) {
	cat := catalogue(t)
	var page strings.Builder
	page.WriteString(controlsHead)
	for _, p := range cat.Profiles() {
		if p.Guide == "" {
			continue
		}
		fmt.Fprintf(&page, "## %s\n\n| id | control | how | severity | shown by |\n|---|---|---|---|---|\n", p.Title)
		for _, c := range cat.Controls(p) {
			fmt.Fprintf(&page, "| %s | %s | %s | %s | %s |\n", c.ID, strings.ReplaceAll(c.Title, "|", "\\|"), strings.Join(c.By, ", "), c.Severity, shownBy(c))
		}
		page.WriteString("\n")
	}
	want := strings.TrimRight(page.String(), "\n") + "\n"
	if os.Getenv("DOORWARD_UPDATE") != "" {
		if err := os.WriteFile("docs/controls.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := readText(t, "docs/controls.md"); got != want {
		t.Error("docs/controls.md is stale; run: make docs")
	}
}

// shownBy words the tests of a control, each after its folder.
func shownBy(c audit.Control) string {
	if len(c.Tests) == 0 {
		return "a person's answer"
	}
	var parts []string
	for _, test := range c.Tests {
		folder, name := testOf(test)
		parts = append(parts, "`"+folder+"` "+name)
	}
	return strings.Join(parts, "; ")
}

// testOf splits PACKAGE.TestName into its folder and name.
func testOf(test string) (folder, name string) {
	folder, name, _ = strings.Cut(test, ".")
	if folder == "facts" {
		folder = "audit/facts"
	}
	return folder, name
}

func catalogue(t *testing.T) *audit.Catalogue {
	t.Helper()
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// TestEveryRowIsAnswered: no id of a guide is missing, and none is there that no guide has.
func TestEveryRowIsAnswered(t *testing.T) {
	cat, all := catalogue(t), 0
	for _, p := range cat.Profiles() {
		var want, got []string
		for i := range p.Rows {
			want = append(want, fmt.Sprintf("%s-%02d", p.Guide, i+1))
		}
		for _, c := range cat.Controls(p) {
			got = append(got, c.ID)
		}
		if p.Guide == "" {
			if len(got) != 223 {
				t.Errorf("profile %s has %d controls, want 223", p.Name, len(got))
			}
			continue
		}
		all += p.Rows
		for _, id := range want {
			if !slices.Contains(got, id) {
				t.Errorf("no control answers %s", id)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s has %d controls, and its guide %d rows", p.Name, len(got), len(want))
		}
	}
	if all != 223 {
		t.Errorf("the profiles name %d rows, want 223", all)
	}
}

// TestControlsAreShown: what a control names as its test is there, and no check is without one.
func TestControlsAreShown(t *testing.T) {
	sources := map[string]string{}
	for _, c := range catalogue(t).Controls(audit.Profile{}) {
		if c.Expect != "" && len(c.Tests) == 0 {
			t.Errorf("%s: no test shows its verdict", c.ID)
		}
		for _, test := range c.Tests {
			folder, name := testOf(test)
			function, sub, _ := strings.Cut(name, "/")
			if _, read := sources[folder]; !read {
				sources[folder] = testSources(t, folder)
			}
			if !strings.Contains(sources[folder], "\nfunc "+function+"(") {
				t.Errorf("%s: there is no test %s", c.ID, test)
			}
			if function != "TestHostsOfFiles" {
				continue
			}
			host, err := os.ReadFile(filepath.Join("audit", "testdata", "verdicts", sub+".txtar"))
			if err != nil {
				t.Errorf("%s: %v", c.ID, err)
			} else if !strings.Contains(string(host), c.ID+": ") {
				t.Errorf("%s: the host %s says nothing of it", c.ID, sub)
			}
		}
	}
}
