package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/gateway"
)

// exposed tries whether an application's port can be reached at this machine's other addresses than loopback: then
// people can go around the gateway (I-83).
func exposed(ctx context.Context, cfg gateway.Config, address string, interfaces []netip.Addr) Finding {
	f := Finding{Check: "upstream-exposed", Subject: address, Status: OK, Detail: "accepts connections at loopback addresses only"}
	if strings.HasPrefix(address, "unix:") {
		f.Detail = "is a unix socket, which only this machine can open"
		return f
	}
	host, port, addresses, err := resolve(ctx, address)
	if err != nil {
		return f.unknown("cannot be resolved: "+err.Error(), "")
	}
	if !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return a.IsLoopback() || slices.Contains(interfaces, a) }) {
		return f.unknown(host+" is another machine", "let its firewall admit this one alone")
	}
	var open []string
	for _, a := range interfaces {
		target := netip.AddrPortFrom(a, port).String()
		if !slices.Contains(cfg.Listen.HTTPS, target) && !slices.Contains(cfg.Listen.HTTP, target) && accepts(ctx, target) {
			open = append(open, target)
		}
	}
	if len(open) > 0 {
		f.Status, f.Detail = Problem, "accepts connections at "+strings.Join(open, ", ")+", so that people can go around Doorward"
		f.Advice = "let it listen on 127.0.0.1 or a unix socket, or close the port in the firewall for everybody else"
	}
	return f
}

func (f Finding) unknown(detail, advice string) Finding {
	f.Status, f.Detail, f.Advice = Unknown, detail, advice
	return f
}

// resolve reads an upstream's address.
func resolve(ctx context.Context, address string) (host string, port uint16, addresses []netip.Addr, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", 0, nil, err
	}
	service := u.Port()
	if service == "" {
		service = u.Scheme
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return "", 0, nil, err
	}
	addresses, err = net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	for i, a := range addresses {
		addresses[i] = a.Unmap()
	}
	return u.Hostname(), uint16(number), addresses, err
}

func accepts(ctx context.Context, target string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", target)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// credulous tries whether an application believes an identity header without the shared secret: then everybody who
// reaches its port is whoever they say (I-83).
func credulous(ctx context.Context, s gateway.SiteConfig, address, as string) Finding {
	f := Finding{Check: "identity-believed", Subject: address, Status: OK, Detail: "answers the same whether a header names somebody or not"}
	app, err := gateway.LoadApp(s.App)
	if err != nil {
		return f.unknown(err.Error(), "")
	}
	if s.Identity.Off || app.Identity.User == "" {
		return f.unknown("the application is told no identity by a header", "")
	}
	if as == "" {
		return f.unknown("not tried", "name an account that the application knows with --as NAME; the application may note a visit of that person, or make the account")
	}
	transport, target := direct(address)
	defer transport.CloseIdleConnections()
	named := http.Header{}
	for _, h := range [][2]string{{app.Identity.User, as}, {app.Identity.Name, as}, {app.Identity.Email, as + "@example.invalid"}, {app.Identity.Roles, "user"}} {
		if h[0] != "" {
			named.Set(h[0], h[1])
		}
	}
	host := http.Header{"X-Forwarded-Host": s.Hosts[:1], "X-Forwarded-Proto": {"https"}}
	for name, values := range host {
		named[name] = values
	}
	var answers [3]answer
	for i, header := range []http.Header{host, host, named} {
		if answers[i], err = ask(ctx, transport, target, header); err != nil {
			return f.unknown("does not answer: "+err.Error(), "")
		}
	}
	return f.compare(answers[0], answers[1], answers[2], app.Identity.User, as)
}

// compare judges two answers to nobody and one to somebody who is named.
func (f Finding) compare(nobody, again, named answer, header, as string) Finding {
	believed := ""
	switch {
	case strings.Contains(named.body, as) && !strings.Contains(nobody.body, as):
		believed = "shows that name"
	case nobody.status == again.status && named.status != nobody.status:
		believed = fmt.Sprintf("answers %d instead of %d", named.status, nobody.status)
	case nobody.location == again.location && named.location != nobody.location:
		believed = fmt.Sprintf("leads to %q instead of %q", named.location, nobody.location)
	case nobody.body != again.body:
		return f.unknown("its answers differ each time, so that they tell nothing", "")
	case named.body != nobody.body:
		believed = "answers with another page"
	}
	if believed != "" {
		f.Status, f.Detail = Problem, fmt.Sprintf("with %s: %s and no shared secret it %s", header, as, believed)
		f.Advice = "let the application check the shared secret or the signed assertion (docs/requests.md)"
	}
	return f
}

// direct is a way to an upstream that does not verify its certificate: no secret is sent, and only answers are compared.
func direct(address string) (*http.Transport, string) {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return newTransport(config, func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: timeout}).DialContext(ctx, "unix", path)
		}), "http://localhost/"
	}
	return newTransport(config, nil), strings.TrimSuffix(address, "/") + "/"
}
