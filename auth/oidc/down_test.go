package oidc_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/auth/oidc"
)

const document, tokens, keySet = "/.well-known/openid-configuration", "/token", "/keys"

func refuse(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "maintenance", http.StatusServiceUnavailable)
}

// TestProviderThatComesUpLate: neither starting nor a hundred impatient people ask more than now and then, and it works
// once the provider does.
func TestProviderThatComesUpLate(t *testing.T) {
	s := newServer(t)
	s.on(document, refuse)
	p := s.provider(nil)
	if got := s.asked(document); got != 0 {
		t.Fatalf("making the client asked %d times, want 0", got)
	}
	for i := range 100 {
		_, _, err := p.Begin(t.Context(), host, "/", start.Add(time.Duration(i)*5*time.Millisecond))
		wantReason(t, err, oidc.ProviderDown)
	}
	if got := s.asked(document); got != 1 {
		t.Errorf("a hundred people in half a second asked %d times, want 1", got)
	}
	at := start
	for range 600 {
		at = at.Add(time.Second)
		_, _, err := p.Begin(t.Context(), host, "/", at)
		wantReason(t, err, oidc.ProviderDown)
	}
	if got := s.asked(document); got > 20 {
		t.Errorf("ten minutes of failures asked %d times, want at most 20", got)
	}
	s.on(document, nil)
	s.now = at.Add(time.Minute)
	if _, err := s.signIn(p); err != nil {
		t.Errorf("the provider is up: %v", err)
	}
}

// TestProviderThatGoesDown: what it published serves for a while, but no sign-in is finished without it.
func TestProviderThatGoesDown(t *testing.T) {
	s := newServer(t)
	p := s.provider(nil)
	if _, err := s.signIn(p); err != nil {
		t.Fatal(err)
	}
	s.on(document, refuse)
	s.on(keySet, refuse)
	s.now = start.Add(3 * time.Hour)
	if _, err := s.signIn(p); err != nil {
		t.Errorf("configuration and keys of three hours ago: %v", err)
	}
	s.now = start.Add(25 * time.Hour)
	_, err := s.signIn(p)
	wantReason(t, err, oidc.ProviderDown)
	s.on(tokens, refuse)
	s.on(keySet, nil)
	s.now = s.now.Add(2 * time.Minute)
	_, err = s.signIn(p)
	wantReason(t, err, oidc.ProviderDown)
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error would forge a line of the log: %q", err)
	}
	_, _, err = p.Begin(t.Context(), host, "/", start.Add(8*24*time.Hour))
	wantReason(t, err, oidc.ProviderDown)
}

func TestKeysAreReplaced(t *testing.T) {
	s := newServer(t)
	p := s.provider(nil)
	first := s.keys[0]
	if _, err := s.signIn(p); err != nil {
		t.Fatal(err)
	}
	s.keys = []key{newKey(t, "second", jose.RS256), first}
	s.now = start.Add(time.Minute)
	if _, err := s.signIn(p); err != nil {
		t.Errorf("by the new key: %v", err)
	}
	if got := s.asked(keySet); got != 2 {
		t.Errorf("the keys were fetched %d times, want 2", got)
	}
	// The first is withdrawn, because somebody stole it: an hour later at the latest it is good for nothing.
	s.keys = s.keys[:1]
	s.token = func(c any) string { return s.sign(first, "JWT", c) }
	s.now = start.Add(62 * time.Minute)
	_, err := s.signIn(p)
	wantReason(t, err, oidc.TokenInvalid)
}

// TestUnknownKeysAreNoWayToFloodTheProvider: anybody can post a logout token.
func TestUnknownKeysAreNoWayToFloodTheProvider(t *testing.T) {
	s := newServer(t)
	p := s.provider(nil)
	if _, err := s.signIn(p); err != nil {
		t.Fatal(err)
	}
	stranger := newKey(t, "unknown", jose.ES256)
	before := s.asked(keySet)
	for i := range 1000 {
		_, err := p.Logout(t.Context(), s.sign(stranger, "logout+jwt", logoutClaims(s)), start.Add(time.Duration(i)*20*time.Millisecond))
		wantReason(t, err, oidc.TokenInvalid)
	}
	if got := s.asked(keySet) - before; got > 2 {
		t.Errorf("a thousand tokens in 20 s fetched the keys %d times, want at most 2", got)
	}
}

func TestKeySetsThatCannotBeUsed(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	strong := newKey(t, "k", jose.ES256)
	many := strings.Repeat(`{"kty":"oct","k":"AAAA"},`, 100) + `{"kty":"oct","k":"AAAA"}`
	for name, c := range map[string]struct {
		set    any
		key    key
		reason oidc.Reason
	}{
		"no keys":          {map[string]any{"keys": []any{}}, strong, oidc.ProviderDown},
		"not a set":        {[]int{1}, strong, oidc.ProviderDown},
		"too many":         {rawJSON(`{"keys":[` + many + `]}`), strong, oidc.ProviderDown},
		"secret keys only": {rawJSON(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`), strong, oidc.ProviderDown},
		"weak RSA": {jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: weak.Public(), KeyID: "w"}, {Key: strong.private.Public(), KeyID: "k"}}},
			key{"w", jose.RS256, weak}, oidc.TokenInvalid},
		"for encryption": {jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: strong.private.Public(), KeyID: "k", Use: "enc"}}}, strong, oidc.ProviderDown},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.on(keySet, func(w http.ResponseWriter, r *http.Request) { writeJSON(w, c.set) })
			s.token = func(claims any) string { return s.sign(c.key, "JWT", claims) }
			_, err := s.signIn(s.provider(nil))
			wantReason(t, err, c.reason)
		})
	}
}

func TestDocumentsThatAreNotBelieved(t *testing.T) {
	for name, lie := range map[string]func(map[string]any){
		"another issuer":           func(d map[string]any) { d["issuer"] = "https://login.evil.example" },
		"script as the address":    func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" },
		"plain http elsewhere":     func(d map[string]any) { d["token_endpoint"] = "http://192.0.2.1/token" },
		"no keys":                  func(d map[string]any) { delete(d, "jwks_uri") },
		"keys of a file":           func(d map[string]any) { d["jwks_uri"] = "file:///etc/passwd" },
		"somebody in the address":  func(d map[string]any) { d["token_endpoint"] = "https://user:pass@login.example.org/" },
		"user info in the clear":   func(d map[string]any) { d["userinfo_endpoint"] = "http://login.example.org/" },
		"no way to send a secret":  func(d map[string]any) { d["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"} },
		"no authorization address": func(d map[string]any) { delete(d, "authorization_endpoint") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.document = lie
			address, _, err := s.provider(nil).Begin(t.Context(), host, "/", start)
			wantReason(t, err, oidc.ProviderDown)
			if address != "" {
				t.Errorf("the browser is sent to %s", address)
			}
		})
	}
}

// TestHugeAnswers: one byte over a mebibyte is too much, wherever it comes from.
func TestHugeAnswers(t *testing.T) {
	for _, path := range []string{document, tokens, keySet, "/userinfo"} {
		s := newServer(t)
		s.userInfo = map[string]any{"sub": "248289761001"}
		sent := 0
		s.on(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 64 << 4 {
				n, err := w.Write([]byte(strings.Repeat(" ", 64<<10)))
				sent += n
				if err != nil {
					return
				}
			}
		})
		_, err := s.signIn(s.provider(func(c *oidc.Config) { c.UserInfo = true }))
		wantReason(t, err, oidc.ProviderDown)
		s.Close()
		if sent > 16<<20 {
			t.Errorf("%s: %d bytes were taken", path, sent)
		}
	}
}

// TestSlowProvider: a person who gives up does not wait, and no more people wait than there are places.
func TestSlowProvider(t *testing.T) {
	s := newServer(t)
	p := s.provider(nil)
	if _, err := s.signIn(p); err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}, 200), make(chan struct{})
	s.on(tokens, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	ctx, giveUp := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	finish := func() error {
		_, state, err := p.Begin(ctx, host, "/", start)
		if err != nil {
			return err
		}
		_, err = p.Finish(ctx, url.Values{"state": {state.State}, "code": {"x"}}, state, start)
		return err
	}
	for range 64 {
		waiting.Go(func() { _ = finish() }) // how they end is of no interest
	}
	for range 64 {
		<-arrived
	}
	for range 10 {
		wantReason(t, finish(), oidc.Busy)
	}
	if got := p.Stats().Busy; got != 10 {
		t.Errorf("%d were counted as turned away, want 10", got)
	}
	giveUp()
	waiting.Wait()
	close(release)
}

func TestRedirectsStayOnTheProvider(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked of another host", r.URL) }))
	defer other.Close()
	for _, path := range []string{document, tokens, keySet} {
		s := newServer(t)
		s.on(path, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+path, http.StatusTemporaryRedirect)
		})
		_, err := s.signIn(s.provider(nil))
		wantReason(t, err, oidc.ProviderDown)

		s = newServer(t)
		s.on(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, path, http.StatusTemporaryRedirect) })
		_, err = s.signIn(s.provider(nil))
		wantReason(t, err, oidc.ProviderDown)
		most := 4
		if path == tokens {
			most = 1 // a form with a code and a secret is not sent again
		}
		if got := s.asked(path); got > most {
			t.Errorf("%s was asked %d times in a circle of redirects, want at most %d", path, got, most)
		}
	}
}

// TestEnvironmentProxyIsNotUsed: codes and secrets take no detour that nobody configured.
func TestEnvironmentProxyIsNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	s := newServer(t)
	if _, err := s.signIn(s.provider(nil)); err != nil {
		t.Error(err)
	}
}

func TestCertificateAuthority(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the client that does not trust it
	s.StartTLS()
	defer s.Close()
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t", "jwks_uri": s.URL + "/k"})
	})
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cfg := oidc.Config{Name: "staff", Issuer: s.URL, ClientID: clientID, ClientSecretFile: write("secret", []byte(secret))}
	cfg.SetDefaults()
	for _, c := range []struct {
		file string
		ok   bool
	}{{"", false}, {write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})), true}} {
		cfg.CAFile = c.file
		p, err := oidc.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = p.Begin(t.Context(), host, "/", start); (err == nil) != c.ok {
			t.Errorf("with authorities %q: error %v, want success %t", c.file, err, c.ok)
		}
	}
	for name, change := range map[string]func(*oidc.Config){
		"no authority": func(c *oidc.Config) { c.CAFile = write("empty.pem", nil) },
		"no secret":    func(c *oidc.Config) { c.ClientSecretFile = write("empty", []byte("\nsecond line")) },
		"no file":      func(c *oidc.Config) { c.ClientSecretFile = filepath.Join(dir, "none") },
	} {
		broken := cfg
		change(&broken)
		if _, err := oidc.New(broken); err == nil {
			t.Errorf("%s: the client was made", name)
		}
	}
}

func TestErrorTellsItsCause(t *testing.T) {
	s := newServer(t)
	p := s.provider(nil)
	s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := p.Begin(ctx, host, "/", start)
	wantReason(t, err, oidc.ProviderDown)
	if errors.Unwrap(err) == nil {
		t.Errorf("%v has no cause", err)
	}
}

// rawJSON is sent as it is.
type rawJSON string

// MarshalJSON is the text.
func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }
