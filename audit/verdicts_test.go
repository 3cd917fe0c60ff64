package audit_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/rules"
)

// TestHostsOfFiles judges folders that stand for hosts. A file testdata/verdicts/NAME.txtar holds the host's files; the lines
// before them say what must come out, and what the files are like beside their text:
//
//	I-03: fail
//	mode etc/shadow 0640
//	link etc/localtime /usr/share/zoneinfo/UTC
//
// Programs of such a host are not run, as with --root.
func TestHostsOfFiles(t *testing.T) {
	cat := shipped(t)
	all, _ := cat.Profile("all")
	names, err := filepath.Glob("testdata/verdicts/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			root, want := hostOf(t, name)
			h, err := facts.OpenHost(facts.HostOptions{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			got := map[string]audit.Finding{}
			for _, f := range cat.Judge(all, facts.Collect(t.Context(), h, facts.Target{Now: now}, nil), audit.Records{}) {
				got[f.ID] = f
			}
			for id, status := range want {
				if f := got[id]; f.Status != status {
					t.Errorf("%s: got %q, want %q; %s %+v", id, f.Status, status, f.Reason, f.Evidence)
				}
			}
		})
	}
}

// hostOf writes the files of an archive into a folder and returns it, and the verdicts that are promised.
func hostOf(t *testing.T, name string) (root string, want map[string]audit.Status) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	root, want = t.TempDir(), map[string]audit.Status{}
	for _, f := range archive.Files {
		path := filepath.Join(root, f.Name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, 0o644))
	}
	for line := range strings.Lines(string(archive.Comment)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case len(words) == 3 && words[0] == "mode":
			mode, err := strconv.ParseUint(words[2], 8, 32)
			check(t, err, os.Chmod(filepath.Join(root, words[1]), os.FileMode(mode)))
		case len(words) == 3 && words[0] == "link":
			path := filepath.Join(root, words[1])
			check(t, os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(words[2], path))
		case len(words) == 2 && strings.HasSuffix(words[0], ":"):
			want[strings.TrimSuffix(words[0], ":")] = audit.Status(words[1])
		default:
			t.Fatalf("%s: the line %q says nothing", name, line)
		}
	}
	if len(want) == 0 {
		t.Fatalf("%s promises no verdict", name)
	}
	return root, want
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// shipped reads the controls that Doorward comes with.
func shipped(t *testing.T) *audit.Catalogue {
	t.Helper()
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

