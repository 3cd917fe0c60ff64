package oidc

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxUsed bounds the states that are remembered. Each stands for a callback that a browser made with a state of its
// own, so a stranger can make many; the oldest then goes first, and what remains is the provider's own rule that a code
// is used once (RFC 6749, 4.1.2).
const maxUsed = 4096

// usedStates remembers which states have come back, until they expire.
type usedStates struct {
	mu      sync.Mutex
	expires map[string]time.Time
	order   []string // the oldest first
	dropped atomic.Uint64
}

// take tells whether the state comes back for the first time, and remembers it.
func (u *usedStates) take(state string, expires, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.expires == nil {
		u.expires = make(map[string]time.Time)
	}
	if _, again := u.expires[state]; again {
		return false
	}
	for len(u.order) > 0 && (len(u.order) >= maxUsed || u.expires[u.order[0]].Before(now)) {
		if !u.expires[u.order[0]].Before(now) {
			u.dropped.Add(1)
		}
		delete(u.expires, u.order[0])
		u.order = u.order[1:]
	}
	u.expires[state] = expires
	u.order = append(u.order, state)
	return true
}
