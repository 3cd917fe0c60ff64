package auth

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// hasher hands out the turns for computing password hashes. A hash takes 19 MiB and some 30 ms of a core, so
// few run at once, the others queue, and the queue is short: a sign-in that would wait longer than a person does
// is refused at once instead.
//
// Turns go round between the keys (addresses), one running at a time for each, and a key may hold only
// a quarter of the queue. So a flood from one address costs others one turn, and the failures of an address are
// counted before its next password is looked at: a hundred guesses sent at the same moment are no way
// around the wait.
type hasher struct {
	mu      sync.Mutex
	cfg     HashConfig
	running map[netip.Prefix]bool
	lines   []*line // keys with somebody waiting, the next one first
	queued  int
	refused uint64 // turned away because of a full queue or the time
}

// line is the queue of one key.
type line struct {
	key     netip.Prefix
	waiting []*turn
}

// turn is one sign-in's place in a line. Its channel is closed when the turn is granted or taken away.
type turn struct {
	decided chan struct{}
	granted bool
}

func newHasher(cfg HashConfig) *hasher {
	return &hasher{cfg: cfg, running: make(map[netip.Prefix]bool)}
}

// configure changes the limits; those who wait already keep their place.
func (h *hasher) configure(cfg HashConfig) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cfg = cfg
	h.dispatch()
}

// acquire waits for the key's turn. The turn ends when release is called, exactly once. The error is ErrBusy,
// or the context's.
func (h *hasher) acquire(ctx context.Context, key netip.Prefix) (release func(), err error) {
	h.mu.Lock()
	t := h.enqueue(key)
	if t == nil {
		h.refused++
		h.mu.Unlock()
		return nil, ErrBusy
	}
	h.dispatch()
	patience := h.cfg.QueueWait
	h.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-t.decided:
	case <-timer.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.granted { // perhaps in the same moment as the timer; then there is no reason to refuse
		return func() { h.release(key) }, nil
	}
	h.remove(key, t)
	h.refused++
	if err == nil {
		err = ErrBusy
	}
	return nil, err
}

func (h *hasher) release(key netip.Prefix) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.running, key)
	h.dispatch()
}

// enqueue finds a place, or returns nil. If the queue is full, the newcomer takes the place of the last of
// the longest line, as long as its own line stays shorter.
func (h *hasher) enqueue(key netip.Prefix) *turn {
	own := h.lineOf(key)
	length := 0
	if own != nil {
		length = len(own.waiting)
	}
	free := len(h.running) < h.cfg.AtOnce && !h.running[key] && own == nil
	if !free && length >= max(1, h.cfg.Queue/4) {
		return nil
	}
	if !free && h.queued >= h.cfg.Queue {
		longest := slices.MaxFunc(h.lines, func(a, b *line) int { return len(a.waiting) - len(b.waiting) })
		if len(longest.waiting) <= length+1 {
			return nil
		}
		last := longest.waiting[len(longest.waiting)-1]
		h.remove(longest.key, last)
		close(last.decided)
	}
	t := &turn{decided: make(chan struct{})}
	if own == nil {
		own = &line{key: key}
		h.lines = append(h.lines, own)
	}
	own.waiting = append(own.waiting, t)
	h.queued++
	return t
}

func (h *hasher) lineOf(key netip.Prefix) *line {
	for _, l := range h.lines {
		if l.key == key {
			return l
		}
	}
	return nil
}

// remove takes a turn out of its line, if it still stands there.
func (h *hasher) remove(key netip.Prefix, t *turn) {
	l := h.lineOf(key)
	if l == nil {
		return
	}
	i := slices.Index(l.waiting, t)
	if i < 0 {
		return
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	h.queued--
	if len(l.waiting) == 0 {
		h.lines = slices.DeleteFunc(h.lines, func(o *line) bool { return o == l })
	}
}

// dispatch grants turns while there is room: each key in its order, behind the others once it had one.
func (h *hasher) dispatch() {
	for len(h.running) < h.cfg.AtOnce {
		i := slices.IndexFunc(h.lines, func(l *line) bool { return !h.running[l.key] })
		if i < 0 {
			return
		}
		l := h.lines[i]
		t := l.waiting[0]
		l.waiting = l.waiting[1:]
		h.queued--
		h.lines = slices.Delete(h.lines, i, i+1)
		if len(l.waiting) > 0 {
			h.lines = append(h.lines, l)
		}
		h.running[l.key] = true
		t.granted = true
		close(t.decided)
	}
}

// load returns how many hashes run, how many wait, and how many were refused so far.
func (h *hasher) load() (running, queued int, refused uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.running), h.queued, h.refused
}
