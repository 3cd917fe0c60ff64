package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// health is what requests and checks have shown of one upstream. After maxFails failures in a row it rests:
// other upstreams are preferred until the rest is over or a check succeeds.
type health struct {
	name     string
	maxFails int32
	restFor  time.Duration
	log      *slog.Logger

	fails     atomic.Int32
	resting   atomic.Bool
	restUntil atomic.Int64 // Unix nanoseconds
	lastError atomic.Pointer[string]
}

func (h *health) usable(now time.Time) bool {
	return !h.resting.Load() || now.UnixNano() >= h.restUntil.Load()
}

func (h *health) succeeded() {
	if h.fails.Load() != 0 {
		h.fails.Store(0)
	}
	if h.resting.Load() && h.resting.CompareAndSwap(true, false) {
		h.log.Info("upstream answers again", slog.String("upstream", h.name))
	}
}

func (h *health) failed(err error, now time.Time) {
	text := err.Error()
	h.lastError.Store(&text)
	if h.fails.Add(1) < h.maxFails {
		return
	}
	h.restUntil.Store(now.Add(h.restFor).UnixNano())
	if h.resting.CompareAndSwap(false, true) {
		h.log.Warn("upstream does not answer", slog.String("upstream", h.name), slog.Any("error", err))
	}
}

// UpstreamStatus is one upstream's health.
type UpstreamStatus struct {
	Address   string // as configured
	Healthy   bool
	Fails     int    // failures in a row
	LastError string // of the last failure, kept after recovery; empty if there was none
	Requests  uint64 // sent since the start or the last reload
	Failures  uint64
}

// Status reads the health of the upstreams, in the configuration's order.
func (p *pool) Status() []UpstreamStatus {
	out := make([]UpstreamStatus, 0, len(p.upstreams))
	for _, u := range p.upstreams {
		st := UpstreamStatus{Address: u.name, Healthy: !u.health.resting.Load(), Fails: int(u.health.fails.Load()),
			Requests: u.requests.Load(), Failures: u.failures.Load()}
		if text := u.health.lastError.Load(); text != nil {
			st.LastError = *text
		}
		out = append(out, st)
	}
	return out
}

// Run checks every upstream at once and then at the configured interval, until ctx ends.
func (p *pool) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, u := range p.upstreams {
		wg.Go(func() { p.watch(ctx, u) })
	}
	wg.Wait()
}

func (p *pool) watch(ctx context.Context, u *upstream) {
	ticker := time.NewTicker(p.cfg.HealthInterval)
	defer ticker.Stop()
	for {
		switch err := u.check(ctx, p.cfg); {
		case ctx.Err() != nil:
			return
		case err != nil:
			u.health.failed(err, time.Now())
		default:
			u.health.succeeded()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// check connects, or asks for the health path: any answer below 500 is a sign of life, since an application
// behind single sign-on may well answer 401.
func (u *upstream) check(ctx context.Context, cfg UpstreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout+cfg.HealthInterval)
	defer cancel()
	if cfg.HealthPath == "" {
		dial := u.transport.DialContext
		if u.transport.DialTLSContext != nil {
			dial = u.transport.DialTLSContext
		}
		conn, err := dial(ctx, "", "")
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.scheme+"://"+u.host+cfg.HealthPath, nil)
	if err != nil {
		return fmt.Errorf("make health request: %w", err)
	}
	req.Header.Set("User-Agent", "doorward-health")
	res, err := u.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("get %s: %w", cfg.HealthPath, err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20)); err != nil {
		return fmt.Errorf("read the answer of %s: %w", cfg.HealthPath, err)
	}
	if res.StatusCode >= 500 {
		return fmt.Errorf("get %s: status %d", cfg.HealthPath, res.StatusCode)
	}
	return nil
}
