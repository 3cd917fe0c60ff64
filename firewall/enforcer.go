package firewall

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Enforcer keeps the kernel's table equal to a list of bans. Make one with NewEnforcer, then Run it. Its methods may be called by
// several goroutines.
type Enforcer struct {
	allowed func() []netip.Prefix // asked under mu only
	log     *slog.Logger
	own     *ours
	watch   *watcher

	viewer *kernelTable // of the goroutine that looks after the table

	mu      sync.Mutex
	changes int // counts the changes of the table and of wanted
	kernel  *kernelTable
	allow   []netip.Prefix // of which guard was made
	guard   guard
	wanted  map[netip.Prefix]time.Time
	lengths []length // the sets that the table has
	shape   string   // the table's chains and rules as they were made
	status  Status
}

// Status is how the enforcer fares.
type Status struct {
	Elements int       `json:"elements"` // bans that should be in force
	Since    time.Time `json:"since"`    // when this process began
	Synced   time.Time `json:"synced"`   // when a whole list was last taken over; zero: never, the bans are what was found in the kernel
	Rebuilt  int       `json:"rebuilt"`  // how often the table was gone or changed by others, and was made again
	Refused  int       `json:"refused"`  // elements that were not enforced because they are protected
	Closed   int       `json:"closed"`   // connections that were closed
	// CannotClose says that this kernel cannot close a connection; its packets are dropped all the same.
	CannotClose bool `json:"cannot_close,omitempty"`
	// Guards is how often it changed who is protected. A client that sees another number sends its whole list again: what was refused before
	// may be enforced now.
	Guards int `json:"guards"`
	// Error is why the kernel's table may not be as it should; empty when it is.
	Error string `json:"error,omitempty"`
}

// NewEnforcer makes the table with the bans that are in the kernel already: they outlive the process. allowed returns the configuration's
// allow list, which is never banned whoever asks for it; it is asked before each change, by one goroutine at a time, so that a change of the
// configuration counts at once.
func NewEnforcer(allowed func() []netip.Prefix, log *slog.Logger) (*Enforcer, error) {
	allow := allowed()
	e := &Enforcer{allowed: allowed, allow: allow, log: log, own: &ours{}, wanted: map[netip.Prefix]time.Time{}}
	e.status.Since = time.Now()
	var err error
	if e.kernel, err = newKernelTable(e.own.add); err != nil {
		return nil, err
	}
	if e.watch, err = newWatcher(e.own); err != nil {
		return nil, err
	}
	if e.viewer, err = newKernelTable(nil); err != nil {
		return nil, err
	}
	if e.guard, err = newGuard(allow); err != nil {
		return nil, err
	}
	found, err := e.kernel.look(true)
	if err != nil {
		return nil, err
	}
	for _, one := range found.Elements {
		if e.guard.refuses(one.Prefix) == "" {
			e.wanted[one.Prefix] = one.Until
		}
	}
	if err := e.make(found.Counts); err != nil {
		return nil, err
	}
	log.Info("firewall table made", slog.Int("elements", len(e.wanted)))
	return e, nil
}

// make builds the table anew and notes what it looks like.
func (e *Enforcer) make(counts map[string]Count) error {
	e.changes++
	now := time.Now()
	if err := e.watch.during(func() error { return e.kernel.build(e.guard, e.wanted, counts, now) }); err != nil {
		return err
	}
	made, err := e.confirm()
	if err != nil {
		return err
	}
	e.shape, e.lengths = made.shape, made.lengths
	return nil
}

// confirm counts back after our own change: by the kernel's numbers where they are as they should be, and otherwise element by element.
func (e *Enforcer) confirm() (Look, error) {
	if e.counted() {
		return e.kernel.look(false)
	}
	return e.countBack()
}

// countBack reads the table and compares it. While the kernel makes a set's hash table larger, a reader may see elements twice and
// others not at all, so that it is asked again before it is believed to lack any.
func (e *Enforcer) countBack() (Look, error) {
	const tries, pause = 6, 30 * time.Millisecond
	for try := 1; ; try++ {
		found, err := e.kernel.look(true)
		if err == nil {
			err = e.compare(found)
		}
		if err == nil || try == tries {
			return found, err
		}
		time.Sleep(time.Duration(try) * pause)
	}
}

// counted says whether each set has as many elements as it should, by the kernel's own count. What a transaction lost is noticed by it, and
// the elements themselves are compared once a minute. False is also that the kernel does not tell, or counts what is just running out.
func (e *Enforcer) counted() bool {
	sets, err := countSets()
	if err != nil {
		return false
	}
	want := make(map[length]int, len(e.lengths))
	for p := range e.wanted {
		want[lengthOf(p)]++
	}
	for _, s := range sets {
		l, ours := lengthNamed(s.name)
		if !ours {
			continue
		}
		if !s.known || s.count != want[l] {
			return false
		}
		delete(want, l)
	}
	return len(want) == 0
}

// compare holds the list against the kernel: every ban has to be there, and nothing else. What ends within a few seconds may be gone.
func (e *Enforcer) compare(found Look) error {
	soon := time.Now().Add(5 * time.Second)
	there := make(map[netip.Prefix]bool, len(found.Elements))
	extra := 0
	for _, one := range found.Elements {
		there[one.Prefix] = true
		if _, ok := e.wanted[one.Prefix]; !ok && !one.expired(soon) {
			extra++
		}
	}
	missing := 0
	for p, until := range e.wanted {
		if !there[p] && !(Element{p, until}).expired(soon) {
			missing++
		}
	}
	if missing+extra > 0 {
		return fmt.Errorf("the kernel lacks %d bans of %d, and has %d others", missing, len(e.wanted), extra)
	}
	return nil
}

// judge brings elements into normal form and leaves out those that are not enforced.
func (e *Enforcer) judge(list []Element, now time.Time) (good []Element, refused []Refusal) {
	good = make([]Element, 0, len(list))
	for _, one := range list {
		p, err := normal(one.Prefix)
		if err != nil {
			refused = append(refused, Refusal{one.Prefix, err.Error()})
			continue
		}
		if why := e.guard.refuses(p); why != "" {
			refused = append(refused, Refusal{p, why})
			continue
		}
		if one.Prefix = p; !one.expired(now) {
			good = append(good, one)
		}
	}
	e.status.Refused += len(refused)
	return good, refused
}

// ErrTooMany says that a list has more than MaxElements bans.
var ErrTooMany = fmt.Errorf("more than %d bans", MaxElements)

// Replace puts a whole list into force instead of what is, in one transaction, and counts back. It returns the elements that are
// not enforced.
func (e *Enforcer) Replace(list []Element) ([]Refusal, error) {
	if len(list) > MaxElements {
		return nil, ErrTooMany
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.protect(); err != nil {
		return nil, e.broken(err)
	}
	now := time.Now()
	good, refused := e.judge(list, now)
	before := e.wanted
	e.changes++
	e.wanted = make(map[netip.Prefix]time.Time, len(good))
	for _, one := range good {
		if old, twice := e.wanted[one.Prefix]; !twice || longer(one.Until, old) {
			e.wanted[one.Prefix] = one.Until
		}
	}
	if err := e.swap(now); err != nil {
		e.wanted = before
		return nil, e.broken(err)
	}
	e.status.Synced, e.status.Error = now, ""
	e.cut(func(a netip.Addr) bool { return e.bans(a) })
	return refused, nil
}

// longer says whether a ban until a ends after one until b.
func longer(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// swap is Replace's change of the kernel. Where the table is not as it was made, or lacks a set, it is built anew.
func (e *Enforcer) swap(now time.Time) error {
	fits := true
	for _, l := range lengthsOf(e.wanted) {
		fits = fits && slices.Contains(e.lengths, l)
	}
	swap := func() error { return e.kernel.swap(e.guard, e.lengths, e.wanted, now) }
	if fits && e.watch.during(swap) == nil {
		if found, err := e.confirm(); err == nil && found.shape == e.shape {
			return nil
		}
	}
	found, err := e.kernel.look(false)
	if err != nil {
		return err
	}
	return e.make(found.Counts)
}

// Change adds and removes bans. What is to be added and is there already gets its new end.
func (e *Enforcer) Change(add []Element, remove []netip.Prefix) ([]Refusal, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.protect(); err != nil {
		return nil, e.broken(err)
	}
	now := time.Now()
	good, refused := e.judge(add, now)
	good = last(good)
	if len(e.wanted)+len(good) > MaxElements {
		return nil, ErrTooMany
	}
	var gone []Element
	for _, p := range remove {
		p, err := normal(p)
		if until, there := e.wanted[p]; err == nil && there {
			gone = append(gone, Element{p, until})
		}
	}
	present := func(p netip.Prefix) bool { _, ok := e.wanted[p]; return ok }
	fits := true
	for _, one := range good {
		fits = fits && slices.Contains(e.lengths, lengthOf(one.Prefix))
	}
	e.changes++
	gone = last(gone)
	err := errors.New("a set is missing")
	if fits {
		err = e.kernel.change(good, gone, present, now)
	}
	for _, one := range gone {
		delete(e.wanted, one.Prefix)
	}
	for _, one := range good {
		e.wanted[one.Prefix] = one.Until
	}
	if err != nil { // what is wanted is known; the whole table is made so
		if err := e.swap(now); err != nil {
			return nil, e.broken(err)
		}
	}
	if len(good) > 0 {
		e.cut(func(a netip.Addr) bool {
			return slices.ContainsFunc(good, func(one Element) bool { return one.Prefix.Contains(a) }) && !e.guard.holds(a)
		})
	}
	return refused, nil
}

// last leaves of elements with the same network the last one, as if they had come one after the other.
func last(list []Element) []Element {
	at := make(map[netip.Prefix]int, len(list))
	var kept []Element
	for _, one := range list {
		if i, twice := at[one.Prefix]; twice {
			kept[i] = one
			continue
		}
		at[one.Prefix] = len(kept)
		kept = append(kept, one)
	}
	return kept
}

// bans says whether an address is banned by the list.
func (e *Enforcer) bans(a netip.Addr) bool {
	for _, l := range e.lengths {
		if l.v6 != a.Is6() {
			continue
		}
		p, err := a.Prefix(l.bits)
		if _, banned := e.wanted[p]; err == nil && banned {
			return !e.guard.holds(a)
		}
	}
	return false
}

// cut ends the connections that banned addresses have to this host.
func (e *Enforcer) cut(banned func(netip.Addr) bool) {
	n, err := closeSockets(banned)
	e.status.Closed += n
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		if !e.status.CannotClose {
			e.log.Warn("this kernel cannot close connections; those of banned addresses hang until they time out")
		}
		e.status.CannotClose = true
	case err != nil:
		e.log.Warn("connections of banned addresses could not be closed; their packets are dropped", slog.Any("error", err))
	}
}

// broken notes an error for the status.
func (e *Enforcer) broken(err error) error {
	e.status.Error = err.Error()
	e.log.Error("the kernel's table is not as it should be", slog.Any("error", err))
	return err
}

// List is every ban that should be in force, by prefix.
func (e *Enforcer) List() []Element {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.prune(time.Now())
	return sorted(e.wanted)
}

// Status tells how it fares.
func (e *Enforcer) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.prune(time.Now())
	s := e.status
	s.Elements = len(e.wanted)
	return s
}
