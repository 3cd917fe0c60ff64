package gateway

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// connGrace is how long a connection may stay silent before it can be closed for a newcomer: an honest
// client's first request is on its way by then.
const connGrace = time.Second

// writePause is how long one write to a client may wait where the server has set no deadline: on a
// connection that became a websocket.
const writePause = time.Minute

// connState is what the gateway knows of one client connection.
type connState struct {
	// signedIn says that a signed-in person spoke on it, who has not too many others: it is never closed for a newcomer.
	signedIn atomic.Bool
	// peer is the other end; 127.0.0.1 for a unix socket, which only this host can open.
	peer netip.Addr
	// certificate is what was found about the client's, where the site asks for one.
	certificate atomic.Pointer[certVerdict]

	table  *connTable
	conn   net.Conn
	opened time.Time
	kept   atomic.Bool // off the eviction lists for good, so that busy clients need no lock

	// Guarded by table.mu.
	list       *connList
	prev, next *connState
	inFlight   int
	finished   bool   // has finished a request
	holder     string // the session it is kept for, if any
}

// keepFor notes that somebody with a session spoke on the connection. It is kept for them from now on, unless they have
// their share of connections already: one account must not be able to lock the door behind itself.
func (c *connState) keepFor(session string) {
	if c.signedIn.Load() {
		return
	}
	t := c.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.list == nil || c.holder != "" || t.held[session] >= int(shareOf(int64(t.limit))) {
		return
	}
	t.held[session]++
	c.holder = session
	c.signedIn.Store(true)
}

// begin notes that a request arrived.
func (c *connState) begin() {
	if c.kept.Load() {
		return
	}
	t := c.table
	t.mu.Lock()
	c.inFlight++
	if c.finished {
		t.place(c, &t.busy)
	}
	t.mu.Unlock()
}

// end notes that a request was answered.
func (c *connState) end() {
	if c.kept.Load() {
		return
	}
	t := c.table
	t.mu.Lock()
	c.inFlight--
	c.finished = true
	switch {
	case c.signedIn.Load():
		c.kept.Store(true)
		t.place(c, &t.busy)
	case c.inFlight <= 0:
		t.place(c, &t.resting)
	default:
		t.place(c, &t.busy)
	}
	t.mu.Unlock()
}

// connTable holds the open client connections of all listeners, at most limit of them. When it is full, a
// newcomer takes the place of the connection that has been silent longest without ever finishing a request;
// if there is none, of the stranger that has been resting longest since a request; otherwise the newcomer
// is refused. Nobody who is signed in, and no request under way after a first one, makes room; of one session's
// connections this is so for an eighth of the limit.
type connTable struct {
	mu      sync.Mutex
	limit   int
	count   int
	silent  connList       // has not finished a request, oldest first
	resting connList       // strangers between requests, longest rest first
	busy    connList       // everyone else
	held    map[string]int // by session: the connections kept for it; never more entries than connections

	refused, evicted atomic.Uint64
}

func newConnTable(limit int) *connTable { return &connTable{limit: limit, held: make(map[string]int)} }

func (t *connTable) setLimit(limit int) {
	t.mu.Lock()
	t.limit = limit
	t.mu.Unlock()
}

// stats counts open connections now, and refused and evicted ones since the start.
func (t *connTable) stats() (open int, refused, evicted uint64) {
	t.mu.Lock()
	open = t.count
	t.mu.Unlock()
	return open, t.refused.Load(), t.evicted.Load()
}

// admit takes conn in, or closes it and returns nil.
func (t *connTable) admit(conn net.Conn, now time.Time) *trackedConn {
	c := &connState{table: t, conn: conn, opened: now, peer: peerAddress(conn.RemoteAddr())}
	t.mu.Lock()
	var victim *connState
	if t.count >= t.limit {
		if victim = t.victim(now); victim == nil {
			t.mu.Unlock()
			t.refused.Add(1)
			closeHard(conn)
			return nil
		}
		t.take(victim)
	}
	t.count++
	t.place(c, &t.silent)
	t.mu.Unlock()
	if victim != nil {
		t.evicted.Add(1)
		closeHard(victim.conn)
	}
	return &trackedConn{pacedConn: pacedConn{Conn: conn, pause: writePause}, state: c}
}

// victim is the connection to close for a newcomer, or nil. t.mu is held.
func (t *connTable) victim(now time.Time) *connState {
	for _, l := range []*connList{&t.silent, &t.resting} {
		for c := l.first; c != nil; c = l.first {
			if c.signedIn.Load() { // set by the request under way
				t.place(c, &t.busy)
				continue
			}
			if now.Sub(c.opened) <= connGrace {
				break
			}
			return c
		}
	}
	return nil
}

// remove forgets a closed connection; a second call does nothing.
func (t *connTable) remove(c *connState) {
	t.mu.Lock()
	if c.list != nil {
		t.take(c)
	}
	t.mu.Unlock()
}

// closeSilent closes the connections on which no request is under way and none was finished: at shutdown
// there is nothing to wait for.
func (t *connTable) closeSilent() {
	t.closeEach(func(c *connState) bool { return c.list == &t.silent && c.inFlight == 0 })
}

// closeAll closes every connection, those that were hijacked too.
func (t *connTable) closeAll() { t.closeEach(func(*connState) bool { return true }) }

func (t *connTable) closeEach(which func(*connState) bool) {
	var chosen []*connState
	t.mu.Lock()
	for _, l := range []*connList{&t.silent, &t.resting, &t.busy} {
		for c := l.first; c != nil; c = c.next {
			if which(c) {
				chosen = append(chosen, c)
			}
		}
	}
	for _, c := range chosen {
		t.take(c)
	}
	t.mu.Unlock()
	for _, c := range chosen {
		c.conn.Close()
	}
}

// place moves c to the end of list l; a connection that was taken out stays out. t.mu is held.
func (t *connTable) place(c *connState, l *connList) {
	if c.list == l {
		return
	}
	if c.list != nil {
		c.list.remove(c)
	} else if l != &t.silent {
		return // closed while its last request was finishing
	}
	l.append(c)
}

// take removes c for good. t.mu is held.
func (t *connTable) take(c *connState) {
	c.list.remove(c)
	t.count--
	c.kept.Store(true)
	if c.holder == "" {
		return
	}
	if t.held[c.holder]--; t.held[c.holder] == 0 {
		delete(t.held, c.holder)
	}
	c.holder = ""
}

// connList is a doubly linked list threaded through the connections, so that moving one allocates nothing.
type connList struct{ first, last *connState }

func (l *connList) append(c *connState) {
	c.list, c.prev, c.next = l, l.last, nil
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
}

func (l *connList) remove(c *connState) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.list, c.prev, c.next = nil, nil, nil
}

// trackedConn is a client connection in the table: closing it frees its place.
type trackedConn struct {
	pacedConn
	state *connState
}

// Close frees the connection's place.
func (c *trackedConn) Close() error {
	c.state.table.remove(c.state)
	return c.Conn.Close()
}

// closeHard closes without the polite end: in a flood the kernel must not keep what we gave up.
func closeHard(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // on an error the polite close follows
	}
	conn.Close()
}

func peerAddress(addr net.Addr) netip.Addr {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// connKey is this package's context key: the connection a request came on.
type connKey struct{}

// connOf returns the connection that r came on, or nil if r did not come through the gateway's listeners.
func connOf(r *http.Request) *connState {
	c, _ := r.Context().Value(connKey{}).(*connState)
	return c
}

// withConn is http.Server's ConnContext: conn is a trackedConn, or TLS over one.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	if tracked, ok := conn.(*trackedConn); ok {
		return context.WithValue(ctx, connKey{}, tracked.state)
	}
	return ctx
}
