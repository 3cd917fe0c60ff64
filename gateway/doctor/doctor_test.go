package doctor_test

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/gateway/doctor"
	"github.com/doorward/doorward/porttest"
)

// other is a loopback address that stands for one that other machines reach.
var other = netip.MustParseAddr("127.0.0.2")

func examine(t *testing.T, cfg gateway.Config, opts doctor.Options) map[string]doctor.Finding {
	t.Helper()
	if opts.Interfaces == nil {
		opts.Interfaces = []netip.Addr{other}
	}
	found := make(map[string]doctor.Finding)
	for _, f := range doctor.Examine(t.Context(), cfg, opts) {
		found[f.Check+" "+f.Subject] = f
	}
	return found
}

func expect(t *testing.T, found map[string]doctor.Finding, key string, want doctor.Status) {
	t.Helper()
	f, ok := found[key]
	if !ok || f.Status != want {
		t.Errorf("%s: got %+v, want %s", key, f, want)
	}
	if f.Status == doctor.Problem && f.Advice == "" {
		t.Errorf("%s: the problem has no advice", key)
	}
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func site(upstreams ...string) gateway.Config {
	return gateway.Config{Sites: []gateway.SiteConfig{{Hosts: []string{"desk.example.com"}, Upstreams: upstreams, App: "generic"}}}
}

// TestUpstreamExposed: a port that answers at another address than loopback is a way past the gateway.
func TestUpstreamExposed(t *testing.T) {
	hidden := serve(t, func(http.ResponseWriter, *http.Request) {})
	port, err := porttest.Free() // of a port that the kernel chooses, another test may have its counterpart at 127.0.0.2
	if err != nil {
		t.Fatal(err)
	}
	open := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	open.Listener.Close()
	if open.Listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
		t.Fatal(err)
	}
	open.Start()
	defer open.Close()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tls := strings.Replace(open.URL, "http://", "https://", 1)
	found := examine(t, site(hidden.URL, open.URL, tls, "unix:/run/app.sock", "http://192.0.2.1:8080", "http://127.0.0.2:1"), doctor.Options{})
	for key, want := range map[string]doctor.Status{hidden.URL: doctor.OK, open.URL: doctor.Problem, tls: doctor.Problem, "unix:/run/app.sock": doctor.OK,
		"http://192.0.2.1:8080": doctor.Unknown, "http://127.0.0.2:1": doctor.OK} {
		expect(t, found, "upstream-exposed "+key, want)
	}
}

// TestIdentityBelieved: an application that believes a header from anybody is found, one that asks for the secret is not.
func TestIdentityBelieved(t *testing.T) {
	var count atomic.Int64
	for name, c := range map[string]struct {
		app  http.HandlerFunc
		want doctor.Status
	}{
		"shows the name": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello %s %d", r.Header.Get("X-Doorward-User"), count.Add(1))
		}, doctor.Problem},
		"lets in": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Doorward-User") == "" {
				w.WriteHeader(401)
			}
		}, doctor.Problem},
		"leads elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/home"+r.Header.Get("X-Doorward-User")[:min(1, len(r.Header.Get("X-Doorward-User")))], http.StatusFound)
		}, doctor.Problem},
		"shows another page":  {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, len(r.Header.Get("X-Doorward-User"))) }, doctor.Problem},
		"asks for the secret": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }, doctor.OK},
		"does not care":       {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }, doctor.OK},
		"never the same":      {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, count.Add(1)) }, doctor.Unknown},
	} {
		up := serve(t, c.app)
		found := examine(t, site(up.URL), doctor.Options{As: "anna"})
		if f := found["identity-believed "+up.URL]; f.Status != c.want {
			t.Errorf("%s: got %+v, want %s", name, f, c.want)
		}
	}
	asked := new(atomic.Int64)
	up := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	expect(t, examine(t, site(up.URL), doctor.Options{}), "identity-believed "+up.URL, doctor.Unknown)
	if asked.Load() != 0 {
		t.Error("without --as the application was asked")
	}
	expect(t, examine(t, site("http://127.0.0.1:1"), doctor.Options{As: "anna"}), "identity-believed http://127.0.0.1:1", doctor.Unknown)
}

// TestTrust: who may tell the client's address, and who may ask.
func TestTrust(t *testing.T) {
	p := netip.MustParsePrefix
	cfg := gateway.Config{
		Listen:         gateway.ListenConfig{Plain: []string{"127.0.0.1:8080"}},
		TrustedProxies: []netip.Prefix{p("10.0.0.0/16"), p("192.0.2.1/32"), p("198.51.100.0/28"), p("127.0.0.0/8")},
		ForwardAuth:    gateway.ForwardAuthConfig{Trusted: []netip.Prefix{p("192.0.2.1/32"), p("203.0.113.9/32")}},
		Zones:          []gateway.ZoneConfig{{Name: "office", Networks: []netip.Prefix{p("198.51.100.0/24")}}},
		Sites:          []gateway.SiteConfig{{Hosts: []string{"a.example"}, ForwardAuth: true, App: "generic"}},
	}
	found := examine(t, cfg, doctor.Options{})
	for key, want := range map[string]doctor.Status{
		"trusted-networks trusted_proxies 10.0.0.0/16": doctor.Problem, "trusted-networks trusted_proxies 192.0.2.1/32": doctor.OK,
		"trusted-networks trusted_proxies 198.51.100.0/28": doctor.Problem, "trusted-networks trusted_proxies 127.0.0.0/8": doctor.OK,
		"client-address listen.plain": doctor.OK, "client-address forward_auth.trusted 203.0.113.9/32": doctor.Problem,
	} {
		expect(t, found, key, want)
	}
	if f, ok := found["client-address forward_auth.trusted 192.0.2.1/32"]; ok {
		t.Errorf("got %+v for a proxy that is trusted both ways, want nothing", f)
	}
	cfg.TrustedProxies, cfg.ForwardAuth.Trusted = nil, nil
	expect(t, examine(t, cfg, doctor.Options{}), "client-address listen.plain", doctor.Problem)
}

// proxy is a front as it should be: it sends strangers to the sign-in page and has Doorward's pages.
func proxy(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/.doorward/authz"):
		w.WriteHeader(404)
	case strings.HasPrefix(r.URL.Path, "/.doorward/"):
		fmt.Fprint(w, `<link rel="stylesheet" href="/.doorward/static/doorward.css">`)
	default:
		w.Header().Set("Location", "https://"+r.Host+"/.doorward/sign-in?return_to=%2F")
		w.WriteHeader(302)
	}
}

// TestOutside: each hole that a proxy can have is found, and none where there is none.
func TestOutside(t *testing.T) {
	for name, c := range map[string]struct {
		front http.HandlerFunc
		want  map[string]doctor.Status // all others are ok
	}{
		"as it should be": {proxy, nil},
		"asks nobody":     {func(w http.ResponseWriter, r *http.Request) {}, map[string]doctor.Status{"stranger": doctor.Problem}},
		"broken":          {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) }, map[string]doctor.Status{"stranger": doctor.Unknown}},
		"leads elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/.doorward/sign-in", http.StatusFound)
		}, map[string]doctor.Status{"stranger": doctor.Unknown}},
		"believes a name": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Doorward-User") == "" {
				proxy(w, r)
			}
		}, map[string]doctor.Status{"spoofed-identity": doctor.Problem}},
		"believes a name with underscores": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header["X_doorward_user"] == nil {
				proxy(w, r)
			}
		}, map[string]doctor.Status{"spoofed-identity": doctor.Problem}},
		"believes a target": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Forwarded-Uri") == "" {
				proxy(w, r)
			}
		}, map[string]doctor.Status{"spoofed-target": doctor.Problem, "authz-closed": doctor.Problem}},
		"believes a host": {func(w http.ResponseWriter, r *http.Request) {
			if h := r.Header.Get("X-Forwarded-Host"); h != "" && r.URL.Path == "/" {
				http.Redirect(w, r, "https://"+h+"/.doorward/sign-in?return_to=%2F", http.StatusFound)
				return
			}
			proxy(w, r)
		}, map[string]doctor.Status{"spoofed-host": doctor.Problem}},
		"answers questions": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/.doorward/authz" {
				w.WriteHeader(400)
				return
			}
			proxy(w, r)
		}, map[string]doctor.Status{"authz-closed": doctor.Problem}},
		"sends our pages elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/.doorward/sign-in" {
				http.NotFound(w, r)
				return
			}
			proxy(w, r)
		}, map[string]doctor.Status{"own-pages": doctor.Problem}},
	} {
		front := httptest.NewTLSServer(c.front)
		u, err := url.Parse(front.URL + "/")
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(front.Certificate())
		for _, f := range doctor.Examine(t.Context(), gateway.Config{Sites: []gateway.SiteConfig{{Hosts: []string{"a.example"}, App: "generic"}}}, doctor.Options{URL: u, Roots: roots}) {
			want := c.want[f.Check]
			if want == "" {
				want = doctor.OK
			}
			if f.Status != want {
				t.Errorf("%s: got %+v, want %s", name, f, want)
			}
		}
		front.Close()
	}
}
