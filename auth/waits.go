package auth

import (
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// maxAddresses is how many addresses with failures are remembered. A new one then displaces the one whose
	// last failure is longest ago. That is no way around the wait: at the rate at which two hashes at once can
	// fail, a table this large takes many minutes to turn over, and a wait lasts seconds.
	maxAddresses = 32768
	// forgetAfter drops failures that no other failure has followed for this long.
	forgetAfter = 24 * time.Hour
	// nobody stands for an account that does not exist, and so can never sign in and clear its failures.
	nobody = "-"
)

// waits counts wrong sign-ins in a row by address and tells who has to wait (M-40, M-41). It lives in
// memory; what changed is copied to the store, from which a new process begins.
type waits struct {
	mu      sync.Mutex
	max     int
	entries map[netip.Prefix]*list.Element // of *failing
	order   *list.List                     // the one changed last in front
	changed map[netip.Prefix]bool          // to be copied to the store
	evicted uint64
}

// failing is an address with failures.
type failing struct {
	key      netip.Prefix
	accounts []string  // the account of each failure since the last wait
	until    time.Time // the end of the wait; zero if there was none
	updated  time.Time
}

func newWaits(size int) *waits {
	return &waits{max: size, entries: make(map[netip.Prefix]*list.Element), order: list.New(),
		changed: make(map[netip.Prefix]bool)}
}

// addressKey is what failures are counted by: the address, of IPv6 its /64, because that is what one
// customer gets and can use freely.
func addressKey(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such share one key
	}
	return p
}

// remaining returns how long the address still has to wait; 0 if it need not.
func (w *waits) remaining(key netip.Prefix, now time.Time, wait time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.entries[key]
	if !ok {
		return 0
	}
	f := e.Value.(*failing)
	left := f.until.Sub(now)
	if f.until.IsZero() || left <= 0 {
		return 0
	}
	if left > wait {
		// The clock was set back, or the wait made shorter: nobody waits longer than a whole one.
		f.until, left = now.Add(wait), wait
		w.changed[key] = true
	}
	return left
}

// failed counts a wrong sign-in for the account and reports whether the address has to wait now.
func (w *waits) failed(key netip.Prefix, account string, now time.Time, cfg SignInConfig) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.entries[key]
	if !ok {
		if len(w.entries) >= w.max {
			w.evict()
		}
		e = w.order.PushFront(&failing{key: key})
		w.entries[key] = e
	}
	w.order.MoveToFront(e)
	w.changed[key] = true
	return e.Value.(*failing).count(account, now, cfg)
}

// count notes a failure and reports whether the address has to wait now.
func (f *failing) count(account string, now time.Time, cfg SignInConfig) bool {
	f.updated = now
	f.accounts = append(f.accounts, account)
	if len(f.accounts) < cfg.Failures {
		return false
	}
	f.accounts = nil // the count begins again after the wait
	f.until = now.Add(cfg.Wait)
	return true
}

// put takes what the store has of an address, which other processes write too.
func (w *waits) put(f *failing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.changed, f.key)
	if e, ok := w.entries[f.key]; ok {
		e.Value = f
		w.order.MoveToFront(e)
		return
	}
	if len(w.entries) >= w.max {
		w.evict()
	}
	w.entries[f.key] = w.order.PushFront(f)
}

// evict forgets the address whose last failure is longest ago; failures are in that order, so if even that
// one still waits, so do all, and its wait is the nearest to its end.
func (w *waits) evict() {
	last := w.order.Back()
	w.forget(last)
	w.evicted++
}

func (w *waits) forget(e *list.Element) {
	f := w.order.Remove(e).(*failing)
	delete(w.entries, f.key)
	w.changed[f.key] = true
}

// succeeded takes away the failures made for this account from this address, and no others: whoever
// knows one account could otherwise sign in to it after every second guess at another.
func (w *waits) succeeded(key netip.Prefix, account string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.entries[key]
	if !ok {
		return
	}
	f := e.Value.(*failing)
	before := len(f.accounts)
	f.accounts = slices.DeleteFunc(f.accounts, func(a string) bool { return a == account })
	if len(f.accounts) != before {
		w.changed[key] = true
	}
	if len(f.accounts) == 0 && f.until.IsZero() {
		w.forget(e)
	}
}

// sweep forgets waits that are over and failures that nothing followed for a day.
func (w *waits) sweep(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.entries {
		f := e.Value.(*failing)
		over := !f.until.After(now)
		if over && (len(f.accounts) == 0 || now.Sub(f.updated) > forgetAfter) {
			w.forget(e)
		}
	}
	if len(w.changed) > 2*w.max {
		// The store has been away for long. What it still has of forgotten addresses is too old to count
		// when it is read again.
		for key := range w.changed {
			if w.entries[key] == nil {
				delete(w.changed, key)
			}
		}
	}
}

// takeChanges returns copies of what changed since the last call; a key without an entry was forgotten.
func (w *waits) takeChanges() map[netip.Prefix]*failing {
	w.mu.Lock()
	defer w.mu.Unlock()
	changes := make(map[netip.Prefix]*failing, len(w.changed))
	for key := range w.changed {
		changes[key] = nil
		if e, ok := w.entries[key]; ok {
			f := *e.Value.(*failing)
			f.accounts = slices.Clone(f.accounts)
			changes[key] = &f
		}
	}
	clear(w.changed)
	return changes
}

// putBack marks the changes again, after they could not be stored.
func (w *waits) putBack(changes map[netip.Prefix]*failing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range changes {
		w.changed[key] = true
	}
}

// restore takes an address as the store had it; the ones changed last must come last.
func (w *waits) restore(f *failing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.entries[f.key] == nil && len(w.entries) < w.max {
		w.entries[f.key] = w.order.PushFront(f)
	}
}

// size returns how many addresses are remembered and how many were displaced.
func (w *waits) size() (tracked int, evicted uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries), w.evicted
}
