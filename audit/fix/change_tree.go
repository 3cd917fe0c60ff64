package fix

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of a tree, which an application or its users can grow.
const (
	maxTree      = 300_000 // entries
	maxTreeDepth = 100
	shownEntries = 20 // in a diff
)

// treeChange gives the files and folders of a tree other modes, owners or flags. Content is not touched. Its entries are a
// file of their own in the journal, one line each.
type treeChange struct {
	Root  string `json:"root"` // without links
	Title string `json:"title"`
	List  string `json:"list"` // the file of the entries
	Count int    `json:"count"`
	// Notes are what was left alone, for people.
	Notes []string `json:"notes,omitempty"`

	entries []treeEntry
}

// treeEntry is one file or folder whose attributes change.
type treeEntry struct {
	Path   string     `json:"p"` // below the root; "." is the root
	Type   string     `json:"t"`
	Inode  uint64     `json:"i"`
	Born   int64      `json:"n"` // nanoseconds since 1970
	Before attributes `json:"b"`
	After  attributes `json:"a"`
}

// before is what the entry had, for what stands in its place now. Another file, which the application itself may have
// written, gets no rights that make it run as somebody else.
func (e treeEntry) before(now state) attributes {
	a := e.Before
	if !now.is(e.Inode, e.Born) && now.Type == isFile {
		a.Mode &^= 0o6000
		a.Xattrs = maps.Clone(a.Xattrs)
		delete(a.Xattrs, "security.capability")
	}
	return a
}

func (c *treeChange) kind() string { return "tree" }
func (c *treeChange) what() string {
	return fmt.Sprintf("%s: %d files and folders of %s", c.Title, c.Count, c.Root)
}

func (c *treeChange) diff() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", c.what())
	for i, e := range c.entries {
		if i == shownEntries {
			fmt.Fprintf(&b, "  … and %d more\n", len(c.entries)-i)
			break
		}
		fmt.Fprintf(&b, "  %s: %s -> %s\n", path.Join(c.Root, e.Path), e.Before, e.After)
	}
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "  %s\n", n)
	}
	return b.String()
}

// keep writes the entries beside the manifest.
func (c *treeChange) keep(e *Entry, number int) error {
	c.List = fmt.Sprintf("tree-%d.jsonl", number)
	f, err := os.OpenFile(filepath.Join(e.folder, c.List), os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	w := bufio.NewWriter(f)
	lines := json.NewEncoder(w)
	for _, entry := range c.entries {
		if err := lines.Encode(entry); err != nil {
			f.Close()
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// fetch reads the entries back.
func (c *treeChange) fetch(e *Entry) error {
	if c.entries != nil {
		return nil
	}
	if c.List != filepath.Base(c.List) {
		return fmt.Errorf("read the journal: %q is no list of a tree", c.List)
	}
	f, err := os.OpenFile(filepath.Join(e.folder, c.List), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(f))
	for {
		var entry treeEntry
		err := lines.Decode(&entry)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the journal: %s: %w", f.Name(), err)
		}
		c.entries = append(c.entries, entry)
	}
	if len(c.entries) != c.Count {
		return fmt.Errorf("read the journal: %s has %d lines instead of %d", f.Name(), len(c.entries), c.Count)
	}
	return nil
}

func (c *treeChange) do(ctx context.Context, m *Machine, e *Entry) error {
	root, err := m.place.tree(c.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	for i, entry := range c.entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if i%1000 == 0 {
			m.observe(fmt.Sprintf("%s: %d of %d", c.Title, i, len(c.entries)))
		}
		f, now, err := openEntry(root, entry.Path)
		if err != nil {
			return fmt.Errorf("change %s: %w", path.Join(c.Root, entry.Path), err)
		}
		switch {
		case now.Type != entry.Type || !now.is(entry.Inode, entry.Born) || !now.attributes.equal(entry.Before):
			err = fmt.Errorf("%w: there is %s", errChanged, now.describe())
		case now.Type == isFile && now.links > 1:
			err = fmt.Errorf("%w: it has now %d names", errChanged, now.links)
		default:
			err = setAttributes(f, now, entry.After)
		}
		f.Close()
		if err != nil {
			return fmt.Errorf("change %s: %w", path.Join(c.Root, entry.Path), err)
		}
	}
	return nil
}

// undo goes backwards. What an update removed since stays away; what it replaced gets the old mode and owner.
func (c *treeChange) undo(_ context.Context, m *Machine, e *Entry, o undoing) error {
	if err := c.fetch(e); err != nil {
		return err
	}
	root, err := m.place.tree(c.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	for i := len(c.entries) - 1; i >= 0; i-- {
		entry := c.entries[i]
		f, now, err := openEntry(root, entry.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("take back %s: %w", path.Join(c.Root, entry.Path), err)
		}
		switch {
		case now.Type != entry.Type: // another thing of the same name, which was never ours
		case now.Type == isFile && now.links > 1:
			err = fmt.Errorf("it has now %d names, and the others would change with it", now.links)
		case o.halfway && !o.force && !onTheWay(now.attributes, entry.Before, entry.After): // it was changed by somebody else
		default:
			err = setAttributes(f, now, entry.before(now))
		}
		f.Close()
		if err != nil {
			return fmt.Errorf("take back %s: %w", path.Join(c.Root, entry.Path), err)
		}
	}
	return nil
}

// conflict tells what is neither as the change left it nor as it was before. What an update put in the place of a file is
// another file, and no conflict.
func (c *treeChange) conflict(_ context.Context, m *Machine, e *Entry) error {
	if err := c.fetch(e); err != nil {
		return err
	}
	root, err := m.place.tree(c.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	var lines strings.Builder
	n := 0
	for _, entry := range c.entries {
		f, now, err := openEntry(root, entry.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at %s: %w", path.Join(c.Root, entry.Path), err)
		}
		f.Close()
		if now.Type != entry.Type || !now.is(entry.Inode, entry.Born) || now.attributes.equal(entry.After) || now.attributes.equal(entry.Before) {
			continue
		}
		if n++; n <= shownEntries {
			fmt.Fprintf(&lines, "  %s: the fix left %s; there is %s\n", path.Join(c.Root, entry.Path), entry.After, now.attributes)
		}
	}
	if n == 0 {
		return nil
	}
	if n > shownEntries {
		fmt.Fprintf(&lines, "  … and %d more\n", n-shownEntries)
	}
	return &Conflict{fmt.Sprintf("%d of the files of %s", n, c.Root), lines.String()}
}

// tree opens the folder at the top of a tree.
func (p *place) tree(root string) (*os.File, error) {
	return openat(p.top, path.Clean("/"+root), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
}

// openEntry opens what is at name below root as a path, and says what it is. The caller closes it.
func openEntry(root *os.File, name string) (*os.File, state, error) {
	f, err := openat(root, name, unix.O_PATH|unix.O_NOFOLLOW, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, state{}, err
	}
	s, err := look(f)
	if err != nil {
		f.Close()
	}
	return f, s, err
}

// walk calls visit for everything below root, root first and every folder before what is in it, sorted by name. No link is
// followed, no other file system entered, and skip leaves a folder out with all that is in it.
func (p *place) walk(ctx context.Context, root string, skip func(name string) bool, visit func(name string, f *os.File, s state) error) error {
	top, err := p.tree(root)
	if err != nil {
		return err
	}
	defer top.Close()
	w := walker{ctx: ctx, top: top, skip: skip, visit: visit}
	var st unix.Stat_t
	if err := unix.Fstat(int(top.Fd()), &st); err != nil {
		return err
	}
	w.dev = st.Dev
	return w.below(".", 0)
}

type walker struct {
	ctx   context.Context // of one walk
	top   *os.File
	dev   uint64
	count int
	skip  func(name string) bool
	visit func(name string, f *os.File, s state) error
}

func (w *walker) below(name string, depth int) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	if w.count++; w.count > maxTree {
		return fmt.Errorf("the tree has more than %d entries: name a smaller one", maxTree)
	}
	if depth > maxTreeDepth {
		return fmt.Errorf("%s lies more than %d folders deep", name, maxTreeDepth)
	}
	if w.skip != nil && w.skip(name) {
		return nil
	}
	f, s, err := openEntry(w.top, name)
	if errors.Is(err, fs.ErrNotExist) && name != "." {
		return nil // it went while the walk was on the way
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Dev != w.dev {
		return nil
	}
	if err := w.visit(name, f, s); err != nil || s.Type != isFolder {
		return err
	}
	dir, err := os.Open(self(f))
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(maxTree + 1)
	dir.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return w.each(name, names, depth)
}

func (w *walker) each(folder string, names []string, depth int) error {
	slices.Sort(names)
	for _, n := range names {
		if err := w.below(path.Join(folder, n), depth+1); err != nil {
			return err
		}
	}
	return nil
}
