package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	requestLimit = 10 * time.Second // for one request to a provider
	answerLimit  = 1 << 20          // bytes of one answer; the largest key sets have a tenth
	headerLimit  = 64 << 10         // bytes of its header
	redirects    = 3                // that are followed, on the provider's own host
)

// newClient is the only way to a provider. It uses no proxy that an environment variable names, follows few redirects
// and none to another host, and reads no more of an answer than it should have.
func newClient(caFile string) (*http.Client, error) {
	roots := (*x509.CertPool)(nil) // the system's
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read authorities: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read authorities: %s holds no PEM certificate", caFile)
		}
	}
	transport := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: requestLimit / 2}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    requestLimit / 2,
		ResponseHeaderTimeout:  requestLimit,
		MaxResponseHeaderBytes: headerLimit,
		MaxIdleConnsPerHost:    4,
		MaxConnsPerHost:        2 * atOnce,
		IdleConnTimeout:        time.Minute,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
	}
	return &http.Client{Transport: bounded{transport}, Timeout: requestLimit, CheckRedirect: checkRedirect}, nil
}

// checkRedirect keeps codes, secrets and access tokens on the host that they were sent to.
func checkRedirect(next *http.Request, before []*http.Request) error {
	first := before[0]
	switch {
	case len(before) > redirects:
		return errors.New("too many redirects")
	case first.Method != http.MethodGet:
		return errors.New("an answer to a form may not be a redirect")
	case next.URL.Host != first.URL.Host || next.URL.Scheme != first.URL.Scheme:
		return fmt.Errorf("a redirect leads away from %s", first.URL.Host)
	}
	return nil
}

// bounded cuts every answer off at answerLimit.
type bounded struct{ next *http.Transport }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err == nil {
		res.Body = &boundedBody{res.Body, answerLimit}
	}
	return res, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", answerLimit)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// cached holds what a provider publishes about itself. One request at a time fetches it; a failure is remembered, so
// that a provider that is down costs one request now and then and not one for each person.
type cached[T any] struct {
	mu       sync.Mutex
	value    *T
	fetched  time.Time
	failures int
	retry    time.Time // no request before it
	cause    error     // of the last failure
	running  chan struct{}
}

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// get returns a value fetched after newer, or, when that cannot be had now, one fetched after oldest.
func (c *cached[T]) get(ctx context.Context, now, newer, oldest time.Time, fetch func(context.Context) (*T, error)) (*T, error) {
	for {
		c.mu.Lock()
		switch {
		case c.value != nil && c.fetched.After(newer):
			defer c.mu.Unlock()
			return c.value, nil
		case now.Before(c.retry):
			defer c.mu.Unlock()
			return c.old(oldest)
		case c.running == nil:
			c.running = make(chan struct{})
			c.mu.Unlock()
			return c.refresh(ctx, now, oldest, fetch)
		}
		running := c.running
		c.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// refresh fetches for everybody who waits, so it goes on when the one who asked gives up.
func (c *cached[T]) refresh(ctx context.Context, now, oldest time.Time, fetch func(context.Context) (*T, error)) (*T, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	value, err := fetch(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.running)
	c.running = nil
	if err == nil {
		c.value, c.fetched, c.failures, c.retry, c.cause = value, now, 0, time.Time{}, nil
		return value, nil
	}
	c.cause = err
	c.retry = now.Add(min(firstRetry<<min(c.failures, 10), lastRetry))
	c.failures++
	return c.old(oldest)
}

// old is what is held if it is not older than allowed. The lock is held.
func (c *cached[T]) old(oldest time.Time) (*T, error) {
	if c.value != nil && c.fetched.After(oldest) {
		return c.value, nil
	}
	return nil, c.cause
}
