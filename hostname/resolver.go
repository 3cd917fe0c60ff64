package hostname

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxCached = 10_000 // addresses, of about 400 bytes
	maxQueue  = 1024
	maxUrgent = 64
	workers   = 4 // and one more for the urgent ones, which slow name servers of strangers must not keep busy
	// perSecond bounds the look-ups, each of at most 1+maxNames queries, whatever strangers do: the system's name
	// server has other work, and those of strangers should not be asked more by us.
	perSecond = 25
	// maxWait is the longest that Wait waits.
	maxWait = time.Second
)

// State is what is known about the name of an address.
type State int

// The states. Only Confirmed comes with a name.
const (
	Pending     State = iota // not looked up yet; asking has queued it
	Confirmed                // a name of the address leads back to it
	Unconfirmed              // it has names, but none that may be shown and leads back
	Missing                  // it has no name
	Failed                   // no name server answered, or not in time
	Off                      // names are not looked up
)

// String returns the state as one word.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Confirmed:
		return "confirmed"
	case Unconfirmed:
		return "unconfirmed"
	case Missing:
		return "missing"
	case Failed:
		return "failed"
	case Off:
		return "off"
	}
	return "unknown"
}

// Stats is what a Resolver has to say to those who watch it. Look-ups are counted by their outcome.
type Stats struct {
	Cached, Queued                          int
	Confirmed, Unconfirmed, Missing, Failed uint64
	Dropped                                 uint64 // not queued, because the queue was full
	Evicted                                 uint64 // forgotten before their time, because the cache was full
}

// Resolver finds the names of addresses. It may be used by any number of goroutines at once.
type Resolver struct {
	log      *slog.Logger
	now      func() time.Time
	settings atomic.Pointer[settings]
	queue    chan *entry
	urgent   chan *entry // those that somebody waits for

	mu    sync.Mutex
	cache cache
	pace  pace
	stats Stats // without what is read from cache and queue
}

// New returns a Resolver by cfg, whose defaults are set. It asks nothing before Run.
func New(cfg Config, log *slog.Logger) (*Resolver, error) {
	r := &Resolver{log: log, now: time.Now, queue: make(chan *entry, maxQueue), urgent: make(chan *entry, maxUrgent),
		cache: newCache(maxCached), pace: pace{every: time.Second / perSecond}}
	var wrong error
	cfg.Validate(func(path, format string, args ...any) {
		wrong = errors.Join(wrong, fmt.Errorf("host_names.%s: "+format, append([]any{path}, args...)...))
	})
	if wrong != nil {
		return nil, wrong
	}
	r.settings.Store(newSettings(cfg))
	return r, nil
}

// Reload puts cfg, which is valid, in force. What was found out by another configuration is forgotten.
func (r *Resolver) Reload(cfg Config) {
	if r.settings.Load().cfg == cfg {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings.Store(newSettings(cfg))
	r.cache.clear()
}

// Name returns the confirmed name of addr, in small letters and without a dot at its end, or "" and why there is
// none. It never waits for DNS: what is not known is queued, and a later call has it.
func (r *Resolver) Name(addr netip.Addr) (name string, state State) {
	_, name, state = r.ask(addr, false)
	return name, state
}

// Wait is Name, but waits for a look-up that is under way: until it is done, ctx ends or a second has passed. It goes
// before what Name has queued. It is for messages about rare things, never for answering a request.
func (r *Resolver) Wait(ctx context.Context, addr netip.Addr) (name string, state State) {
	e, name, state := r.ask(addr, true)
	if e == nil {
		return name, state
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-e.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.name, e.state
}

// ask returns what is known of addr, and queues a look-up if that is nothing. The entry is nil where waiting is vain.
func (r *Resolver) ask(addr netip.Addr, urgent bool) (*entry, string, State) {
	s := r.settings.Load()
	if s.cfg.Off {
		return nil, "", Off
	}
	addr = addr.Unmap().WithZone("")
	if !asked(addr) {
		return nil, "", Missing
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.cache.get(addr, r.now())
	switch {
	case e != nil && e.state != Pending:
		return nil, e.name, e.state
	case e != nil && urgent && !e.started:
		r.push(r.urgent, e) // a second time; a worker passes over what another one has begun
	case e == nil:
		e = &entry{addr: addr, done: make(chan struct{})}
		queue := r.queue
		if urgent {
			queue = r.urgent
		}
		if !r.push(queue, e) {
			return nil, "", Pending
		}
		r.cache.add(e)
	}
	return e, "", Pending
}

// asked tells whether addr may have a name that says anything. Questions about the others belong to this machine or its
// cable and should not leave it (RFC 6303).
func asked(addr netip.Addr) bool {
	return addr.IsValid() && !addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !addr.IsMulticast()
}

// push puts e in a queue unless that is full; the caller holds mu.
func (r *Resolver) push(queue chan *entry, e *entry) bool {
	select {
	case queue <- e:
		return true
	default:
		r.stats.Dropped++
		return false
	}
}

// Run looks queued addresses up until ctx ends.
func (r *Resolver) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { r.serve(ctx, nil) })
	for range workers {
		all.Go(func() { r.serve(ctx, r.queue) })
	}
	all.Wait()
	return ctx.Err()
}

// serve looks up what is urgent and, when nothing is, what is in queue.
func (r *Resolver) serve(ctx context.Context, queue <-chan *entry) {
	for {
		select {
		case e := <-r.urgent:
			r.work(ctx, e)
			continue
		default:
		}
		select {
		case e := <-r.urgent:
			r.work(ctx, e)
		case e := <-queue: // nil: never
			r.work(ctx, e)
		case <-ctx.Done():
			return
		}
	}
}

// work looks e up in its turn and keeps the answer.
func (r *Resolver) work(ctx context.Context, e *entry) {
	r.mu.Lock()
	if e.started {
		r.mu.Unlock()
		return
	}
	e.started = true
	turn := r.pace.reserve(r.now())
	r.mu.Unlock()
	select {
	case <-time.After(turn):
	case <-ctx.Done():
		return
	}
	s, name, state := r.settings.Load(), "", Off // Off: since it was queued
	if !s.cfg.Off {
		name, state = s.lookUp(ctx, e.addr)
	}
	if ctx.Err() != nil {
		return // we stop; that says nothing about the address
	}
	r.log.Debug("host name looked up", slog.String("address", e.addr.String()), slog.String("name", name), slog.String("state", state.String()))
	r.mu.Lock()
	defer r.mu.Unlock()
	e.name, e.state, e.until = name, state, r.now().Add(s.keep(state))
	close(e.done)
	switch state {
	case Confirmed:
		r.stats.Confirmed++
	case Unconfirmed:
		r.stats.Unconfirmed++
	case Missing:
		r.stats.Missing++
	case Failed:
		r.stats.Failed++
	}
}

// keep is how long an answer counts.
func (s *settings) keep(state State) time.Duration {
	if state == Confirmed {
		return s.cfg.TTL
	}
	return s.cfg.NegativeTTL
}

// Stats returns what was counted since the start, and what is held now.
func (r *Resolver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Cached, s.Queued, s.Evicted = r.cache.order.Len(), len(r.queue)+len(r.urgent), r.cache.evicted
	return s
}

// pace spreads look-ups over time.
type pace struct {
	every time.Duration
	next  time.Time
}

// reserve returns how long from now the next turn is, and takes it.
func (p *pace) reserve(now time.Time) time.Duration {
	if p.next.Before(now) {
		p.next = now
	}
	wait := p.next.Sub(now)
	p.next = p.next.Add(p.every)
	return wait
}
