package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// healthz says that the process is alive and answers; nothing else is looked at.
func (c *Console) healthz(x *exchange, _ *http.Request) error {
	x.quiet = true
	x.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(x, "ok\n") // the prober has left; nobody to tell
	return nil
}

// check is one part that must work before the gateway is worth sending people to.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// readyz answers 200 when every part works, else 503, each time with what was looked at.
func (c *Console) readyz(x *exchange, r *http.Request) error {
	x.quiet = true
	checks := c.checks(r.Context())
	ready := true
	for _, check := range checks {
		ready = ready && check.OK
	}
	text, err := json.Marshal(struct {
		Ready  bool    `json:"ready"`
		Checks []check `json:"checks"`
	}{ready, checks})
	if err != nil {
		return fmt.Errorf("encode readiness: %w", err)
	}
	x.Header().Set("Content-Type", "application/json")
	if !ready {
		x.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = x.Write(append(text, '\n'))
	return nil
}

// checks looks at the store, the listeners and each site's upstreams, in this order.
func (c *Console) checks(ctx context.Context) []check {
	store := check{Name: "store", OK: true}
	if err := c.storeSeen.look(ctx, c.deps.Store); err != nil {
		c.deps.Log.Warn("check store", slog.Any("error", err))
		store.OK, store.Detail = false, "cannot be read and written"
	}
	listeners := check{Name: "listeners"}
	select {
	case <-c.deps.Serving:
		listeners.OK = true
	default:
		listeners.Detail = "not accepting yet"
	}
	checks := []check{store, listeners}
	for _, site := range c.deps.Sites() {
		upstream := check{Name: "upstreams of " + site.Name}
		for _, u := range site.Upstreams {
			upstream.OK = upstream.OK || u.Healthy
		}
		if !upstream.OK {
			upstream.Detail = "none is healthy"
		}
		checks = append(checks, upstream)
	}
	return checks
}

// A store check writes, so it is not repeated for every probe.
const (
	storeCheckFor    = time.Second
	storeCheckWithin = 2 * time.Second
)

// storeCheck remembers the last look at the store for a moment.
type storeCheck struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

func (s *storeCheck) look(ctx context.Context, ping func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && time.Since(s.at) < storeCheckFor {
		return s.err
	}
	// Detached: a prober that gives up must not leave its own cancellation as everybody's answer.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeCheckWithin)
	defer cancel()
	s.err = ping(limit)
	s.at = time.Now()
	return s.err
}
