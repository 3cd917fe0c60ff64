package firewall

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// How often the table is looked at: whether it is there as it was made, and whether each set has the elements that it should.
const (
	lookEvery  = 10 * time.Second
	countEvery = time.Minute
	settle     = 50 * time.Millisecond // after a change of somebody else's, more of which may follow
)

// prune forgets the bans that are over; the kernel forgot them by itself.
func (e *Enforcer) prune(now time.Time) {
	for p, until := range e.wanted {
		if (Element{p, until}).expired(now) {
			delete(e.wanted, p)
		}
	}
}

// Reload asks for the allow list and puts it in force: networks that it protects now are banned no more.
func (e *Enforcer) Reload() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.protect(); err != nil {
		return e.broken(err)
	}
	return nil
}

// protect puts another allow list in force, if there is one; e.mu is held.
func (e *Enforcer) protect() error {
	allow := e.allowed()
	if slices.Equal(allow, e.allow) {
		return nil
	}
	g, err := newGuard(allow)
	if err != nil {
		return err
	}
	e.allow = allow
	if g.equal(e.guard) {
		return nil
	}
	e.take(g)
	found, err := e.kernel.look(false)
	if err != nil {
		return err
	}
	return e.make(found.Counts)
}

// take changes who is protected, in the list only; e.mu is held.
func (e *Enforcer) take(g guard) {
	e.guard = g
	e.status.Guards++
	for p := range e.wanted {
		if g.refuses(p) != "" {
			delete(e.wanted, p)
		}
	}
}

// Run looks after the table until ctx ends: when somebody flushes or changes it, it is made again. The table stays when Run ends.
func (e *Enforcer) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	watching := make(chan error, 1)
	go func() { watching <- e.watch.run(ctx, changed) }()
	look, count := time.NewTicker(lookEvery), time.NewTicker(countEvery)
	defer look.Stop()
	defer count.Stop()
	for {
		elements := true
		select {
		case <-ctx.Done():
			return nil
		case err := <-watching:
			if err != nil {
				return err
			}
			return nil
		case <-changed:
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				return nil
			}
		case <-count.C:
		case <-look.C:
			elements = false
		}
		e.check(elements)
	}
}

// check looks at the table, with its elements or without, and makes it again where it is not as it should be. Reading a long list takes
// most of a second, and meanwhile bans go on; when there was one, its elements are counted the next time.
func (e *Enforcer) check(elements bool) {
	e.mu.Lock()
	err := e.protect()
	allow := e.allow
	e.prune(time.Now())
	changes := e.changes
	e.mu.Unlock()
	var g guard
	if err == nil {
		g, err = newGuard(allow) // addresses and gateways may be others by now
	}
	var found Look
	if err == nil {
		found, err = e.viewer.look(elements)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		_ = e.broken(err) // it is in the log and in the status
		return
	}
	moved := !g.equal(e.guard) && slices.Equal(allow, e.allow)
	if moved {
		e.take(g)
	}
	wrong, same := "", changes == e.changes
	switch {
	case !found.Present:
		wrong = "the table was gone"
	case same && found.shape != e.shape:
		wrong = "its rules were changed"
	case same && elements && e.compare(found) != nil:
		if _, err := e.countBack(); err != nil {
			wrong = err.Error()
		}
	}
	if wrong == "" && !moved {
		if same {
			e.status.Error = ""
		}
		return
	}
	if err := e.make(found.Counts); err != nil {
		_ = e.broken(err)
		return
	}
	e.status.Error = ""
	if wrong != "" {
		e.status.Rebuilt++
		e.log.Warn("firewall table made again", slog.String("because", wrong), slog.Int("elements", len(e.wanted)))
	}
}
