package facts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of the live probes.
const (
	probeTime    = 3 * time.Second // to connect, or to wait for one answer
	maxTargets   = 16              // addresses that are probed, of each kind
	probesAtOnce = 4               // targets that are probed side by side
)

// prober connects to what the administrator has declared.
type prober struct {
	resolver  *net.Resolver
	connectTo string // an address instead of a name's own; "" is the name's
	network   string // tcp, or tcp4 and tcp6 where a family is asked for
	outside   bool   // the probe comes from another machine
	now       time.Time
}

// newProber reads what the probes need of the declaration.
func newProber(t Target) (*prober, error) {
	p := &prober{resolver: net.DefaultResolver, connectTo: t.ConnectTo, network: "tcp", now: t.Now}
	if t.ConnectTo != "" {
		if _, err := netip.ParseAddr(t.ConnectTo); err != nil {
			return nil, fmt.Errorf("connect_to %q is no IP address", t.ConnectTo)
		}
	}
	if t.Resolver != "" {
		server := t.Resolver
		if _, _, err := net.SplitHostPort(server); err != nil {
			server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
		}
		p.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server)
		}}
	}
	return p, nil
}

// endpoint is one declared address.
type endpoint struct {
	text       string // as declared
	scheme     string
	host, port string
	path       string
}

// origin names the endpoint as evidence.
func (e endpoint) origin() string { return "a connection to " + net.JoinHostPort(e.host, e.port) }

// parseEndpoint reads SCHEME://HOST[:PORT][/PATH]. ports are the schemes that may stand there with their ports.
func parseEndpoint(text string, ports map[string]string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, errors.New("it is no URL")
	}
	e := endpoint{text: text, scheme: strings.ToLower(u.Scheme), host: u.Hostname(), port: u.Port(), path: u.EscapedPath()}
	standard, known := ports[e.scheme]
	switch {
	case !known:
		return e, fmt.Errorf("%q is none of the schemes that can be probed", u.Scheme)
	case e.host == "" || u.User != nil:
		return e, errors.New("it needs a host and no user")
	case e.port == "":
		e.port = standard
	}
	if e.path == "" {
		e.path = "/"
	}
	return e, nil
}

// applications are the declared URLs.
func (t Target) applications() ([]endpoint, error) {
	if len(t.URLs) == 0 {
		return nil, errors.New("no URL of the application is declared (audit.urls)")
	}
	if len(t.URLs) > maxTargets {
		return nil, fmt.Errorf("audit.urls has more than %d", maxTargets)
	}
	var all []endpoint
	for _, text := range t.URLs {
		e, err := parseEndpoint(text, map[string]string{"https": "443"})
		if err != nil {
			return nil, fmt.Errorf("audit.urls: %q: %w", text, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// validateProbes reports what the probes could not use.
func (c Config) validateProbes(report func(path, format string, args ...any)) {
	if _, err := newProber(Target{Config: c}); err != nil {
		report("connect_to", "%s", err)
	}
	addresses := func(path string, all []string, ports map[string]string) {
		if len(all) > maxTargets {
			report(path, "at most %d are probed", maxTargets)
		}
		for _, text := range all {
			if _, err := parseEndpoint(text, ports); err != nil {
				report(path, "%q: %s", text, err)
			}
		}
	}
	addresses("urls", c.URLs, map[string]string{"https": "443"})
	addresses("interfaces", c.Interfaces, linkPorts())
	for _, canary := range c.Canaries {
		if !strings.HasPrefix(canary.Folder, "/") {
			report("canaries", "folder %q is no absolute path", canary.Folder)
		}
		addresses("canaries", []string{canary.URL}, map[string]string{"https": "443", "http": "80"})
	}
}

// dial connects to the endpoint, or to connect_to at its port.
func (p *prober) dial(ctx context.Context, host, port string) (net.Conn, error) {
	if p.connectTo != "" {
		host = p.connectTo
	}
	return p.dialTrue(ctx, host, port)
}

// dialTrue connects to the host itself.
func (p *prober) dialTrue(ctx context.Context, host, port string) (net.Conn, error) {
	d := net.Dialer{Timeout: probeTime, Resolver: p.resolver}
	conn, err := d.DialContext(ctx, p.network, net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// side does one thing for every item, n at a time, and returns the results in the items' order.
func side[T, R any](n int, items []T, do func(T) R) []R {
	results := make([]R, len(items))
	room := make(chan struct{}, n)
	var all sync.WaitGroup
	for i, item := range items {
		all.Add(1)
		room <- struct{}{}
		go func() {
			defer all.Done()
			results[i] = do(item)
			<-room
		}()
	}
	all.Wait()
	return results
}

// looked is what came of one target: its fact, or why there is none.
type looked[T any] struct {
	fact T
	err  error
}

// sift keeps the facts of the targets that could be probed to the end. What is said of the others is missing as the field
// "complete": a control asks for it after what it has seen, so that a fault that was seen is a failure, and no fault where
// not everything was looked at is unknown.
func sift[T any](results []looked[T], names []string) ([]T, []Missing) {
	facts, reasons := []T{}, []string{}
	for i, r := range results {
		if r.err != nil {
			reasons = append(reasons, names[i]+": "+because(r.err))
			continue
		}
		facts = append(facts, r.fact)
	}
	switch {
	case len(reasons) == 0:
		return facts, nil
	case len(facts) == 0:
		return facts, missing("%s", strings.Join(reasons, "; "))
	}
	return facts, []Missing{{Fact: "complete", Reason: strings.Join(reasons, "; ")}}
}

// texts are the endpoints as declared.
func texts(all []endpoint) []string {
	var names []string
	for _, e := range all {
		names = append(names, e.text)
	}
	return names
}

// dialAddress is dial for clients that have HOST:PORT in one.
func (p *prober) dialAddress(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return p.dial(ctx, host, port)
}
