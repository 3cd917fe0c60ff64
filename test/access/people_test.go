package access_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-rod/rod/lib/proto"

	"github.com/doorward/doorward/test/real"
)

// person is a browser profile of its own at one address.
type person struct {
	*real.Page
	t   testing.TB
	url string // of the site
}

// at opens a page in a new browser profile whose requests come from address.
func (d *desk) at(t *testing.T, address, path string) *person {
	t.Helper()
	created, err := proto.TargetCreateBrowserContext{ProxyServer: proxyFrom(t, address), ProxyBypassList: "<-loopback>"}.Call(d.browser)
	if err != nil {
		t.Fatalf("make a browser profile: %v", err)
	}
	profile := *d.browser
	profile.BrowserContextID = created.BrowserContextID
	t.Cleanup(func() {
		_ = proto.TargetDisposeBrowserContext{BrowserContextID: created.BrowserContextID}.Call(d.browser)
	})
	return &person{real.Open(t, &profile, d.url+path), t, d.url}
}

// proxyFrom is a proxy that passes bytes on, unread, from another loopback address: a browser cannot choose its own.
func proxyFrom(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, port, err := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || err != nil {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		there, err := dialer.DialContext(r.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		go func() {
			_, _ = io.Copy(there, here)
			there.Close()
		}()
		_, _ = io.Copy(here, there) // ends with either side
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

func (p *person) signIn(name, password string) {
	p.t.Helper()
	p.Fill("#username", name)
	p.Fill("#password", password)
	p.Click("button[type=submit]")
}

// choosePassword is the forced change at the first sign-in.
func (p *person) choosePassword(password string) {
	p.t.Helper()
	p.wantAt("/.doorward/sign-in/password")
	p.Fill("#new_password", password)
	p.Fill("#repeat_password", password)
	p.Click("button[type=submit]")
}

// makePasskey sets the passkey up that the sign-in demands, and returns the first recovery code.
func (p *person) makePasskey() (recovery string) {
	p.t.Helper()
	p.offeredPasskey()
	p.Eval(`() => document.querySelector('.passkey button').click()`)
	p.Await("#recovery:not([hidden]) li")
	if got := p.Eval(`() => document.querySelectorAll('#recovery li').length`); got != "10" {
		p.t.Errorf("%s recovery codes, want 10", got)
	}
	p.wantText("I have kept them")
	recovery = p.Eval(`() => document.querySelector('#recovery li code').innerText`)
	p.Click("#recovery a")
	return recovery
}

// offeredPasskey wants the page that sets a factor up to have a passkey, and nothing else.
func (p *person) offeredPasskey() {
	p.t.Helper()
	p.wantAt("/.doorward/sign-in/enrol")
	p.wantText("Make a passkey")
	if p.Eval(`() => document.querySelectorAll('button[name=do]').length`) != "0" {
		p.t.Error("an authenticator app is offered where a passkey is demanded")
	}
}

// makeApp sets an authenticator app up, and returns its secret.
func (p *person) makeApp() (secret string) {
	p.t.Helper()
	p.wantAt("/.doorward/sign-in/enrol")
	p.wantText("Set up an authenticator app")
	p.Click("button[name=do]")
	secret = p.Eval(`() => document.querySelector('#secret').innerText`)
	p.Fill("#code", real.Code(p.t, secret, -1))
	p.Click("button[value=confirm]")
	p.wantText("I have kept them")
	p.Click("#kept")
	return secret
}

func (p *person) wantAt(path string) {
	p.t.Helper()
	if got := strings.TrimPrefix(p.URL(), p.url); got != path {
		p.t.Fatalf("at %s, want %s\n%s", got, path, p.Text())
	}
}

func (p *person) wantText(text string) {
	p.t.Helper()
	if got := p.Text(); !strings.Contains(got, text) {
		p.t.Fatalf("%s lacks %q:\n%s", p.URL(), text, got)
	}
}

// wantWho wants the application's greeting at path.
func (p *person) wantWho(name, path string) {
	p.t.Helper()
	p.wantAt(path)
	p.wantText("Hello " + name)
}

// wantRefused wants that path is answered 403.
func (p *person) wantRefused(path string) {
	p.t.Helper()
	p.Go(p.url + path)
	p.wantStatus("403")
	p.wantText("Request ")
}

func (p *person) wantStatus(want string) {
	p.t.Helper()
	if got := p.Eval(`() => performance.getEntriesByType('navigation')[0].responseStatus`); got != want {
		p.t.Errorf("%s answered %s, want %s\n%s", p.URL(), got, want, p.Text())
	}
}

// cookie is the session's cookie.
func (p *person) cookie() *proto.NetworkCookie {
	p.t.Helper()
	all, err := p.Cookies([]string{p.url})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range all {
		if c.Name == "__Host-doorward" {
			return c
		}
	}
	p.t.Fatal("the browser has no session's cookie")
	return nil
}
