package fix

import (
	"context"
	"fmt"
	"path"
	"strings"
)

// fileChange writes, replaces or removes a file, link or folder, or changes what it has beside its content.
type fileChange struct {
	Path   string `json:"path"` // without links
	Before state  `json:"before"`
	After  state  `json:"after"`
	// Secret says that the content is not for a screen.
	Secret bool   `json:"secret,omitempty"`
	Temp   string `json:"temp"` // the name that is used on the way, in the same folder
}

func (c *fileChange) kind() string { return "file" }

func (c *fileChange) what() string {
	switch {
	case c.Before.Type == "":
		return "make " + c.Path
	case c.After.Type == "":
		return "remove " + c.Path
	case c.Before.SHA256 != c.After.SHA256 || c.Before.Target != c.After.Target:
		return "change " + c.Path
	}
	return "set mode and owner of " + c.Path
}

func (c *fileChange) diff() string { return diffStates(c.Path, c.Before, c.After, c.Secret) }

func (c *fileChange) do(_ context.Context, m *Machine, _ *Entry) error {
	return m.place.put(c.Path, c.Temp, c.Before, c.After)
}

func (c *fileChange) undo(_ context.Context, m *Machine, _ *Entry, o undoing) error {
	if err := m.place.discard(path.Join(path.Dir(c.Path), c.Temp)); err != nil {
		return err
	}
	now, err := m.place.read(c.Path)
	if err != nil {
		return err
	}
	if now.equal(c.Before) {
		return nil
	}
	ours := o.force || now.equal(c.After) ||
		o.halfway && (now.sameContent(c.Before) || now.sameContent(c.After)) && onTheWay(now.attributes, c.Before.attributes, c.After.attributes)
	if !ours {
		return &Conflict{c.Path, diffStates(c.Path, c.After, now, c.Secret)}
	}
	return m.place.put(c.Path, c.Temp, now, c.Before)
}

// conflict says what somebody changed since.
func (c *fileChange) conflict(_ context.Context, m *Machine, _ *Entry) error {
	now, err := m.place.read(c.Path)
	if err != nil || now.equal(c.Before) || now.equal(c.After) {
		return err
	}
	return &Conflict{c.Path, diffStates(c.Path, c.After, now, c.Secret)}
}

// sameContent compares without mode, owner and flags, which an interrupted change may have left on the way.
func (s state) sameContent(b state) bool {
	return s.Type == b.Type && s.SHA256 == b.SHA256 && s.Target == b.Target
}

// discard removes a temporary name that a run left behind.
func (p *place) discard(name string) error {
	dir, base, err := p.folder(name)
	if err != nil {
		return nil // without the folder there is nothing left behind
	}
	defer dir.Close()
	return discard(dir, base)
}

// diffStates shows the way from one state to another.
func diffStates(name string, a, b state, secret bool) string {
	var text strings.Builder
	switch {
	case a.sameContent(b):
	case secret:
		fmt.Fprintf(&text, "--- %s\n+++ %s\n(the content is secret and not shown)\n", name, name)
	case a.Type == isLink || b.Type == isLink || a.Type == isFolder || b.Type == isFolder:
		fmt.Fprintf(&text, "--- %s\n+++ %s\n-%s\n+%s\n", name, name, a.describe(), b.describe())
		return text.String()
	default:
		text.WriteString(unified(orNull(name, a), orNull(name, b), string(a.Bytes), string(b.Bytes)))
	}
	if b.Type != "" && b.Type != isLink && (a.Type == "" || !a.attributes.equal(b.attributes)) {
		old := a.String()
		if a.Type == "" {
			old = "nothing"
		}
		fmt.Fprintf(&text, "%s: %s -> %s\n", name, old, b.String())
	}
	return text.String()
}

func orNull(name string, s state) string {
	if s.Type == "" {
		return "/dev/null"
	}
	return name
}
