package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/decision"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

const attacker = "127.0.0.66"

// decisions is a list of a trial, as the demo has one; its store is db.
func decisions(t *testing.T) (list *decision.List, db *store.DB) {
	t.Helper()
	db = storetest.SQLite(t)
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	must(t, err)
	list, err = decision.Open(t.Context(), decision.Config{Trial: true, Allow: []string{"127.0.0.1", "::1"}},
		decision.Deps{DB: db, Journal: j, Log: slog.New(slog.DiscardHandler)}, time.Now())
	must(t, err)
	return list, db
}

func decideOn(t *testing.T, l *decision.List, action decision.Action, target string) {
	t.Helper()
	about, err := decision.ParseTarget(target)
	must(t, err)
	_, result, err := l.Decide(t.Context(), decision.Proposal{Action: action, Target: about, Origin: "detection:test", For: time.Hour, Key: target + string(action)}, time.Now())
	must(t, err)
	if result != decision.Made {
		t.Fatalf("%s of %s: got %s", action, target, result)
	}
}

// from is the client at another address of this machine, over TLS or not.
func (r *running) from(address string) *http.Client {
	c := r.client()
	transport, ok := c.Transport.(*http.Transport)
	if !ok {
		r.t.Fatal("the client has another transport")
	}
	transport.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(to)
		if err != nil {
			return nil, err
		}
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		return dialer.DialContext(ctx, network, "127.0.0.1:"+port)
	}
	return c
}

func fetch(t *testing.T, c *http.Client, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return res, string(body)
}

func TestBanned(t *testing.T) {
	t.Parallel()
	list, db := decisions(t)
	r := startWith(t, gateway.Deps{Decisions: list}, gateway.Config{}, publicSite(t, application(t, ok).URL))
	for _, kind := range []string{"plain", "https"} {
		if res, _ := fetch(t, r.from(attacker), http.MethodGet, r.url(kind, "/")); res.StatusCode != http.StatusOK {
			t.Errorf("%s: before the ban: %d", kind, res.StatusCode)
		}
	}
	decideOn(t, list, decision.Ban, attacker)
	must(t, db.Close()) // bans go on without the store
	for _, kind := range []string{"plain", "https"} {
		for _, path := range []string{"/", "/.doorward/sign-in", "/.doorward/static/doorward.css", "/%2e%2e/"} {
			res, body := fetch(t, r.from(attacker), http.MethodGet, r.url(kind, path))
			id := res.Header.Get("X-Request-Id")
			if res.StatusCode != http.StatusForbidden || id == "" || !strings.Contains(body, id) || res.ProtoMajor == 1 && !res.Close {
				t.Errorf("%s %s: got %d, request id %q, close %v; want 403 with an id and the connection closed\n%s", kind, path, res.StatusCode, id, res.Close, body)
			}
		}
		// What a client says of itself never changes who is judged.
		for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip"} {
			value := "127.0.0.1"
			if header == "Forwarded" {
				value = "for=127.0.0.1"
			}
			if res, _ := fetch(t, r.from(attacker), http.MethodGet, r.url(kind, "/"), header, value); res.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s: %s lets a banned address in: %d", kind, header, value, res.StatusCode)
			}
			value = strings.ReplaceAll(value, "127.0.0.1", attacker)
			if res, _ := fetch(t, r.from("127.0.0.67"), http.MethodGet, r.url(kind, "/"), header, value); res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s: %s has another address refused: %d", kind, header, value, res.StatusCode)
			}
		}
	}
	if res, _ := fetch(t, r.from(attacker), http.MethodGet, r.url("http", "/")); res.StatusCode != http.StatusForbidden {
		t.Errorf("the redirect to https: got %d, want 403", res.StatusCode)
	}
	if n := r.Stats().Refused["banned"]; n == 0 {
		t.Error("nothing is counted")
	}
}

// TestBannedOverHTTP2 wants the answer and then GOAWAY.
func TestBannedOverHTTP2(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	r := startWith(t, gateway.Deps{Decisions: list}, gateway.Config{}, publicSite(t, application(t, ok).URL))
	decideOn(t, list, decision.Ban, attacker)
	dialer := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(attacker)}},
		Config: &tls.Config{RootCAs: r.roots, ServerName: "localhost", NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", r.address("https"))
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, http2.ClientPreface)
	must(t, err)
	c := &h2Client{Framer: http2.NewFramer(conn, conn), conn: conn.(*tls.Conn), host: "localhost"}
	must(t, c.WriteSettings())
	must(t, c.get(1, "/"))
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	status, away := "", false
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			break
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			status = f.PseudoValue("status")
		case *http2.GoAwayFrame:
			away = true
		}
	}
	if status != "403" || !away {
		t.Errorf("got %s, told to go away: %v; want 403 and GOAWAY", status, away)
	}
}

func TestBanBehindTrustedProxy(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	cfg := gateway.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.68/32")}}
	r := startWith(t, gateway.Deps{Decisions: list}, cfg, publicSite(t, application(t, ok).URL))
	decideOn(t, list, decision.Ban, "203.0.113.7")
	for forwarded, want := range map[string]int{
		"203.0.113.7":              http.StatusForbidden,
		"127.0.0.1, 203.0.113.7":   http.StatusForbidden, // the left one is the client's own word
		"203.0.113.7, 203.0.113.8": http.StatusOK,
		"[::ffff:203.0.113.7]":     http.StatusForbidden,
	} {
		res, _ := fetch(t, r.from("127.0.0.68"), http.MethodGet, r.url("plain", "/"), "X-Forwarded-For", forwarded)
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", forwarded, res.StatusCode, want)
		}
		if res.Close {
			t.Errorf("%s: the proxy's connection is closed, which carries others too", forwarded)
		}
	}
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	r := startWith(t, gateway.Deps{Decisions: list}, gateway.Config{}, publicSite(t, application(t, ok).URL))
	decideOn(t, list, decision.Throttle, "127.0.0.64/28")
	client, passed := r.from(attacker), 0
	for range 12 {
		res, _ := fetch(t, client, http.MethodGet, r.url("plain", "/"))
		switch {
		case res.StatusCode == http.StatusOK:
			passed++
		case res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "":
			t.Fatalf("got %d with Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	if passed < 5 || passed > 7 {
		t.Errorf("%d requests of 12 passed, want the burst of 5", passed)
	}
	if res, _ := fetch(t, r.from("127.0.0.67"), http.MethodGet, r.url("plain", "/")); res.StatusCode != http.StatusOK {
		t.Errorf("another address of the network has no rate of its own: %d", res.StatusCode)
	}
}

var formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

func TestChallenged(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	seen := make(chan string, 10)
	app := application(t, func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("Cookie") })
	r := startWith(t, gateway.Deps{Decisions: list}, gateway.Config{}, publicSite(t, app.URL))
	decideOn(t, list, decision.Challenge, attacker)
	client := r.from(attacker)
	if res, _ := fetch(t, client, http.MethodGet, r.url("https", "/a?b=c")); res.StatusCode != http.StatusForbidden {
		t.Errorf("a program got %d, want 403", res.StatusCode)
	}
	res, _ := fetch(t, client, http.MethodGet, r.url("https", "/a?b=c"), "Accept", "text/html")
	if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != "/.doorward/challenge?return_to=%2Fa%3Fb%3Dc" {
		t.Fatalf("got %d to %q", res.StatusCode, got)
	}
	res, page := fetch(t, client, http.MethodGet, r.url("https", "/.doorward/challenge?return_to=%2Fa%3Fb%3Dc"), "Accept", "text/html")
	token := formToken.FindStringSubmatch(page)
	if res.StatusCode != http.StatusOK || token == nil || strings.Contains(page, "<script") {
		t.Fatalf("got %d\n%s", res.StatusCode, page)
	}
	answer := func(c *http.Client, token string) *http.Response {
		form := url.Values{"token": {token}, "return_to": {"/a?b=c"}}
		res, err := c.PostForm(r.url("https", "/.doorward/challenge"), form)
		must(t, err)
		res.Body.Close()
		return res
	}
	if res := answer(client, "x"+token[1][1:]); res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 {
		t.Errorf("a forged form got %d and cookies %v", res.StatusCode, res.Cookies())
	}
	if res := answer(r.from("127.0.0.67"), token[1]); len(res.Cookies()) != 0 {
		t.Error("another address used the form")
	}
	res = answer(client, token[1])
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/a?b=c" || len(res.Cookies()) != 1 {
		t.Fatalf("got %d to %q with %v", res.StatusCode, res.Header.Get("Location"), res.Cookies())
	}
	pass := res.Cookies()[0]
	if pass.Name != "__Host-doorward-challenge" || !pass.Secure || !pass.HttpOnly || pass.Path != "/" || pass.MaxAge != 1800 {
		t.Errorf("got the cookie %v", pass)
	}
	for _, c := range []struct {
		from, cookie string
		want         int
	}{
		{attacker, pass.Name + "=" + pass.Value + "; mine=1", http.StatusOK},
		{attacker, pass.Name + "=" + token[1], http.StatusForbidden}, // the form is no pass
		{attacker, pass.Name + "=" + pass.Value + "; " + pass.Name + "=" + pass.Value, http.StatusForbidden},
		{attacker, pass.Name + "=", http.StatusForbidden},
	} {
		if res, _ := fetch(t, r.from(c.from), http.MethodGet, r.url("https", "/"), "Cookie", c.cookie); res.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", c.cookie, res.StatusCode, c.want)
		}
	}
	if got := <-seen; got != "mine=1" {
		t.Errorf("the application saw the cookies %q", got)
	}
	decideOn(t, list, decision.Challenge, "127.0.0.67")
	if res, _ := fetch(t, r.from("127.0.0.67"), http.MethodGet, r.url("https", "/"), "Cookie", pass.Name+"="+pass.Value); res.StatusCode != http.StatusForbidden {
		t.Errorf("another address used the cookie: %d", res.StatusCode)
	}
}

func TestBannedCountry(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	country := func(a netip.Addr) (string, bool) {
		if a == netip.MustParseAddr("127.0.0.67") {
			return "", true
		}
		return "XX", false
	}
	r := startWith(t, gateway.Deps{Decisions: list, Country: country}, gateway.Config{}, publicSite(t, application(t, ok).URL))
	decideOn(t, list, decision.Ban, "country:XX")
	for address, want := range map[string]int{attacker: http.StatusForbidden, "127.0.0.67": http.StatusOK, "127.0.0.1": http.StatusOK} {
		if res, _ := fetch(t, r.from(address), http.MethodGet, r.url("plain", "/")); res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", address, res.StatusCode, want)
		}
	}
}

func TestBanEndsOpenStreams(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	r := startWith(t, gateway.Deps{Decisions: list}, gateway.Config{}, publicSite(t, application(t, eventStream(nil)).URL))
	open := func(from string) io.Reader {
		res, err := r.from(from).Get(r.url("plain", "/events"))
		must(t, err)
		t.Cleanup(func() { res.Body.Close() })
		first := make([]byte, 13)
		_, err = io.ReadFull(res.Body, first)
		must(t, err)
		return res.Body
	}
	banned, other := open(attacker), open("127.0.0.67")
	decideOn(t, list, decision.Ban, attacker)
	began := time.Now()
	if _, err := io.ReadAll(banned); err == nil || time.Since(began) > busySecond {
		t.Errorf("the stream ended with %v after %v; want it broken within a second", err, time.Since(began))
	}
	ended := make(chan struct{})
	go func() { _, _ = io.ReadAll(other); close(ended) }()
	select {
	case <-ended:
		t.Error("the stream of another address ended too")
	case <-time.After(600 * time.Millisecond):
	}
}

func TestProxiesAskAboutBans(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	r := startWith(t, gateway.Deps{Decisions: list}, trusting("127.0.0.1/32"), authzSite(t))
	decideOn(t, list, decision.Ban, "203.0.113.7")
	decideOn(t, list, decision.Challenge, "203.0.113.8")
	for client, want := range map[string]int{"203.0.113.7": http.StatusForbidden, "203.0.113.8": http.StatusForbidden, "203.0.113.9": http.StatusOK} {
		res := r.ask(question{uri: "/open", header: http.Header{"X-Forwarded-For": {client}, "Accept": {"text/html"}}})
		if res.StatusCode != want || res.Close {
			t.Errorf("%s: got %d, close %v; want %d and the proxy's connection kept", client, res.StatusCode, res.Close, want)
		}
		if hint := res.Header.Get("X-Doorward-Location"); (hint != "") != (client == "203.0.113.8") {
			t.Errorf("%s: the proxy was told %q", client, hint)
		}
	}
}

func TestAllowedAddressHasNoRate(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	cfg := gateway.Config{Limits: gateway.LimitsConfig{RequestsPerSecond: 1, Burst: 2}}
	r := startWith(t, gateway.Deps{Decisions: list}, cfg, publicSite(t, application(t, ok).URL))
	for address, want := range map[string]bool{"127.0.0.1": false, attacker: true} {
		limited := false
		for range 8 {
			res, _ := fetch(t, r.from(address), http.MethodGet, r.url("plain", "/"))
			limited = limited || res.StatusCode == http.StatusTooManyRequests
		}
		if limited != want {
			t.Errorf("%s: limited is %v, want %v", address, limited, want)
		}
	}
}

// TestBannedAccount uses the list for accounts and gateway alike.
func TestBannedAccount(t *testing.T) {
	t.Parallel()
	list, _ := decisions(t)
	site := publicSite(t, application(t, ok).URL)
	site.Access = nil
	r := startWith(t, gateway.Deps{Decisions: list}, gateway.Config{}, site)
	cookie, _ := r.signIn("maria")
	get := func() int {
		res, _ := fetch(t, r.client(), http.MethodGet, r.url("https", "/"), "Cookie", fmt.Sprintf("%s=%s", cookie.Name, cookie.Value))
		return res.StatusCode
	}
	if got := get(); got != http.StatusOK {
		t.Fatalf("before the ban: %d", got)
	}
	decideOn(t, list, decision.Ban, "account:MARIA")
	if got := get(); got != http.StatusUnauthorized {
		t.Errorf("with the account banned: %d, want 401", got)
	}
	_, err := r.auth.SignIn(t.Context(), auth.Attempt{Login: "maria", Password: "seventeen letters", Address: netip.MustParseAddr("127.0.0.5"),
		Realm: auth.SiteRealm, Host: "localhost", Site: "localhost"}, time.Now())
	if err == nil {
		t.Error("a banned account signed in")
	}
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, bytes.NewReader([]byte("ok"))) }
