package waf

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// budget is memory that all requests share. A quarter of it is left to those who are signed in, and beside one request a client
// gets half: who sends large bodies slowly, and many of them, must not keep everybody else's from being looked at.
type budget struct {
	limit, used atomic.Int64 // bytes

	mu        sync.Mutex
	strangers int64
	byClient  map[client]int64 // never more entries than requests
}

// client is whom memory is taken for: a session, or else an address.
type client struct {
	session string
	address netip.Addr
}

// client is whom the request counts for.
func (q *Request) client() client {
	if q.Session != "" {
		return client{session: q.Session}
	}
	return client{address: q.Network}
}

// take reserves n bytes for a request of a client that holds some already; false means that there are none left.
func (b *budget) take(c client, held, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit, own := b.limit.Load(), b.byClient[c]
	switch {
	case b.used.Load()+n > limit,
		c.session == "" && b.strangers+n > limit-limit/4,
		own > held && own+n > limit/2:
		return false
	}
	b.add(c, n)
	return true
}

// give returns n bytes.
func (b *budget) give(c client, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(c, -n)
}

// add changes what a client holds. The caller holds the lock.
func (b *budget) add(c client, n int64) {
	if b.byClient == nil {
		b.byClient = make(map[client]int64)
	}
	b.used.Add(n)
	if c.session == "" {
		b.strangers += n
	}
	if b.byClient[c] += n; b.byClient[c] == 0 {
		delete(b.byClient, c)
	}
}

// take reserves n more bytes for the inspection.
func (i *Inspection) take(n int64) bool {
	if !i.site.engine.memory.take(i.client, i.held, n) {
		return false
	}
	i.held += n
	return true
}

// large is from how many bytes on a body waits for its turn to be judged.
const large = 16 << 10

// wait waits for the turn of a body of size bytes, if that is large, and returns what ends it. An error says that the client has left.
func (i *Inspection) wait(size int) (leave func(), err error) {
	if i.turn == nil || size < large {
		return func() {}, nil
	}
	return i.turn()
}
