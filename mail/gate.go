package mail

import (
	"sync"
	"time"
)

// gate keeps trouble with the server (it is away, its certificate is wrong, it refuses our account) from becoming a
// connection for each message that waits: then one message at a time is tried, and a pause lies between two.
// Otherwise a wrong password would lock the account at the provider within a minute.
type gate struct {
	mu       sync.Mutex
	failures int // in a row
	until    time.Time
	busy     int // messages on their way
}

// pauses are the waits after the first, second and every further failure.
func pause(failures int) time.Duration {
	return time.Duration(min(failures, 3)) * 10 * time.Second
}

// enter tells whether a message may be tried now; leave must follow.
func (g *gate) enter(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failures > 0 && (g.busy > 0 || now.Before(g.until)) {
		return false
	}
	g.busy++
	return true
}

// leave ends a try that says nothing about the server.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
}

// fine ends the trouble, or what is known of it when the server is another.
func (g *gate) fine() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures = 0
}

// failed begins a pause, and returns it. Messages that were on their way together are one failure.
func (g *gate) failed(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failures == 0 || !now.Before(g.until) {
		g.failures++
		g.until = now.Add(pause(g.failures))
	}
	return pause(g.failures)
}
