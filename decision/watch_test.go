package decision_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/racetest"
	"github.com/doorward/doorward/store/storetest"
)

// next is the next change, merged as long as more is on its way.
func next(t *testing.T, ch <-chan decision.Change) decision.Change {
	t.Helper()
	select {
	case c, ok := <-ch:
		if !ok {
			t.Fatal("the channel is closed")
		}
		return c
	case <-time.After(time.Minute):
		t.Fatal("no change came")
	}
	return decision.Change{}
}

func TestWatch(t *testing.T) {
	l, _ := open(t, storetest.SQLite(t), trial)
	now := time.Now()
	at := func(text, key string) decision.Proposal {
		p := proposal(t, text, key)
		p.At = now
		return p
	}
	decide(t, l, at("203.0.113.7", "a"), now, decision.Made)
	ctx, cancel := context.WithCancel(t.Context())
	changes := l.Watch(ctx)
	if c := next(t, changes); !c.Reset || len(c.Added) != 1 || c.Added[0].Target.Short() != "203.0.113.7" {
		t.Fatalf("got %+v, want all that stands first", c)
	}
	decide(t, l, at("203.0.113.8", "b"), now, decision.Made)
	if c := next(t, changes); c.Reset || len(c.Added) != 1 || c.Added[0].Target.Short() != "203.0.113.8" || len(c.Removed) != 0 {
		t.Fatalf("got %+v, want the new one", c)
	}
	if _, err := l.Delete(t.Context(), anna, "203.0.113.7", "", now); err != nil {
		t.Fatal(err)
	}
	if c := next(t, changes); c.Reset || len(c.Removed) != 1 || c.Removed[0].Target.Short() != "203.0.113.7" {
		t.Fatalf("got %+v, want the lifted one", c)
	}
	if err := l.Follow(t.Context(), now.Add(time.Hour)); err != nil { // the end of the other
		t.Fatal(err)
	}
	if c := next(t, changes); len(c.Removed) != 1 || c.Removed[0].Target.Short() != "203.0.113.8" {
		t.Fatalf("got %+v, want the one that ran out", c)
	}
	if s := l.Stats(); s.Expired != 1 || s.Lifted != 1 {
		t.Errorf("counted %+v", s)
	}
	cancel()
	for range changes {
	}
}

// TestWatchFallsBehind: a reader that does not read costs a bounded memory, holds nobody up and is told everything again.
func TestWatchFallsBehind(t *testing.T) {
	if racetest.On {
		t.Log("the rows take the race detector minutes, and TestTogether is for it: not judged")
		return
	}
	l, _ := open(t, storetest.SQLite(t), trial)
	changes := l.Watch(t.Context())
	next(t, changes)
	const total, batch = 30_000, 1000
	for first := 0; first < total; first += batch {
		var ps []decision.Proposal
		for n := first; n < first+batch; n++ {
			ps = append(ps, decision.Proposal{Action: decision.Ban, Target: decision.ForAddress(numbered(n), decision.OneAddress), Origin: "import:x", Key: fmt.Sprint(n)})
		}
		if _, err := l.DecideAll(t.Context(), ps, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.Stats().Resynced; got != 1 {
		t.Errorf("counted %d, want the watcher to have fallen behind once", got)
	}
	seen := make(map[string]bool)
	for len(seen) < total {
		c := next(t, changes)
		if c.Reset {
			clear(seen)
		}
		for _, d := range c.Added {
			seen[d.Target.String()] = true
		}
	}
}

// TestTogether has everything happen at once; the race detector looks on.
func TestTogether(t *testing.T) {
	l, _ := open(t, storetest.SQLite(t), trial)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _ = l.Run(ctx) })
	all.Go(func() {
		for range l.Watch(ctx) {
		}
	})
	for w := range 4 {
		all.Go(func() {
			for n := range 25 {
				p := proposal(t, fmt.Sprintf("203.0.%d.%d", w, n), fmt.Sprint(w, n))
				p.At = time.Time{}
				if _, _, err := l.Decide(ctx, p, time.Now()); err != nil {
					t.Error(err)
				}
				if _, ok := l.Lookup(p.Target.Prefix.Addr(), time.Now()); !ok {
					t.Errorf("%s is answered and not found", p.Target)
				}
				if n%5 == 0 {
					if _, err := l.Delete(ctx, anna, p.Target.String(), "", time.Now()); err != nil {
						t.Error(err)
					}
				}
			}
			if w == 0 {
				l.Prepare(trial)()
			}
		})
	}
	all.Go(func() {
		for l.Stats().Made < 100 && ctx.Err() == nil {
			l.Standing(time.Now(), func(decision.Decision) bool { return true })
			time.Sleep(time.Millisecond)
		}
		stop()
	})
	all.Wait()
	if got := l.Stats().Addresses; got != 80 {
		t.Errorf("got %d addresses, want 80", got)
	}
}
