package fix

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/wholefile"
)

// What an entry did to an application's seal.
const (
	sealed   = "sealed"
	unsealed = "unsealed"
)

// SealReport says what changed in an application between two seals.
type SealReport struct {
	Entry                   Entry
	Added, Removed, Changed []string // paths below the application's root
	Files                   int      // under the seal now
}

// sealLine is one file or folder of the manifest of a seal.
type sealLine struct {
	Path   string `json:"path"`
	Type   string `json:"type"`
	Mode   uint32 `json:"mode"`
	SHA256 string `json:"sha256,omitempty"`
}

func (f *Fixer) sealFile(app string) string {
	return filepath.Join(f.o.State, "seals", safeName(app)+".jsonl")
}

// keepSeal writes the manifest of the application as it is now: every file but data, with mode and hash.
func (f *Fixer) keepSeal(ctx context.Context, app App) error {
	l, err := f.m.layout(app)
	if err != nil {
		return err
	}
	lines, err := f.m.sealLines(ctx, l)
	if err != nil {
		return err
	}
	name := f.sealFile(app.Name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("write the seal's manifest: %w", err)
	}
	err = wholefile.ReplaceBy(name, 0o600, func(f *os.File) error {
		w := bufio.NewWriter(f)
		encoder := json.NewEncoder(w)
		for _, line := range lines {
			if err := encoder.Encode(line); err != nil {
				return err
			}
		}
		return w.Flush()
	})
	if err != nil {
		return fmt.Errorf("write the seal's manifest: %w", err)
	}
	return nil
}

// sealLines lists what is under the seal.
func (m *Machine) sealLines(ctx context.Context, l layout) ([]sealLine, error) {
	var lines []sealLine
	err := m.place.walk(ctx, l.Root, l.isData, func(name string, f *os.File, s state) error {
		line := sealLine{Path: name, Type: s.Type, Mode: s.Mode}
		switch s.Type {
		case isLink:
			line.SHA256 = hashOf([]byte(s.Target))
		case isFile:
			r, err := os.Open(self(f))
			if err != nil {
				return err
			}
			defer r.Close()
			hash := sha256.New()
			if _, err := io.Copy(hash, r); err != nil {
				return err
			}
			line.SHA256 = hex.EncodeToString(hash.Sum(nil))
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

func (f *Fixer) readSeal(app string) (map[string]sealLine, error) {
	in, err := os.OpenFile(f.sealFile(app), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("application %s was never sealed: doorward fix apply I-71", app)
	}
	if err != nil {
		return nil, fmt.Errorf("read the seal's manifest: %w", err)
	}
	defer in.Close()
	all := map[string]sealLine{}
	for lines := json.NewDecoder(bufio.NewReader(in)); ; {
		var line sealLine
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the seal's manifest: %w", err)
		}
		all[line.Path] = line
	}
}

// Sealing is the state of an application's seal: the entry that set it last, and whether there is one.
func (f *Fixer) sealing(app string) (Entry, bool, error) {
	all, err := f.j.entries()
	if err != nil {
		return Entry{}, false, err
	}
	for _, e := range slices.Backward(all) {
		if e.appName() == app && e.Seal != "" && e.Root == f.o.Root && e.Status == Kept {
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

// Unseal lifts the seal of an application for a time, for an update (I-73). It is put on again by itself when the time is
// over, also after a reboot where systemd runs.
func (f *Fixer) Unseal(ctx context.Context, app string, lasts time.Duration, reason string) (Entry, error) {
	if lasts <= 0 || reason == "" {
		return Entry{}, errors.New("a seal is lifted for a time and with a reason")
	}
	lock, err := f.j.lock(false)
	if err != nil {
		return Entry{}, err
	}
	defer lock.Close()
	if err := f.settled(); err != nil {
		return Entry{}, err
	}
	last, known, err := f.sealing(app)
	switch {
	case err != nil:
		return Entry{}, err
	case !known:
		return Entry{}, fmt.Errorf("application %s is not sealed: doorward fix apply I-71 seals it", app)
	case last.Seal == unsealed:
		return Entry{}, fmt.Errorf("the seal of %s is lifted already, until %s: %s", app, last.Deadline.Format(time.TimeOnly), last.Title)
	}
	l, err := f.m.layout(*last.App) // as it was sealed, whatever is declared now
	if err != nil {
		return Entry{}, err
	}
	c, err := f.m.planTree(ctx, l, "lift the seal of "+app, l.opened)
	if err != nil {
		return Entry{}, err
	}
	now := f.now()
	e, err := f.j.begin(Entry{ID: "unseal-" + shortName(app), Title: reason, Root: f.o.Root, Controls: []string{"I-73"}, Made: now, Status: Applying,
		App: last.App, Seal: unsealed, Deadline: now.Add(lasts)}, []change{c})
	if err != nil {
		return Entry{}, err
	}
	if err := f.watch(ctx, e); err != nil {
		return Entry{}, errors.Join(err, f.j.note(e, RolledBack, err.Error()))
	}
	if err := f.make(ctx, e, []change{c}); err != nil {
		return *e, f.rollBack(context.WithoutCancel(ctx), e, []change{c}, serving{}, err)
	}
	return *e, f.j.note(e, Kept, "")
}

// Reseal puts the seal on again before its time is over, and says what was changed meanwhile (I-74).
func (f *Fixer) Reseal(ctx context.Context, app string) (SealReport, error) {
	lock, err := f.j.lock(false)
	if err != nil {
		return SealReport{}, err
	}
	defer lock.Close()
	last, known, err := f.sealing(app)
	if err != nil {
		return SealReport{}, err
	}
	if !known || last.Seal != unsealed {
		return SealReport{}, fmt.Errorf("the seal of %s is not lifted", app)
	}
	return f.reseal(ctx, &last, "ended by hand")
}

// reseal is Reseal under the lock, of the entry that lifted the seal.
func (f *Fixer) reseal(ctx context.Context, lifted *Entry, why string) (SealReport, error) {
	if lifted.Status == Applying { // it was killed while it lifted the seal
		_, err := f.undo(ctx, lifted.ID, false, why)
		return SealReport{Entry: *lifted}, err
	}
	app := lifted.App.Name
	l, err := f.m.layout(*lifted.App)
	if err != nil {
		return SealReport{}, err
	}
	old, err := f.readSeal(app)
	if err != nil {
		return SealReport{}, err
	}
	c, err := f.m.planTree(ctx, l, "seal "+app+" again", l.sealed)
	if err != nil {
		return SealReport{}, err
	}
	e, err := f.j.begin(Entry{ID: "reseal-" + shortName(app), Title: "after: " + lifted.Title, Root: f.o.Root, Controls: []string{"I-74"},
		Made: f.now(), Status: Applying, App: lifted.App, Seal: sealed}, []change{c})
	if err != nil {
		return SealReport{}, err
	}
	if err := f.make(ctx, e, []change{c}); err != nil {
		return SealReport{Entry: *e}, f.rollBack(context.WithoutCancel(ctx), e, []change{c}, serving{}, err)
	}
	if err := f.keepSeal(ctx, *lifted.App); err != nil {
		return SealReport{Entry: *e}, err
	}
	now, err := f.readSeal(app)
	if err != nil {
		return SealReport{Entry: *e}, err
	}
	report := compareSeals(old, now)
	lifted.Deadline = time.Time{}
	err = errors.Join(f.j.note(e, Kept, report.summary()), f.j.note(lifted, Kept, "sealed again by "+e.ID+": "+why), writeWhole(filepath.Join(e.folder, "report.json"), report))
	f.dropWatch(ctx, lifted)
	report.Entry = *e
	return report, err
}

func compareSeals(old, now map[string]sealLine) SealReport {
	r := SealReport{Files: len(now), Added: []string{}, Removed: []string{}, Changed: []string{}}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		before, known := old[name]
		switch {
		case !known:
			r.Added = append(r.Added, name)
		case before != now[name]:
			r.Changed = append(r.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, left := now[name]; !left {
			r.Removed = append(r.Removed, name)
		}
	}
	return r
}

func (r SealReport) summary() string {
	return fmt.Sprintf("%d added, %d removed, %d changed", len(r.Added), len(r.Removed), len(r.Changed))
}

// shortName is a name that leaves room in the name of an entry.
func shortName(app string) string {
	s := safeName(app)
	return s[:min(30, len(s))]
}
