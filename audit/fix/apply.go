package fix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/audit"
)

// ApplyOptions say how a plan is applied.
type ApplyOptions struct {
	// ConfirmWithin is how long what can lock people out holds unless it is confirmed.
	ConfirmWithin time.Duration
}

// Outcome is what became of one group.
type Outcome struct {
	Entry Entry
	// Err is why the group is not in force; nil when it is.
	Err   error
	Notes []string
}

// Apply carries out a plan, group by group. What goes wrong in a group takes that group back and leaves the others. The
// error is that nothing was begun.
func (f *Fixer) Apply(ctx context.Context, plan Plan, o ApplyOptions) ([]Outcome, error) {
	lock, err := f.j.lock(false)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := f.settled(); err != nil {
		return nil, err
	}
	outcomes := []Outcome{}
	var open []string // controls of which a part did not come into force
	for _, g := range plan.Groups {
		if ctx.Err() != nil {
			return outcomes, ctx.Err()
		}
		g.partial = append(slices.Clone(g.partial), open...)
		out := f.applyGroup(ctx, g, o)
		if out.Err != nil {
			open = append(open, g.Controls...)
		}
		outcomes = append(outcomes, out)
	}
	return outcomes, nil
}

// settled refuses to go on while an earlier apply or undo was killed on the way.
func (f *Fixer) settled() error {
	all, err := f.j.entries()
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Root == f.o.Root && (e.Status == Applying || e.Status == Undoing || e.Status == Broken) {
			return fmt.Errorf("%s ended on the way (%s): run doorward fix undo %s first", e.ID, e.Status, e.ID)
		}
	}
	return nil
}

func (f *Fixer) applyGroup(ctx context.Context, g Group, o ApplyOptions) (out Outcome) {
	out.Notes = slices.Clone(g.Notes)
	e := Entry{ID: safeName(g.Name), Title: strings.Join(g.Titles, "; "), Root: f.o.Root, Controls: g.Controls, Made: f.now(), Status: Applying, App: g.app, Seal: g.seal}
	out.Entry = e
	seen, err := f.before(ctx, g)
	if err != nil {
		out.Err = err
		return out
	}
	if g.service != nil {
		e.Service, e.Ran, e.Restart = g.service.Name, seen.running, g.restart
	}
	waits := g.Confirmed() && (seen.running || f.m.systemd()) // which may start it when somebody connects
	if waits {
		if e.Deadline = f.now().Add(o.ConfirmWithin); o.ConfirmWithin <= 0 {
			out.Err = errors.New("the time to confirm has to be longer than 0")
			return out
		}
	}
	entry, err := f.j.begin(e, g.changes)
	if err != nil {
		out.Err = err
		return out
	}
	out.Entry = *entry
	if waits { // before anything is changed: what comes after may be killed
		if err := f.watch(ctx, entry); err != nil {
			out.Err = errors.Join(fmt.Errorf("nothing was changed: %w", err), f.j.note(entry, RolledBack, err.Error()))
			out.Entry = *entry
			return out
		}
	}
	if err := f.carryOut(ctx, g, entry, seen, &out); err != nil {
		out.Err = f.rollBack(context.WithoutCancel(ctx), entry, g.changes, seen, err)
		out.Entry = *entry
		return out
	}
	status := Kept
	if waits {
		status = Unconfirmed
		entry.Boot, entry.BootTime = bootID(), sinceBoot()
	}
	if err := f.j.note(entry, status, ""); err != nil {
		out.Err = f.rollBack(context.WithoutCancel(ctx), entry, g.changes, seen, err)
	}
	out.Entry = *entry
	return out
}

// before looks at the service, and refuses when its configuration cannot be used as it is: the check afterwards would say
// nothing about the change.
func (f *Fixer) before(ctx context.Context, g Group) (serving, error) {
	if g.service == nil {
		return serving{}, nil
	}
	seen := f.m.serving(g.service)
	seen.restart = g.restart
	if !f.m.execs {
		seen.note = "the root is a folder: nothing of it is run, so its configuration is not checked (--exec-in-root)"
		return seen, nil
	}
	if err := f.m.check(ctx, seen); err != nil {
		return seen, fmt.Errorf("nothing was changed, because %s cannot use its configuration as it is: %w", g.service.Name, err)
	}
	return seen, nil
}

// carryOut makes the changes and looks at what they did.
func (f *Fixer) carryOut(ctx context.Context, g Group, e *Entry, seen serving, out *Outcome) error {
	if err := f.make(ctx, e, g.changes); err != nil {
		return err
	}
	if g.service != nil {
		if seen.note != "" {
			out.Notes = append(out.Notes, seen.note)
		}
		if f.m.execs {
			if err := f.m.check(ctx, seen); err != nil {
				return fmt.Errorf("check: %w", err)
			}
			if err := f.m.sshdSays(ctx, g.sshd); err != nil {
				return fmt.Errorf("check: %w", err)
			}
			if g.service.Probe == "postgresql" && seen.running {
				if err := f.hbaErrors(ctx); err != nil {
					return fmt.Errorf("check: %w", err)
				}
			}
		}
		if err := f.m.reload(ctx, seen); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		if err := f.says(ctx, g.says, seen); err != nil {
			return fmt.Errorf("ask %s: %w", g.service.Name, err)
		}
	}
	if g.seal == sealed {
		if err := f.keepSeal(ctx, *g.app); err != nil {
			return err
		}
	}
	return f.evaluate(ctx, g, out)
}

// make makes the changes of an entry, each of which is noted first.
func (f *Fixer) make(ctx context.Context, e *Entry, changes []change) error {
	for i, c := range changes {
		if err := e.begun(); err != nil {
			return err
		}
		f.m.observe(c.what())
		err := c.do(ctx, f.m, e)
		var none errRefused
		if errors.As(err, &none) {
			return errors.Join(err, e.refused(i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// evaluate asks the controls again. One that fails takes the group back, unless the repair is known to be only a part of it.
func (f *Fixer) evaluate(ctx context.Context, g Group, out *Outcome) error {
	after := f.judge(ctx, g.judged)
	for _, id := range g.judged {
		now, known := after[id]
		was := g.findings[id].Status
		switch {
		case !known:
			out.Notes = append(out.Notes, id+" was not evaluated: no control of that name is in the catalogue")
		case now.Status == audit.Fail && !slices.Contains(g.partial, id):
			return fmt.Errorf("%s still fails: %s", id, reasonOf(now))
		case was == audit.Pass && now.Status != audit.Pass:
			return fmt.Errorf("%s passed before and is now %s: %s", id, now.Status, reasonOf(now))
		default:
			out.Notes = append(out.Notes, strings.TrimSuffix(fmt.Sprintf("%s: %s; %s", id, now.Status, now.Reason), "; "))
		}
	}
	return nil
}

func reasonOf(f audit.Finding) string {
	var parts []string
	if f.Reason != "" {
		parts = append(parts, f.Reason)
	}
	for _, e := range f.Evidence {
		if e.Offends && len(parts) < 4 {
			parts = append(parts, e.String())
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "expected: "+f.Expected)
	}
	return strings.Join(parts, "; ")
}

// rollBack takes the changes of a group back and says how that went; cause is why.
func (f *Fixer) rollBack(ctx context.Context, e *Entry, changes []change, seen serving, cause error) error {
	f.m.observe("roll back")
	err := f.takeBack(ctx, e, changes, undoing{halfway: true})
	if err == nil && seen.service != nil && f.m.execs {
		err = errors.Join(f.m.check(ctx, seen), f.m.reload(ctx, seen))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w; and taking it back went wrong", cause), err, f.j.note(e, Broken, cause.Error()+"; "+err.Error()))
	}
	f.dropWatch(ctx, e)
	if err := f.j.note(e, RolledBack, cause.Error()); err != nil {
		return errors.Join(cause, err)
	}
	return fmt.Errorf("%w; everything of it was taken back", cause)
}

// takeBack undoes the changes that were begun, the last first.
func (f *Fixer) takeBack(ctx context.Context, e *Entry, changes []change, o undoing) error {
	n, err := e.progress(len(changes))
	if err != nil {
		return err
	}
	changes = changes[:n]
	for _, c := range slices.Backward(changes) {
		f.m.observe("take back: " + c.what())
		if err := c.undo(ctx, f.m, e, o); err != nil {
			return err
		}
	}
	return nil
}

func safeName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return s[:min(len(s), 40)]
}
