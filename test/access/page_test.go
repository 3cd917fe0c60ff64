package access_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/doorward/doorward/test/real"
)

// guide is docs/access.md as a reader follows it: the file that it shows, and its commands.
type guide struct {
	t       testing.TB
	text    string
	blocks  []block
	replace []replacement
	path    string // of the commands
	next    int    // the block that comes next
}

// block is one fenced part of the page.
type block struct{ kind, text string }

// replacement is what the reader puts in the place of something. The page's table has to name all but those whose
// place the machine has taken, such as ports.
type replacement struct {
	from, to string
	named    string // as the page's table names it; empty: the machine's
}

func readGuide(t testing.TB) *guide {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(real.Repository(t), "docs", "access.md"))
	if err != nil {
		t.Fatal(err)
	}
	g := &guide{t: t, text: string(text)}
	for _, found := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(g.text, -1) {
		g.blocks = append(g.blocks, block{found[1], found[2]})
	}
	return g
}

// put replaces what the reader must replace. Each must be there, and be named to the reader.
func (g *guide) put(all ...replacement) {
	g.t.Helper()
	table := regexp.MustCompile(`(?m)^.*`+"`"+`.* \| .*$`).FindAllString(g.text, -1)
	for _, r := range all {
		if !strings.Contains(g.text, r.from) {
			g.t.Fatalf("docs/access.md has no %q any more", r.from)
		}
		if r.named != "" && !strings.Contains(strings.Join(table, "\n"), "`"+r.named+"`") {
			g.t.Errorf("the table of docs/access.md does not tell the reader to replace %q", r.named)
		}
	}
	g.replace = all
}

func (g *guide) filled(text string) string {
	for _, r := range g.replace {
		text = strings.ReplaceAll(text, r.from, r.to)
	}
	return text
}

// take returns the next block of the kind whose text begins with start; the blocks between are skipped, so that what a test
// asks for out of order is not found.
func (g *guide) take(kind, start string) string {
	g.t.Helper()
	for ; g.next < len(g.blocks); g.next++ {
		if b := g.blocks[g.next]; b.kind == kind && strings.HasPrefix(b.text, start) {
			g.next++
			return g.filled(b.text)
		}
	}
	g.t.Fatalf("docs/access.md has no block of %s that begins with %q here", kind, start)
	return ""
}

// install puts a command doorward before all others that finds its configuration file at file, not in /etc/doorward.
func (g *guide) install(file string) {
	g.t.Helper()
	dir := real.Folder(g.t)
	real.Write(g.t, dir, "doorward", fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\" --config '%s'\n", real.Program(g.t), file), 0o755)
	g.path = dir
}

// run has a shell do the next block that begins with start, and returns what it printed. Every command must succeed.
func (g *guide) run(start string) (out string) {
	g.t.Helper()
	script := g.take("sh", start)
	cmd := exec.CommandContext(g.t.Context(), "bash", "--noprofile", "--norc", "-e")
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = append(os.Environ(), "PATH="+g.path+":"+os.Getenv("PATH"))
	printed, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("%v in\n%s\nwhich printed\n%s", err, script, printed)
	}
	return string(printed)
}

// shows fails unless printed is, or holds, what the page's next block of text says.
func (g *guide) shows(printed string) {
	g.t.Helper()
	if want := g.take("text", ""); !strings.Contains(printed, want) {
		g.t.Errorf("printed\n%s\nbut docs/access.md says\n%s", printed, want)
	}
}
