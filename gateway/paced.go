package gateway

import (
	"net"
	"sync/atomic"
	"time"
)

// pacedConn bounds how long the other side may refuse to take what is written to it. Without it a peer that
// stops reading holds a request, both its connections and their buffers for ever.
type pacedConn struct {
	net.Conn
	pause time.Duration

	armed    atomic.Int64 // when Write last set the deadline, in Unix nanoseconds
	external atomic.Bool  // somebody above set a deadline of their own, which must stand
}

// Write sets the deadline anew when a quarter of it has passed, which is cheaper than each time.
func (c *pacedConn) Write(p []byte) (int, error) {
	if !c.external.Load() {
		if now := time.Now(); now.UnixNano()-c.armed.Load() > int64(c.pause/4) {
			c.armed.Store(now.UnixNano())
			// An error here means a closed connection, which Write reports.
			_ = c.Conn.SetWriteDeadline(now.Add(c.pause))
		}
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline passes a deadline on; while one stands, Write sets none.
func (c *pacedConn) SetWriteDeadline(at time.Time) error {
	c.external.Store(!at.IsZero())
	c.armed.Store(0)
	return c.Conn.SetWriteDeadline(at)
}

// SetDeadline is SetWriteDeadline and SetReadDeadline.
func (c *pacedConn) SetDeadline(at time.Time) error {
	c.external.Store(!at.IsZero())
	c.armed.Store(0)
	return c.Conn.SetDeadline(at)
}
