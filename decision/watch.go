package decision

import (
	"context"
	"time"
)

// Change is what a watcher is told. Evidence is not among it. The decisions are the list's own and must not be changed: there may be a hundred
// thousand, and each watcher would have a copy.
type Change struct {
	// Reset says that Added is everything that stands: what was told before is to be forgotten. The first change is one, and so is the next
	// one for a watcher that fell too far behind.
	Reset   bool
	Added   []*Decision // new, or changed in their end
	Removed []*Decision // lifted, displaced or run out
}

// maxPending is how many decisions wait for a slow watcher; with more it is told everything again.
const maxPending = 20_000

type watcher struct {
	due     chan struct{}
	reset   bool
	added   map[place]*Decision
	removed map[place]*Decision
}

// Watch tells the caller of every change from now on, beginning with all that stands, until ctx ends; then the channel is closed. It never
// holds anybody up: changes that wait for a slow reader are merged, and beyond 20,000 replaced by everything that stands.
func (l *List) Watch(ctx context.Context) <-chan Change {
	w := &watcher{due: make(chan struct{}, 1), reset: true}
	w.due <- struct{}{}
	l.mu.Lock()
	l.watchers[w] = struct{}{}
	l.mu.Unlock()
	out := make(chan Change)
	go func() {
		defer close(out)
		defer func() {
			l.mu.Lock()
			delete(l.watchers, w)
			l.mu.Unlock()
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.due:
			}
			c := l.take(w)
			if !c.Reset && len(c.Added)+len(c.Removed) == 0 {
				continue // the one before had it already
			}
			select {
			case <-ctx.Done():
				return
			case out <- c:
			}
		}
	}()
	return out
}

// tell notes a change for every watcher; the caller holds l.mu.
func (l *List) tell(added, removed []*Decision) {
	for w := range l.watchers {
		if !w.reset {
			w.note(added, removed)
			if len(w.added)+len(w.removed) > maxPending {
				w.reset, w.added, w.removed = true, nil, nil
				l.counted.resynced.Add(1)
			}
		}
		select {
		case w.due <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) note(added, removed []*Decision) {
	if w.added == nil {
		w.added, w.removed = make(map[place]*Decision), make(map[place]*Decision)
	}
	for _, d := range removed {
		p := place{d.Target, d.Action}
		delete(w.added, p)
		w.removed[p] = d
	}
	for _, d := range added {
		p := place{d.Target, d.Action}
		delete(w.removed, p)
		w.added[p] = d
	}
}

// take is what waits for the watcher.
func (l *List) take(w *watcher) Change {
	l.mu.Lock()
	reset, s := w.reset, l.snapshot.Load()
	c := Change{Reset: reset}
	for _, d := range w.added {
		c.Added = append(c.Added, d)
	}
	for _, d := range w.removed {
		c.Removed = append(c.Removed, d)
	}
	w.reset, w.added, w.removed = false, nil, nil
	all := len(l.book.places)
	l.mu.Unlock()
	if !reset {
		return c
	}
	c.Added = make([]*Decision, 0, all)
	now := time.Now()
	for held := range s.slots() {
		for _, d := range held {
			if d != nil && d.Active(now) {
				c.Added = append(c.Added, d)
			}
		}
	}
	return c
}
