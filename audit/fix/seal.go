package fix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/rules"
)

// What an application's files are under a seal (I-69 to I-72), and while it is lifted for an update (I-73). The guide gives
// others the right to read during an update; here they keep none, because configuration files hold passwords.
const (
	sealedFile, sealedFolder, sealedTool = 0o440, 0o550, 0o550
	openFile, openFolder, openTool       = 0o660, 0o770, 0o770
	dataFolder                           = 0o770
)

// layout is an application with what its kind is known to need.
type layout struct {
	App
	uid    uint32   // of the web user
	groups []uint32 // of the web user; the first is its own
	data   []string // below root
	tools  []string
}

// layout reads what is known of an application.
func (m *Machine) layout(a App) (layout, error) {
	l := layout{App: a, tools: a.Tools}
	if l.WebUser == "" {
		l.WebUser = "www-data"
	}
	data := a.Data
	if a.Kind != "" {
		known, err := readKind(a.Kind)
		if err != nil {
			return l, err
		}
		if data == nil {
			data = known.paths(known.Data)
		}
		if l.tools == nil {
			l.tools = known.paths(known.Tools)
		}
	}
	for _, d := range data {
		if path.IsAbs(d) {
			rest, inside := strings.CutPrefix(path.Clean(d), a.Root+"/")
			if !inside {
				continue
			}
			d = rest
		}
		if d = path.Clean(d); d == "." || d == ".." || strings.HasPrefix(d, "../") {
			return l, fmt.Errorf("data folder %q is not below %s", d, a.Root)
		}
		l.data = append(l.data, d)
	}
	for _, t := range l.tools {
		if _, err := path.Match(t, ""); err != nil {
			return l, fmt.Errorf("tool %q: %w", t, err)
		}
	}
	return l, m.webUser(&l)
}

// kind is the part of rules/apps/KIND/host.yaml that says what is written and run.
type kind struct {
	Data  []kindPath `yaml:"data"`
	Tools []kindPath `yaml:"tools"`
}

type kindPath struct {
	Path string `yaml:"path"`
}

func (kind) paths(all []kindPath) []string {
	var found []string
	for _, p := range all {
		found = append(found, p.Path)
	}
	return found
}

func readKind(name string) (kind, error) {
	var k kind
	if strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") {
		return k, fmt.Errorf("kind %q is no name of an application folder", name)
	}
	if _, err := fs.Stat(rules.Apps(), name); err != nil {
		return k, fmt.Errorf("kind %q is not known", name)
	}
	text, err := fs.ReadFile(rules.Apps(), name+"/host.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, err
	}
	if err := yaml.Unmarshal(text, &k); err != nil { // the other keys are the collectors'
		return k, fmt.Errorf("apps/%s/host.yaml: %s", name, strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return k, nil
}

// webUser finds the account that the web server runs the application as, and its groups.
func (m *Machine) webUser(l *layout) error {
	passwd, err := m.host.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	found := false
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[0] != l.WebUser {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		l.uid, l.groups, found = uint32(uid), []uint32{uint32(gid)}, true
	}
	if !found || l.uid == 0 {
		return fmt.Errorf("there is no account %q that is not root's, as which the web server could run", l.WebUser)
	}
	groups, err := m.host.ReadFile("/etc/group")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(groups)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) > 3 && slices.Contains(strings.Split(f[3], ","), l.WebUser) {
			if gid, err := strconv.ParseUint(f[2], 10, 32); err == nil {
				l.groups = append(l.groups, uint32(gid))
			}
		}
	}
	return nil
}

func (l layout) isData(name string) bool {
	return slices.ContainsFunc(l.data, func(d string) bool { return name == d || strings.HasPrefix(name, d+"/") })
}

func (l layout) isTool(name string) bool {
	return slices.ContainsFunc(l.tools, func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok })
}

// reaches gives the web user's group to what the web user would not reach otherwise: under modes that end in 0, a file of
// root:root is out of reach for the application itself.
func (l layout) reaches(a attributes) attributes {
	if a.UID != l.uid && !slices.Contains(l.groups, a.GID) {
		a.GID = l.groups[0]
	}
	return a
}

// sealed is what an entry has under the seal.
func (l layout) sealed(name string, s state) attributes {
	a := s.attributes
	if s.Type == isLink {
		return a
	}
	if l.isData(name) {
		a.Flags &^= immutableFlag | appendFlag
		if s.Type == isFolder {
			a = l.reaches(a)
			a.setMode(a.Mode&0o2000 | dataFolder)
		}
		return a
	}
	a = l.reaches(a)
	switch {
	case s.Type == isFolder:
		a.setMode(sealedFolder)
	case l.isTool(name):
		a.setMode(sealedTool)
	default:
		a.setMode(sealedFile)
	}
	a.Flags |= immutableFlag
	return a
}

// opened is what an entry has while the seal is lifted.
func (l layout) opened(name string, s state) attributes {
	a := s.attributes
	if s.Type == isLink || l.isData(name) {
		return a
	}
	a = l.reaches(a)
	a.Flags &^= immutableFlag | appendFlag
	switch {
	case s.Type == isFolder:
		a.setMode(openFolder)
	case l.isTool(name):
		a.setMode(openTool)
	default:
		a.setMode(openFile)
	}
	return a
}

// readonly takes from the web user, and from others, the right to write what is no data (D-24).
func (l layout) readonly(name string, s state) attributes {
	a := s.attributes
	if s.Type == isLink || l.isData(name) {
		return a
	}
	a.setMode(a.Mode &^ 0o022)
	if a.UID == l.uid {
		a.setMode(a.Mode &^ 0o200)
	}
	return a
}

// owned gives what is root's to the web user (D-23, I-68).
func (l layout) owned(_ string, s state) attributes {
	a := s.attributes
	if a.UID == 0 {
		a.UID, a.GID = l.uid, l.groups[0]
	}
	return a
}

// planTree plans what every entry of the application gets by rule.
func (m *Machine) planTree(ctx context.Context, l layout, title string, rule func(string, state) attributes) (*treeChange, error) {
	c := &treeChange{Root: l.Root, Title: title}
	linked, other := 0, 0
	err := m.place.walk(ctx, l.Root, nil, func(name string, _ *os.File, s state) error {
		if s.Type == isOther {
			other++
			return nil
		}
		want := rule(name, s)
		if want.equal(s.attributes) {
			return nil
		}
		if s.Type == isFile && s.links > 1 {
			linked++
			return nil
		}
		c.entries = append(c.entries, treeEntry{name, s.Type, s.inode, s.born, s.attributes, want})
		return nil
	})
	c.Count = len(c.entries)
	if linked > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%d files stay as they are: they have other names too, which would change with them", linked))
	}
	if other > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%d FIFOs, sockets or devices stay as they are", other))
	}
	return c, err
}

// planData plans that the application can write its data folders, and everybody else cannot (D-26, I-72).
func (m *Machine) planData(ctx context.Context, l layout) (*treeChange, error) {
	if len(l.data) == 0 {
		return nil, nothing("application %s has no known data folders: name them with --app-data", l.Name)
	}
	return m.planTree(ctx, l, "open the data folders of "+l.Name, func(name string, s state) attributes {
		if !l.isData(name) || s.Type == isLink {
			return s.attributes
		}
		a := l.sealed(name, s)
		if s.Type == isFile {
			a = l.reaches(a)
			a.setMode(a.Mode&^0o007 | 0o660)
		}
		return a
	})
}
