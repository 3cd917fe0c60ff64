package auth

import (
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
)

// maxSessions is how many sessions are held in memory, about 1 KiB each. One more displaces another, which is read
// from the store again when it is next used.
const maxSessions = 32768

const cacheShards = 64

// cache holds the sessions in use. Looking one up takes one shard's read lock; everything that adds or
// ends sessions goes through mu, so that an ending cannot slip between the reading of a session from the
// store and its entry here.
type cache struct {
	shards [cacheShards]shard
	held   atomic.Int64

	mu       sync.Mutex
	max      int
	bySignIn map[string][]*Session
	// ended counts endings. Who reads a session from the store remembers it before, and may add the session only
	// if it is still the same.
	ended uint64
	// unstored are sign-ins that have ended although the store could not be told yet: id → why.
	unstored  map[string]ending
	displaced uint64
}

type shard struct {
	mu     sync.RWMutex
	byHash map[[sha256.Size]byte]*Session
	_      [32]byte // keeps two shards' locks off one cache line
}

// ending is how and when a sign-in ended.
type ending struct {
	why string
	at  int64 // microseconds
}

func newCache(size int) *cache {
	c := &cache{max: size, bySignIn: make(map[string][]*Session), unstored: make(map[string]ending)}
	for i := range c.shards {
		c.shards[i].byHash = make(map[[sha256.Size]byte]*Session)
	}
	return c
}

func (c *cache) get(hash *[sha256.Size]byte) *Session {
	sh := &c.shards[hash[0]%cacheShards]
	sh.mu.RLock()
	s := sh.byHash[*hash]
	sh.mu.RUnlock()
	return s
}

// generation is to be read before the store is, and given to add.
func (c *cache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// add takes the session in and returns the one to use, which is another if a concurrent request was
// first. It returns nil if any session has ended since the generation was read: what the caller read from the store
// may be out of date, it must read again.
func (c *cache) add(s *Session, generation uint64) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != generation {
		return nil
	}
	if first := c.get(&s.hash); first != nil {
		return first
	}
	if len(c.bySignIn) >= c.max {
		c.displace()
	}
	c.bySignIn[s.ID] = append(c.bySignIn[s.ID], s)
	sh := &c.shards[s.hash[0]%cacheShards]
	sh.mu.Lock()
	sh.byHash[s.hash] = s
	sh.mu.Unlock()
	c.held.Add(1)
	return s
}

// displace makes room: of a handful of sessions the one not used for longest. It closes Done, because a
// stream of a session that is not held here would not hear of a revocation.
func (c *cache) displace() {
	var oldest *Session
	looked := 0
	for _, group := range c.bySignIn { // the order is random
		for _, s := range group {
			if oldest == nil || s.seenWall.Load() < oldest.seenWall.Load() {
				oldest = s
			}
		}
		if looked++; looked == 16 {
			break
		}
	}
	if oldest != nil {
		c.drop(oldest)
		c.displaced++
	}
}

// drop removes one session and closes its Done; mu is held.
func (c *cache) drop(s *Session) {
	sh := &c.shards[s.hash[0]%cacheShards]
	sh.mu.Lock()
	held := sh.byHash[s.hash] == s
	if held {
		delete(sh.byHash, s.hash)
	}
	sh.mu.Unlock()
	if !held {
		return
	}
	rest := slices.DeleteFunc(c.bySignIn[s.ID], func(o *Session) bool { return o == s })
	if len(rest) == 0 {
		delete(c.bySignIn, s.ID)
	} else {
		c.bySignIn[s.ID] = rest
	}
	c.held.Add(-1)
	close(s.done)
}

// forget drops a session from memory; the store still decides whether it lives.
func (c *cache) forget(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(s)
}

// forgetWhere drops every session that the test picks.
func (c *cache) forgetWhere(pick func(*Session) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all() {
		if pick(s) {
			c.drop(s)
		}
	}
}

// reread drops every session from memory, so that the store is asked for each when it is next used.
func (c *cache) reread() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended++
	for _, s := range c.all() {
		c.drop(s)
	}
}

// all lists the sessions; mu is held.
func (c *cache) all() []*Session {
	list := make([]*Session, 0, len(c.bySignIn))
	for _, group := range c.bySignIn {
		list = append(list, group...)
	}
	return list
}

// snapshot lists the sessions.
func (c *cache) snapshot() []*Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all()
}

// end drops the sessions of these sign-ins, which have ended in the store.
func (c *cache) end(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended++
	for _, id := range ids {
		for _, s := range slices.Clone(c.bySignIn[id]) {
			c.drop(s)
		}
	}
}

// endKnown is end for a list that may hold many sign-ins that are not here: only one that is counts as an
// ending, or else every round would have all look-ups begin again.
func (c *cache) endKnown(ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if group := c.bySignIn[id]; len(group) > 0 {
			c.ended++
			for _, s := range slices.Clone(group) {
				c.drop(s)
			}
		}
	}
}

// endUnstored drops the sessions of a sign-in and remembers that the store still has to be told.
func (c *cache) endUnstored(id string, e ending) {
	c.mu.Lock()
	c.unstored[id] = e
	c.mu.Unlock()
	c.end(id)
}

// isUnstored tells whether the sign-in has ended although the store does not know.
func (c *cache) isUnstored(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.unstored[id]
	return ok
}

// unstoredEndings copies what the store still has to be told.
func (c *cache) unstoredEndings() map[string]ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := make(map[string]ending, len(c.unstored))
	for id, e := range c.unstored {
		copied[id] = e
	}
	return copied
}

// storedEndings forgets what the store was told. That counts as an ending: who has read one of these sessions
// just before the store was told must read again.
func (c *cache) storedEndings(told map[string]ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended++
	for id := range told {
		delete(c.unstored, id)
	}
}
