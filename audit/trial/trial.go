// Package trial tries controls on hosts made of files: a text archive holds a host's files and says which verdicts must
// come out. Doorward's own controls and those of a user's folder are tried alike.
//
// It knows controls and facts. It runs no program of such a host.
package trial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/tools/txtar"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
)

// maxArchive caps one archive, in bytes.
const maxArchive = 64 << 20

// Trial is one host of files and what must come out for it.
type Trial struct {
	Name string
	Want map[string]audit.Status // by control id

	files    []txtar.File
	steps    []step
	declared facts.Config
}

// step is a line of the archive's head that changes what the files are like.
type step struct{ verb, name, value string }

// Read reads a txtar archive. The lines before its files are
//
//	I-03: fail                                what must come out
//	mode etc/shadow 0640                      permissions, in octal
//	link etc/localtime /usr/share/zoneinfo/UTC  a symbolic link
//	dir srv/app/data                          an empty folder
//	# a remark
//
// Files have the mode 0644 and folders 0755 otherwise, and belong to whoever runs the trial. A file audit.yaml is no file of
// the host: it is what its administrator declares, as in the section audit of the configuration.
func Read(file string) (*Trial, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxArchive {
		return nil, fmt.Errorf("read %s: longer than %d MiB", file, maxArchive>>20)
	}
	archive, err := txtar.ParseFile(file)
	if err != nil {
		return nil, err
	}
	t := &Trial{Name: strings.TrimSuffix(filepath.Base(file), ".txtar"), Want: map[string]audit.Status{}, files: archive.Files}
	if err := t.declare(); err != nil {
		return nil, fmt.Errorf("%s: audit.yaml: %w", file, err)
	}
	number := 0
	for line := range strings.Lines(string(archive.Comment)) {
		number++
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) == 3 && (words[0] == "mode" || words[0] == "link"):
			t.steps = append(t.steps, step{words[0], words[1], words[2]})
		case len(words) == 2 && words[0] == "dir":
			t.steps = append(t.steps, step{words[0], words[1], ""})
		case len(words) == 2 && strings.HasSuffix(words[0], ":"):
			t.Want[strings.TrimSuffix(words[0], ":")] = audit.Status(words[1])
		default:
			return nil, fmt.Errorf("%s:%d: %q is none of ID: STATUS, mode FILE OCTAL, link FILE TARGET, dir FOLDER", file, number, strings.TrimSpace(line))
		}
	}
	if len(t.Want) == 0 {
		return nil, fmt.Errorf("%s: it promises no verdict; write a line such as I-03: fail above the files", file)
	}
	return t, nil
}

// declare takes audit.yaml out of the host's files.
func (t *Trial) declare() error {
	at := slices.IndexFunc(t.files, func(f txtar.File) bool { return f.Name == "audit.yaml" })
	if at < 0 {
		return nil
	}
	text := t.files[at].Data
	t.files = slices.Delete(t.files, at, at+1)
	if err := yaml.UnmarshalWithOptions(text, &t.declared, yaml.Strict()); err != nil {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return nil
}

// Lay writes the host's files below dir, which is to be empty. No name leads out of it.
func (t *Trial) Lay(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range t.files {
		if err := errors.Join(root.MkdirAll(filepath.Dir(f.Name), 0o755), root.WriteFile(f.Name, f.Data, 0o644)); err != nil {
			return err
		}
	}
	for _, s := range t.steps {
		if err := s.do(root); err != nil {
			return fmt.Errorf("%s %s: %w", s.verb, s.name, err)
		}
	}
	return nil
}

func (s step) do(root *os.Root) error {
	switch s.verb {
	case "mode":
		mode, err := strconv.ParseUint(s.value, 8, 32)
		if err != nil {
			return fmt.Errorf("%q is no mode such as 0640", s.value)
		}
		return root.Chmod(s.name, os.FileMode(mode))
	case "dir":
		return root.MkdirAll(s.name, 0o755)
	}
	return errors.Join(root.MkdirAll(filepath.Dir(s.name), 0o755), root.Symlink(s.value, s.name))
}

// Mistake is a verdict that came out differently than the trial says.
type Mistake struct {
	ID        string
	Got, Want audit.Status
	Finding   audit.Finding
}

// String tells the mistake in one line.
func (m Mistake) String() string {
	text := fmt.Sprintf("%s: got %q, want %q", m.ID, m.Got, m.Want)
	if m.Got == "" {
		return text + ": there is no such control"
	}
	if m.Finding.Reason != "" {
		text += ": " + m.Finding.Reason
	}
	for _, e := range m.Finding.Evidence {
		text += "; " + e.String()
	}
	return text
}

// Run lays the host's files into a folder that is removed afterwards, reads its facts and judges all controls. It returns the
// verdicts that differ from what the trial says, by id.
func (t *Trial) Run(ctx context.Context, c *audit.Catalogue, now time.Time) ([]Mistake, error) {
	dir, err := os.MkdirTemp("", "doorward-trial-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := t.Lay(dir); err != nil {
		return nil, fmt.Errorf("lay out %s: %w", t.Name, err)
	}
	h, err := facts.OpenHost(facts.HostOptions{Root: dir})
	if err != nil {
		return nil, err
	}
	defer h.Close()
	got := map[string]audit.Finding{}
	for _, f := range c.Judge(audit.Profile{}, facts.Collect(ctx, h, facts.Target{Config: t.declared, Now: now}, nil), audit.Records{}) {
		got[f.ID] = f
	}
	var mistakes []Mistake
	for _, id := range slices.Sorted(maps.Keys(t.Want)) {
		if f := got[id]; f.Status != t.Want[id] {
			mistakes = append(mistakes, Mistake{id, f.Status, t.Want[id], f})
		}
	}
	return mistakes, nil
}
