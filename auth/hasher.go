package auth

import (
	"container/list"
	"context"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

const (
	// maxFamiliar is how many addresses are remembered as ones that people have signed in from.
	maxFamiliar = 4096
	// quiet is how long nothing must have been hashed before memory is given back, and quietEvery how often
	// that is done at most: it costs a garbage collection.
	quiet      = 3 * time.Second
	quietEvery = 10 * time.Second
)

// hasher hands out the turns for computing password hashes. A hash takes 19 MiB and some 30 ms of a core, so
// few run at once, the others queue, and the queue is short: a sign-in that would wait longer than a person does
// is refused at once instead.
//
// Turns go round between the keys (addresses), one running at a time for each, and a key may hold only
// half of the queue. So a flood from one address costs others one turn, and the failures of an address are
// counted before its next password is looked at: a hundred guesses sent at the same moment are no way
// around the wait.
//
// Against a flood from many addresses, every second turn goes first to addresses that somebody has signed
// in from before, and they are not turned away while strangers wait.
type hasher struct {
	mu       sync.Mutex
	cfg      HashConfig
	running  map[netip.Prefix]bool
	aside    map[netip.Prefix]bool // keys whose turn waits for another system, and takes nobody's place meanwhile
	lines    []*line               // keys with somebody waiting, the next one first
	queued   int
	turns    uint64
	refused  uint64 // turned away because of a full queue or the time
	hashed   uint64 // turns that ended
	lastDone time.Time
	cleaned  time.Time // when memory was last given back
	dirty    bool      // something was hashed since
	garbage  int       // hashes since the last collection that release began

	familiar map[netip.Prefix]*list.Element // of netip.Prefix
	recent   *list.List                     // the same, the last one used in front
}

// line is the queue of one key.
type line struct {
	key      netip.Prefix
	familiar bool
	waiting  []*turn
}

// turn is one sign-in's place in a line. Its channel is closed when the turn is granted or taken away.
type turn struct {
	decided chan struct{}
	granted bool
}

func newHasher(cfg HashConfig) *hasher {
	return &hasher{cfg: cfg, running: make(map[netip.Prefix]bool), aside: make(map[netip.Prefix]bool),
		familiar: make(map[netip.Prefix]*list.Element), recent: list.New()}
}

// know remembers that somebody has signed in from the address.
func (h *hasher) know(key netip.Prefix) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.familiar[key]; ok {
		h.recent.MoveToFront(e)
		return
	}
	if h.recent.Len() >= maxFamiliar {
		delete(h.familiar, h.recent.Remove(h.recent.Back()).(netip.Prefix))
	}
	h.familiar[key] = h.recent.PushFront(key)
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
	if h.end(key) {
		runtime.GC()
	}
}

// collectEvery is after how many hashes their memory is collected. Each leaves 19 MiB, and the collector by itself waits until the
// garbage is as large as all that is in use: in a flood that would be some six hashes.
const collectEvery = 2

// end gives the key's turn to the next and tells whether it is time to collect.
func (h *hasher) end(key netip.Prefix) (collect bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.garbage++; h.garbage >= collectEvery {
		h.garbage, collect = 0, true
	}
	delete(h.running, key)
	delete(h.aside, key)
	h.lastDone, h.dirty = time.Now(), true
	h.hashed++
	h.dispatch()
	return collect
}

// stepAside gives up the key's place among those that hash, and keeps its turn: nobody else with the key gets one before
// release.
func (h *hasher) stepAside(key netip.Prefix) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.running, key)
	h.aside[key] = true
	h.dispatch()
}

// busy tells whether the key has its turn now.
func (h *hasher) busy(key netip.Prefix) bool { return h.running[key] || h.aside[key] }

// giveBack returns the memory of past hashes to the system once it is quiet. Each hash takes 19 MiB that
// the collector sees as garbage only at its next round, which without further work may be two minutes away; until
// then the process would look as large as in the flood.
func (h *hasher) giveBack() {
	h.mu.Lock()
	idle := h.dirty && len(h.running) == 0 && time.Since(h.lastDone) > quiet && time.Since(h.cleaned) > quietEvery
	if idle {
		h.dirty, h.cleaned = false, time.Now()
	}
	h.mu.Unlock()
	if idle {
		debug.FreeOSMemory()
	}
}

// enqueue finds a place, or returns nil.
func (h *hasher) enqueue(key netip.Prefix) *turn {
	own := h.lineOf(key)
	if own == nil {
		own = &line{key: key, familiar: h.familiar[key] != nil}
	}
	free := len(h.running) < h.cfg.AtOnce && !h.busy(key) && len(own.waiting) == 0
	if !free && len(own.waiting) >= max(1, h.cfg.Queue/2) {
		return nil
	}
	if !free && h.queued >= h.cfg.Queue && !h.displaceFor(own) {
		return nil
	}
	t := &turn{decided: make(chan struct{})}
	if len(own.waiting) == 0 {
		h.lines = append(h.lines, own)
	}
	own.waiting = append(own.waiting, t)
	h.queued++
	return t
}

// displaceFor makes room in a full queue at the cost of the longest line, strangers' lines first: of one that
// stays at least as long as the newcomer's will be, or of a stranger's for a familiar newcomer.
func (h *hasher) displaceFor(own *line) bool {
	longest := slices.MaxFunc(h.lines, func(a, b *line) int {
		if a.familiar != b.familiar {
			if b.familiar {
				return 1
			}
			return -1
		}
		return len(a.waiting) - len(b.waiting)
	})
	if (longest.familiar || !own.familiar) && len(longest.waiting) <= len(own.waiting)+1 {
		return false
	}
	last := longest.waiting[len(longest.waiting)-1]
	h.remove(longest.key, last)
	close(last.decided)
	return true
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

// dispatch grants turns while there is room: each key in its order, behind the others once it had one,
// every second time the familiar ones first.
func (h *hasher) dispatch() {
	for len(h.running) < h.cfg.AtOnce {
		i := -1
		if h.turns%2 == 0 {
			i = slices.IndexFunc(h.lines, func(l *line) bool { return l.familiar && !h.busy(l.key) })
		}
		if i < 0 {
			i = slices.IndexFunc(h.lines, func(l *line) bool { return !h.busy(l.key) })
		}
		if i < 0 {
			return
		}
		h.turns++
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

// load returns how many hashes run and how many wait, and how many were computed and refused so far.
func (h *hasher) load() (running, queued int, hashed, refused uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.running), h.queued, h.hashed, h.refused
}
