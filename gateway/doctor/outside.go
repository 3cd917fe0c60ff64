package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/gateway"
)

// invalidHost is a name that nobody has (RFC 2606 2).
const invalidHost = "doorward-doctor.invalid"

// outside tries the public address as a stranger would.
func outside(ctx context.Context, cfg gateway.Config, opts Options) []Finding {
	transport := newTransport(&tls.Config{RootCAs: opts.Roots, MinVersion: tls.VersionTLS12}, nil)
	p := prober{ctx: ctx, transport: transport, url: opts.URL, host: opts.URL.Hostname()}
	defer transport.CloseIdleConnections()
	first := p.stranger()
	findings := []Finding{first}
	if first.Status != OK {
		return findings // what follows compares with it
	}
	return append(findings, p.ownPages(), p.spoofedIdentity(cfg, opts.As), p.spoofedTarget(), p.spoofedHost(), p.closedQuestion())
}

// prober asks one public address.
type prober struct {
	ctx       context.Context
	transport *http.Transport
	url       *url.URL
	host      string
	before    answer // what a stranger gets
}

// visit asks for the page as a browser does that follows a link, with more headers.
func (p *prober) visit(target string, more ...string) (answer, error) {
	h := http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"none"}, "Sec-Fetch-Dest": {"document"}}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = []string{more[i+1]} // as spelled
	}
	return ask(p.ctx, p.transport, target, h)
}

// asksToSignIn tells whether an answer keeps a stranger out in Doorward's way, for this host.
func (p *prober) asksToSignIn(a answer) bool {
	switch a.status {
	case http.StatusUnauthorized:
		return strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Doorward ") || a.header.Get("X-Doorward-Location") != ""
	case http.StatusFound, http.StatusSeeOther:
		to, err := p.url.Parse(a.location)
		return err == nil && strings.EqualFold(to.Host, p.url.Host) && to.Path == "/.doorward/sign-in"
	default:
		return false
	}
}

func (p *prober) stranger() Finding {
	f := Finding{Check: "stranger", Subject: p.url.String(), Status: OK, Detail: "sends a stranger to the sign-in page"}
	a, err := p.visit(p.url.String())
	switch {
	case err != nil:
		return f.unknown("does not answer: "+err.Error(), "with a certificate of an authority of your own, name it with --ca-file")
	case p.asksToSignIn(a):
		p.before = a
	case a.status < 300:
		f.Status, f.Detail = Problem, fmt.Sprintf("lets a stranger see the page (%d)", a.status)
		f.Advice = "if the page is public, name one with --url that is not; else the proxy does not ask Doorward (docs/forward-auth.md)"
	default:
		return f.unknown(fmt.Sprintf("answers a stranger with %d %s", a.status, a.location), "name a page with --url that needs sign-in")
	}
	return f
}

func (p *prober) ownPages() Finding {
	f := Finding{Check: "own-pages", Subject: p.at("/.doorward/sign-in"), Status: OK, Detail: "is Doorward's sign-in page"}
	a, err := p.visit(f.Subject)
	switch {
	case err != nil:
		return f.unknown("does not answer: "+err.Error(), "")
	case a.status != http.StatusOK || !strings.Contains(a.body, "/.doorward/static/"):
		f.Status, f.Detail = Problem, fmt.Sprintf("is not Doorward's sign-in page (%d), so that nobody can sign in", a.status)
		f.Advice = "let the proxy send everything below /.doorward/ to Doorward, without asking"
	}
	return f
}

// spoofedIdentity sends every identity header of every site, in the spellings that servers confuse.
func (p *prober) spoofedIdentity(cfg gateway.Config, as string) Finding {
	if as == "" {
		as = "doorward-doctor"
	}
	var headers []string
	for _, s := range cfg.Sites {
		app, err := gateway.LoadApp(s.App)
		if err != nil {
			continue
		}
		for _, name := range []string{app.Identity.User, app.Identity.Email, app.Identity.Name, app.Identity.Roles, app.Identity.Secret} {
			if name != "" && !slices.Contains(headers, name) {
				headers = append(headers, name, as, strings.ReplaceAll(name, "-", "_"), as)
			}
		}
	}
	headers = append(headers, "X-Remote-User", as, "Remote-User", as)
	return p.same("spoofed-identity", "a stranger who sends identity headers is still one", headers,
		"let the proxy replace or remove these headers in every request (docs/forward-auth.md)")
}

// spoofedTarget claims that something else was asked for. If it is believed, the way back from the sign-in page shows it.
func (p *prober) spoofedTarget() Finding {
	return p.same("spoofed-target", "a stranger who claims another target gets the same answer", []string{
		"X-Forwarded-Uri", "/doorward-doctor", "X-Forwarded-Method", "HEAD", "X-Original-Url", "/doorward-doctor", "X-Rewrite-Url", "/doorward-doctor"},
		"let the proxy set X-Forwarded-Method and X-Forwarded-Uri itself in the question (docs/forward-auth.md)")
}

// spoofedHost claims another host. Doorward does not know it, which a proxy that believes it makes a fault of.
func (p *prober) spoofedHost() Finding {
	return p.same("spoofed-host", "a stranger who claims another host gets the same answer", []string{"X-Forwarded-Host", invalidHost, "X-Host", invalidHost},
		"let the proxy set X-Forwarded-Host itself in the question (docs/forward-auth.md)")
}

// same asks with headers that must change nothing.
func (p *prober) same(check, detail string, headers []string, advice string) Finding {
	f := Finding{Check: check, Subject: p.url.String(), Status: OK, Detail: detail}
	a, err := p.visit(p.url.String(), headers...)
	switch {
	case err != nil:
		return f.unknown("does not answer: "+err.Error(), "")
	case a.status < 300 || a.status == http.StatusMisdirectedRequest || a.status >= 500 || strings.Contains(a.location, invalidHost) || a.status/100 == 3 && a.location != p.before.location:
		f.Status, f.Detail, f.Advice = Problem, fmt.Sprintf("with forged headers a stranger gets %d %s instead of %d %s", a.status, a.location, p.before.status, p.before.location), advice
	}
	return f
}

// closedQuestion asks what only a proxy may ask.
func (p *prober) closedQuestion() Finding {
	f := Finding{Check: "authz-closed", Subject: p.at("/.doorward/authz"), Status: OK, Detail: "is closed to the outside"}
	for _, headers := range [][]string{nil, {"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", p.url.Host, "X-Forwarded-Uri", "/"}} {
		a, err := p.visit(f.Subject, headers...)
		if err != nil {
			return f.unknown("does not answer: "+err.Error(), "")
		}
		if a.status != http.StatusNotFound && a.status != http.StatusForbidden || a.header.Get("X-Doorward-Location") != "" {
			f.Status, f.Detail = Problem, fmt.Sprintf("answers a stranger's question (%d)", a.status)
			f.Advice = "let the proxy answer 404 there, but for its own questions"
		}
	}
	return f
}

// at is another path at the public address.
func (p *prober) at(path string) string {
	u := *p.url
	u.Path, u.RawPath, u.RawQuery, u.Fragment = path, "", "", ""
	return u.String()
}
