package pattern

import (
	"sync"
	"sync/atomic"
)

// DefaultMemory is what the states of an expression compiled on its own may take, in bytes.
const DefaultMemory = 1 << 20

// Memory is the room that the states of many expressions share. When it is full, the expression that holds most
// throws its states away; an expression that fills its part again and again with one text gives that text to Go's
// regexp.
type Memory struct {
	limit     int64
	used      atomic.Int64
	flushes   atomic.Uint64
	fallbacks atomic.Uint64
	steps     atomic.Uint64
	rooms     scratches

	mu      sync.Mutex
	holders []*lazy
}

// NewMemory returns room for limit bytes of states. Searches that run while states are thrown away keep theirs to
// their end, so that for moments more may be held.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

// Usage counts what happened in a Memory since it was made.
type Usage struct {
	Bytes     int64  // held now
	Flushes   uint64 // times an expression threw its states away
	Fallbacks uint64 // texts that went to Go's regexp
	Steps     uint64 // instructions looked at while making states; looking a state up is one step a character, not counted
}

// Usage returns the counts.
func (m *Memory) Usage() Usage {
	return Usage{Bytes: m.used.Load(), Flushes: m.flushes.Load(), Fallbacks: m.fallbacks.Load(), Steps: m.steps.Load()}
}

func (m *Memory) join(l *lazy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holders = append(m.holders, l)
}

// makeRoom lets the expression that holds most throw its states away, and says whether bytes more fit afterwards. The
// caller holds its own lock; one that is at work elsewhere is not waited for.
func (m *Memory) makeRoom(caller *lazy, bytes int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	var most *lazy
	for _, l := range m.holders {
		if l != caller && (most == nil || l.held.Load() > most.held.Load()) {
			most = l
		}
	}
	if most != nil && most.held.Load() >= caller.held.Load() && most.mu.TryLock() {
		most.flush()
		most.mu.Unlock()
	}
	return m.fits(bytes)
}

func (m *Memory) fits(bytes int64) bool { return m.used.Load()+bytes <= m.limit }
