package fix

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/wholefile"
)

// The statuses of an entry of the journal.
const (
	Applying    = "applying"    // on the way, or killed on the way
	Kept        = "kept"        // in force
	Unconfirmed = "unconfirmed" // in force until Deadline, and then taken back
	RolledBack  = "rolled back" // taken back by apply itself
	Undoing     = "undoing"     // being taken back, or killed on the way
	Undone      = "undone"
	Broken      = "broken" // could not be taken back whole
)

// Entry is one apply in the journal: what was changed on the host as one, in one folder of the state folder. Its JSON is
// what history --json prints, without the changes.
type Entry struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"` // what it was for
	Root     string    `json:"root"`
	Controls []string  `json:"controls"`
	Service  string    `json:"service,omitempty"`
	Made     time.Time `json:"made"`
	Status   string    `json:"status"`
	// Reason is why it is not in force, or what else there is to say.
	Reason string `json:"reason,omitempty"`
	// Deadline is when an unconfirmed entry is taken back; Boot and BootTime are the kernel's boot id and nanoseconds since boot at
	// which the change was in force, which no clock moves.
	Deadline time.Time     `json:"deadline,omitzero"`
	Boot     string        `json:"boot,omitempty"`
	BootTime time.Duration `json:"boot_time,omitempty"`
	// Ran says that the service ran before, so that it has to run after an undo.
	Ran bool `json:"ran,omitempty"`
	// Restart says that the service takes the change at its next start only.
	Restart bool `json:"restart,omitempty"`
	// App is the application whose files were changed, and Seal whether it was sealed or unsealed.
	App  *App   `json:"app,omitempty"`
	Seal string `json:"seal,omitempty"`

	folder string
}

// appName is the name of the application, or "".
func (e Entry) appName() string {
	if e.App == nil {
		return ""
	}
	return e.App.Name
}

// manifest is the file that an entry is kept in.
type manifest struct {
	Entry
	Changes []record `json:"changes"`
}

var entryName = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[a-z0-9.-]{1,40}$`)

const (
	manifestName = "manifest.json"
	maxManifest  = 256 << 20 // bytes; a file's content is in it
)

// Open says whether the entry still changes the host, or may.
func (e Entry) Open() bool { return e.Status != RolledBack && e.Status != Undone }

// journal is the folder of all entries, root's own.
type journal struct {
	dir string
}

// openJournal makes the folder where it is not there. One that others can read or change is refused: it holds what files
// had before, and says what undo writes as root.
func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("make the journal's folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the journal's folder: %w", err)
	}
	return &journal{dir}, ownedAlone(dir)
}

func ownedAlone(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the journal's folder: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at the journal's folder: %w", err)
	}
	if !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has to be a folder of root's own with mode 0700: it holds what files had before a fix", dir)
	}
	return nil
}

// lock keeps every other apply, undo and confirm away until it is closed. It is a lock of the kernel, so that a killed
// process holds none. With wait it waits, else it is refused.
func (j *journal) lock(wait bool) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(j.dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the journal: %w", err)
	}
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.New("another doorward fix is at work on this host; try again when it has ended")
		}
		return nil, fmt.Errorf("lock the journal: %w", err)
	}
	return f, nil
}

// begin writes a new entry with its changes, before anything is changed. The file is on the disk when it returns.
func (j *journal) begin(e Entry, changes []change) (*Entry, error) {
	name := e.Made.UTC().Format("20060102T150405.000Z") + "-" + e.ID
	if !entryName.MatchString(name) {
		return nil, fmt.Errorf("%q is no name of an entry", name)
	}
	e.ID, e.folder = name, filepath.Join(j.dir, name)
	if err := os.Mkdir(e.folder, 0o700); err != nil {
		return nil, fmt.Errorf("make an entry of the journal: %w", err)
	}
	if err := j.write(&e, changes); err != nil {
		return nil, err
	}
	return &e, syncFolder(j.dir)
}

// write keeps the entry and its changes.
func (j *journal) write(e *Entry, changes []change) error {
	m := manifest{Changes: []record{}}
	for i, c := range changes {
		if t, ok := c.(*treeChange); ok {
			if err := t.keep(e, i); err != nil {
				return err
			}
		}
		r, err := recordOf(c)
		if err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
		m.Changes = append(m.Changes, r)
	}
	m.Entry = *e
	return writeWhole(filepath.Join(e.folder, manifestName), m)
}

// note keeps a new status of an entry, and its reason.
func (j *journal) note(e *Entry, status, reason string) error {
	m, err := readManifest(e.folder)
	if err != nil {
		return err
	}
	e.Status, e.Reason = status, reason
	m.Entry = *e
	return writeWhole(filepath.Join(e.folder, manifestName), m)
}

// writeWhole writes v as a file that is there whole or not at all, and on the disk.
func writeWhole(name string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := wholefile.Replace(name, 0o600, append(text, '\n')); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// begun notes, before a change is made, that it is begun: what was never begun is not taken back. It is a file of one byte a
// change, which is on the disk when begun returns.
func (e *Entry) begun() error {
	f, err := os.OpenFile(filepath.Join(e.folder, "progress"), os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	_, err = f.Write([]byte("."))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// refused takes back that the last change was begun, because nothing of it was done.
func (e *Entry) refused(count int) error {
	if err := os.Truncate(filepath.Join(e.folder, "progress"), int64(count)); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// progress is how many of the changes were begun.
func (e *Entry) progress(of int) (int, error) {
	info, err := os.Lstat(filepath.Join(e.folder, "progress"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, syncFolder(e.folder)
	}
	if err != nil {
		return 0, fmt.Errorf("read the journal: %w", err)
	}
	return min(of, int(info.Size())), nil
}

func syncFolder(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

func readManifest(folder string) (manifest, error) {
	var m manifest
	f, err := os.OpenFile(filepath.Join(folder, manifestName), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return m, fmt.Errorf("read the journal: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxManifest {
		return m, fmt.Errorf("read the journal: %s cannot be read, or is too long (%v)", f.Name(), err)
	}
	if err := json.NewDecoder(f).Decode(&m); err != nil {
		return m, fmt.Errorf("read the journal: %s: %w", f.Name(), err)
	}
	m.folder = folder
	return m, nil
}

// load reads an entry and its changes.
func (j *journal) load(id string) (*Entry, []change, error) {
	if !entryName.MatchString(id) {
		return nil, nil, fmt.Errorf("%q is no entry of the journal: doorward fix history lists them", id)
	}
	m, err := readManifest(filepath.Join(j.dir, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("there is no entry %s in %s: doorward fix history lists them", id, j.dir)
	}
	if err != nil {
		return nil, nil, err
	}
	var changes []change
	for _, r := range m.Changes {
		c, err := r.change()
		if err != nil {
			return nil, nil, fmt.Errorf("read the journal: %s: %w", id, err)
		}
		changes = append(changes, c)
	}
	return &m.Entry, changes, nil
}

// entries lists all entries, oldest first.
func (j *journal) entries() ([]Entry, error) {
	names, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	all := []Entry{}
	for _, n := range names {
		if !entryName.MatchString(n.Name()) {
			continue
		}
		m, err := readManifest(filepath.Join(j.dir, n.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was killed before the first change
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m.Entry)
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}
