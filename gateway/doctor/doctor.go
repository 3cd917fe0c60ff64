// Package doctor looks for wrong wiring around a gateway: ways past it, proxies that are believed too much, and a
// proxy in front that does not ask.
//
// It knows the gateway's configuration and what can be seen by connecting. It must not know how a gateway works inside,
// nor change anything.
package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/doorward/doorward/gateway"
)

// Status is how a check came out.
type Status string

// The statuses. Unknown says that the check could not be made, or means nothing here.
const (
	OK      Status = "ok"
	Problem Status = "problem"
	Unknown Status = "unknown"
)

// Finding is the result of one check of one thing.
type Finding struct {
	Check   string `json:"check"`            // a constant name, such as upstream-exposed
	Subject string `json:"subject"`          // what was looked at
	Status  Status `json:"status"`           //
	Detail  string `json:"detail"`           // what was seen
	Advice  string `json:"advice,omitempty"` // what to do about it
}

// Options say what to look at beside the configuration.
type Options struct {
	// URL is a page that needs sign-in, as people reach it: https://desk.example.com/. Nil: the way from outside is not tried.
	URL *url.URL
	// As is the name of an account that the application knows, for the check whether the application believes anybody who
	// names one. The application may note a visit of that person, or make the account. Empty: the check is not made.
	As string
	// Roots are trusted for URL; nil means the system's.
	Roots *x509.CertPool
	// Interfaces are this machine's addresses that others may reach; nil means those of its network interfaces.
	Interfaces []netip.Addr
}

const (
	timeout = 5 * time.Second
	maxBody = 1 << 20 // of an answer that is compared
)

// Examine makes every check and returns what it found, in the order of the checks. It ends early with ctx.
func Examine(ctx context.Context, cfg gateway.Config, opts Options) []Finding {
	if opts.Interfaces == nil {
		opts.Interfaces = interfaces()
	}
	findings := trust(cfg)
	for _, s := range cfg.Sites {
		for _, address := range s.Upstreams {
			findings = append(findings, exposed(ctx, cfg, address, opts.Interfaces))
			findings = append(findings, credulous(ctx, s, address, opts.As))
		}
	}
	if opts.URL != nil {
		findings = append(findings, outside(ctx, cfg, opts)...)
	}
	return findings
}

// Problems counts the findings that are problems.
func Problems(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Status == Problem {
			n++
		}
	}
	return n
}

// interfaces lists this machine's addresses that are not loopback ones.
func interfaces() []netip.Addr {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	addresses := []netip.Addr{}
	for _, a := range found {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			addresses = append(addresses, p.Addr().Unmap())
		}
	}
	return addresses
}

// answer is what a request was answered, as far as it is compared.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

// ask sends a GET and reads the answer. Redirects are not followed.
func ask(ctx context.Context, transport *http.Transport, target string, header http.Header) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header = header.Clone()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	return answer{status: res.StatusCode, location: res.Header.Get("Location"), header: res.Header, body: string(body)}, nil
}

func newTransport(config *tls.Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	return &http.Transport{TLSClientConfig: config, DialContext: dial, DisableKeepAlives: true, ResponseHeaderTimeout: timeout}
}
