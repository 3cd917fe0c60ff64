package fix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Undo takes one entry back: bytes, modes, owners, ACLs and flags as they were. It needs nothing but the journal's files, so
// it works after a reboot. What somebody changed since is a *Conflict, and nothing is taken back, unless force. An apply or
// undo that was killed on the way is completed. It returns what else there is to say.
func (f *Fixer) Undo(ctx context.Context, id string, force bool) ([]string, error) {
	lock, err := f.j.lock(false)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	return f.undo(ctx, id, force, "")
}

// UndoAll takes back every entry of this root that is still in force, the newest first. done is told each; it may be nil.
func (f *Fixer) UndoAll(ctx context.Context, force bool, done func(Entry, []string)) error {
	lock, err := f.j.lock(false)
	if err != nil {
		return err
	}
	defer lock.Close()
	all, err := f.j.entries()
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(all) {
		if !e.Open() || e.Root != f.o.Root {
			continue
		}
		notes, err := f.undo(ctx, e.ID, force, "")
		if err != nil {
			return fmt.Errorf("undo %s: %w", e.ID, err)
		}
		if done != nil {
			done(e, notes)
		}
	}
	return nil
}

// undo is Undo under the lock; reason is kept in the entry.
func (f *Fixer) undo(ctx context.Context, id string, force bool, reason string) ([]string, error) {
	e, changes, err := f.j.load(id)
	if err != nil {
		return nil, err
	}
	if !e.Open() {
		return nil, fmt.Errorf("%s is %s already", e.ID, e.Status)
	}
	if e.Root != f.o.Root {
		return nil, fmt.Errorf("%s was made with --root %s", e.ID, e.Root)
	}
	o := undoing{force: force, halfway: e.Status == Applying || e.Status == Undoing || e.Status == Broken}
	if !o.force && !o.halfway {
		if err := f.unchanged(ctx, e, changes); err != nil {
			return nil, err
		}
	}
	var seen serving
	if s := f.recipes.service(e.Service); s != nil {
		seen = f.m.serving(s)
		seen.restart = e.Restart
		if f.m.live && e.Ran && !seen.running && seen.program != "" { // it ended since, perhaps because of the fix
			seen.running, seen.note = true, ""
		}
	}
	if err := f.j.note(e, Undoing, reason); err != nil {
		return nil, err
	}
	if err := f.takeBack(context.WithoutCancel(ctx), e, changes, o); err != nil {
		return nil, err
	}
	var notes []string
	if seen.service != nil && f.m.execs {
		if err := errors.Join(f.m.check(ctx, seen), f.m.reload(ctx, seen)); err != nil {
			notes = append(notes, fmt.Sprintf("everything is as it was before, but %s: %v", seen.service.Name, err))
		}
	}
	if seen.note != "" {
		notes = append(notes, seen.note)
	}
	f.dropWatch(ctx, e)
	return notes, f.j.note(e, Undone, reason)
}

// unchanged looks at everything before anything is taken back, so that a conflict leaves the fix whole.
func (f *Fixer) unchanged(ctx context.Context, e *Entry, changes []change) error {
	var lines []string
	var whats []string
	for _, c := range changes {
		look, ok := c.(interface {
			conflict(ctx context.Context, m *Machine, e *Entry) error
		})
		if !ok {
			continue
		}
		err := look.conflict(ctx, f.m, e)
		var conflict *Conflict
		if errors.As(err, &conflict) {
			whats, lines = append(whats, conflict.What), append(lines, conflict.Diff)
		} else if err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		return nil
	}
	c := &Conflict{strings.Join(whats, ", "), strings.Join(lines, "")}
	if later := f.later(e); later != "" {
		return fmt.Errorf("%w; %s came later: undo that first", c, later)
	}
	return c
}

// later is the newest entry in force that came after e.
func (f *Fixer) later(e *Entry) string {
	all, err := f.j.entries()
	if err != nil {
		return ""
	}
	for _, other := range slices.Backward(all) {
		if other.ID > e.ID && other.Open() && other.Root == e.Root {
			return other.ID
		}
	}
	return ""
}
