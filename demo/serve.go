package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/app"
	"github.com/doorward/doorward/demo/helpdesk"
)

// parts are what runs together.
type parts struct {
	doorward *app.App
	helpdesk *helpdesk.Helpdesk
	desk     net.Listener
}

// serve runs the parts until ctx ends or one fails, and calls ready once people can sign in.
func serve(ctx context.Context, p parts, info Info, ready func(Info) error) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	// The helpdesk stops after the gateway, so that requests under way still find it.
	applying, stopApplication := context.WithCancel(context.WithoutCancel(ctx))
	defer stopApplication()
	var errs [3]error
	var work sync.WaitGroup
	work.Go(func() {
		errs[0] = p.helpdesk.Serve(applying, p.desk)
		stop()
	})
	work.Go(func() {
		errs[1] = p.doorward.Run(running)
		stop()
		stopApplication()
	})
	work.Go(func() {
		errs[2] = announce(running, p.doorward, info, ready)
		if errs[2] != nil {
			stop()
		}
	})
	work.Wait()
	if ctx.Err() != nil && errors.Is(errs[2], context.Canceled) {
		errs[2] = nil
	}
	return errors.Join(errs[:]...)
}

// announce makes the accounts and waits until the gateway answers and the helpdesk is healthy.
func announce(ctx context.Context, doorward *app.App, info Info, ready func(Info) error) error {
	limit, cancel := context.WithTimeoutCause(ctx, readyWithin, errors.New("the start took longer than "+readyWithin.String()))
	defer cancel()
	var err error
	if info.Users, err = makeAccounts(limit, doorward.Auth()); err != nil {
		return err
	}
	select {
	case <-doorward.Ready():
	case <-limit.Done():
		return fmt.Errorf("wait for the listeners: %w", context.Cause(limit))
	}
	if err := waitHealthy(limit, doorward); err != nil {
		return err
	}
	if err := tryGateway(limit, info); err != nil {
		return err
	}
	return ready(info)
}

// waitHealthy returns once the gateway has found the helpdesk.
func waitHealthy(ctx context.Context, doorward *app.App) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		healthy := true
		for _, site := range doorward.Gateway().Sites() {
			for _, upstream := range site.Upstreams {
				healthy = healthy && upstream.Healthy
			}
		}
		if healthy {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the helpdesk: %w", context.Cause(ctx))
		}
	}
}

// tryGateway asks for the first page the way a browser would, with the authority's root as the only trust,
// so that "ready" is never said of a gateway that does not answer.
func tryGateway(ctx context.Context, info Info) error {
	root, err := os.ReadFile(info.Root)
	if err != nil {
		return fmt.Errorf("read the authority's root: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	at, err := url.Parse(info.Gateway)
	if err != nil {
		return fmt.Errorf("parse the gateway's address: %w", err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			// Not by name: a machine's hosts file need not know localhost.
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(v4.String(), at.Port()))
		},
	}
	defer transport.CloseIdleConnections()
	for _, try := range []struct {
		path     string
		answered func(*http.Response) bool
	}{
		{"/", isSignIn},                    // certificate, host and policy work
		{"/static/helpdesk.css", isStatic}, // the helpdesk answers, and knows the gateway by the secret
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, info.Gateway+try.path, nil)
		if err != nil {
			return fmt.Errorf("make the first request: %w", err)
		}
		request.Header.Set("Accept", "text/html")
		answer, err := transport.RoundTrip(request)
		if err != nil {
			return fmt.Errorf("try the gateway: %w", err)
		}
		answer.Body.Close()
		if !try.answered(answer) {
			return fmt.Errorf("try the gateway: %s was answered with status %d", try.path, answer.StatusCode)
		}
	}
	return nil
}

func isSignIn(answer *http.Response) bool {
	return answer.StatusCode == http.StatusSeeOther && strings.HasPrefix(answer.Header.Get("Location"), "/.doorward/sign-in")
}

func isStatic(answer *http.Response) bool { return answer.StatusCode == http.StatusOK }
