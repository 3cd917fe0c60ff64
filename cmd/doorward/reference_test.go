package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestGeneratedCommandReference keeps docs/commands.md equal to the commands' own help. `make docs` writes it
// anew.
func TestGeneratedCommandReference(t *testing.T) {
	keepEqual(t, "../../docs/commands.md", []byte(commandReference(newRoot(streams{}))))
}

// TestGeneratedManualPages does the same for docs/man.
func TestGeneratedManualPages(t *testing.T) {
	const dir = "../../docs/man"
	pages := make(map[string]bool)
	for _, c := range commandList(newRoot(streams{})) {
		name := manName(c) + ".8"
		pages[name] = true
		keepEqual(t, filepath.Join(dir, name), manPage(c))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		if pages[filepath.Base(file)] {
			continue
		}
		if os.Getenv("DOORWARD_UPDATE") == "1" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s is the page of no command; run: make docs", file)
	}
}

// keepEqual compares a generated file with what it should be, or writes it with DOORWARD_UPDATE=1.
func keepEqual(t *testing.T, file string, want []byte) {
	t.Helper()
	if os.Getenv("DOORWARD_UPDATE") == "1" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run: make docs", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is stale; run: make docs (-want +file):\n%s", file, diff)
	}
}

func commandReference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(`# Commands

*Generated from the code by ` + "`make docs`" + `; the same text is in ` + "`doorward COMMAND --help`" + ` and in the manual pages
(` + "`doorward man DIR`" + `).*

Results go to standard output, everything else to standard error, and ` + "`--json`" + ` gives results in a form for scripts.
Exit code 0: done. 1: it went wrong, or findings were found. 2: the command line or the configuration file is
wrong. An error is one line ` + "`doorward: error: …`" + `, often followed by ` + "`doorward: hint: …`" + `.

The commands about users, sessions, API tokens, reviews and the journal talk to the running doorward through its admin socket, which only
root and doorward's own user may use. While none is running they work on the store themselves; root then first
becomes the owner of the store.

`)
	list := commandList(root)
	b.WriteString("| command | what it does |\n|---|---|\n")
	for _, c := range list {
		if c.Runnable() && !c.HasAvailableSubCommands() {
			fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", c.CommandPath(), manName(c), c.Short)
		}
	}
	for _, c := range list {
		if c.HasAvailableSubCommands() {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```\n%s\n```\n", c.CommandPath(), orElse(c.Long, c.Short+"."), c.UseLine())
		var flags bytes.Buffer
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				fmt.Fprintf(&flags, "| `%s` | %s |\n", flagName(f), flagHelp(f))
			}
		})
		if flags.Len() > 0 {
			fmt.Fprintf(&b, "\n| flag | meaning |\n|---|---|\n%s", flags.String())
		}
		if c.Example != "" {
			fmt.Fprintf(&b, "\nExamples:\n\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
		}
	}
	return b.String()
}
