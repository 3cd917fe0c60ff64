package auth

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxHeldTokens is how many API tokens, once for each host they are used at, are held in memory. One more displaces
// another, which is read from the store again when it is next used.
const maxHeldTokens = 4096

// tokenCache holds the API tokens in use. As with sessions, what ends or changes a token counts, so that a token that was
// read just before cannot be taken in just after.
type tokenCache struct {
	mu      sync.RWMutex
	max     int
	held    map[heldKey]*heldToken
	changed uint64 // counts endings and changes

	displaced uint64
	used      map[string]time.Time // by token id, what the store is to be told
}

// heldKey tells the doors of one token apart: a session is of one realm and host.
type heldKey struct {
	hash  [sha256.Size]byte
	realm Realm
	host  string
}

// heldToken is a token in use at one host.
type heldToken struct {
	key      heldKey
	session  *Session
	networks []netip.Prefix
	changed  int64        // when the store says that it last changed, microseconds: what was read knows of this change
	noted    atomic.Int64 // the last use that is in used, Unix seconds
}

func newTokenCache(size int) *tokenCache {
	return &tokenCache{max: size, held: make(map[heldKey]*heldToken), used: make(map[string]time.Time)}
}

func (c *tokenCache) get(key heldKey) *heldToken {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.held[key]
}

// generation is to be read before the store is, and given to add.
func (c *tokenCache) generation() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.changed
}

// add takes a token in and returns the one to use; nil when something has changed since the generation was read.
func (c *tokenCache) add(h *heldToken, generation uint64) *heldToken {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed != generation {
		return nil
	}
	if first := c.held[h.key]; first != nil {
		return first
	}
	if len(c.held) >= c.max {
		for _, any := range c.held { // the order is random
			c.drop(any)
			c.displaced++
			break
		}
	}
	c.held[h.key] = h
	return h
}

// drop removes a token and closes its session's Done; mu is held.
func (c *tokenCache) drop(h *heldToken) {
	if c.held[h.key] == h {
		delete(c.held, h.key)
		close(h.session.done)
	}
}

// forget drops tokens by id, and those of an account by its id.
func (c *tokenCache) forget(ids ...string) {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	c.forgetWhere(func(h *heldToken) bool { return wanted[h.session.ID] || wanted[h.session.Principal.ID] }, true)
}

// forgetWhere drops the tokens that the test picks. change says that they have changed in the store, or may have.
func (c *tokenCache) forgetWhere(pick func(*heldToken) bool, change bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if change {
		c.changed++
	}
	for _, h := range c.held {
		if pick(h) {
			c.drop(h)
		}
	}
}

// forgetChanged is forget for a list of changes elsewhere that may hold many tokens that are not here: only one that is counts
// as a change, or else every round would have all look-ups begin again. One that was read after its change stays: the list
// reaches minutes back, and the streams of a new token must not end each time that it is asked for.
func (c *tokenCache) forgetChanged(changes map[string]int64) {
	if len(changes) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.held {
		if at, changed := changes[h.session.ID]; changed && at != h.changed {
			c.changed++
			c.drop(h)
		}
	}
}

// use notes that a token was used, once a second at most, so that the cores do not fight for the lock.
func (c *tokenCache) use(h *heldToken, now time.Time) {
	second := now.Unix()
	if h.noted.Swap(second) == second {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.used) < 2*c.max || !c.used[h.session.ID].IsZero() {
		c.used[h.session.ID] = now
	}
}

// takeUsed returns when which tokens were used since the last call.
func (c *tokenCache) takeUsed() map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := c.used
	c.used = make(map[string]time.Time)
	return used
}

// putBack notes again what could not be stored.
func (c *tokenCache) putBack(used map[string]time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range used {
		if c.used[id].Before(at) && len(c.used) < 2*c.max {
			c.used[id] = at
		}
	}
}

// size returns how many tokens are held, and how many made room for others so far.
func (c *tokenCache) size() (held int, displaced uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.held), c.displaced
}
