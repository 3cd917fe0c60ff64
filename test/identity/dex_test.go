package identity_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dexldap "github.com/dexidp/dex/connector/ldap"
	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"github.com/dexidp/dex/web"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/test/real"
)

const clientSecret = "a client's secret + more"

// dex is the OpenID Connect provider of that name; people sign in to it with their password in slapd.
type dex struct {
	*httptest.Server
	mu      sync.Mutex
	handler http.Handler // nil: it is down
}

// startDex runs dex with its LDAP connector on s, for a client that is called back at callback.
func startDex(t *testing.T, s *slapd, callback string) *dex {
	t.Helper()
	d := &dex{}
	d.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		h := d.handler
		d.mu.Unlock()
		if h == nil {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(d.Close)
	logger := slog.New(slog.NewTextHandler(t.Output(), nil)) // shown when the test fails
	var ldap dexldap.Config
	ldap.Host, ldap.RootCA, ldap.BindDN, ldap.BindPW = fmt.Sprintf("127.0.0.1:%d", s.tls), s.ca, serviceDN, servicePassword
	ldap.UserSearch.BaseDN, ldap.UserSearch.Username, ldap.UserSearch.IDAttr = "ou=people,"+suffix, "uid", "entryUUID"
	ldap.UserSearch.EmailAttr = "mail"
	ldap.UserSearch.NameAttr, ldap.UserSearch.PreferredUsernameAttrAttr = "displayName", "uid"
	ldap.GroupSearch.BaseDN, ldap.GroupSearch.NameAttr = "ou=groups,"+suffix, "cn"
	ldap.GroupSearch.UserMatchers = []dexldap.UserMatcher{{UserAttr: "DN", GroupAttr: "member"}}
	text, err := json.Marshal(ldap)
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(logger)
	if err := store.CreateClient(t.Context(), storage.Client{ID: "doorward", Secret: clientSecret, Name: "Doorward", RedirectURIs: []string{callback}}); err != nil {
		t.Fatal(err)
	}
	if err := store.CreateConnector(t.Context(), storage.Connector{ID: "ldap", Type: "ldap", Name: "LDAP", Config: text}); err != nil {
		t.Fatal(err)
	}
	handler, err := server.NewServer(t.Context(), server.Config{Issuer: d.URL + "/dex", Storage: store, SkipApprovalScreen: true, Logger: logger,
		Web: server.WebConfig{WebFS: web.FS()}, PrometheusRegistry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.handler = handler
	d.mu.Unlock()
	return d
}

// down takes dex away and returns what brings it back.
func (d *dex) down() (up func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.handler
	d.handler = nil
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.handler = h
	}
}

// door plays the part of Doorward that package oidc leaves to others: the button, the callback and the cookie.
type door struct {
	*httptest.Server
	mu       sync.Mutex
	provider *oidc.Provider
	identity oidc.Identity // of the last callback
	err      error
	query    url.Values
	state    oidc.State
}

func startDoor(t *testing.T) *door {
	t.Helper()
	d := &door{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.doorward/oidc/dex/begin", func(w http.ResponseWriter, r *http.Request) {
		to, state, err := d.provider.Begin(r.Context(), strings.TrimPrefix(d.URL, "https://"), "/tickets", time.Now())
		if err != nil {
			http.Error(w, "provider", http.StatusBadGateway)
			return
		}
		text, err := json.Marshal(state)
		if err != nil {
			t.Error(err)
		}
		// A real one is encrypted.
		http.SetCookie(w, &http.Cookie{Name: "__Host-state", Value: url.QueryEscape(string(text)), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /.doorward/oidc/dex/callback", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.state, d.query = oidc.State{}, r.URL.Query()
		if c, err := r.Cookie("__Host-state"); err == nil {
			text, _ := url.QueryUnescape(c.Value)
			if err := json.Unmarshal([]byte(text), &d.state); err != nil {
				t.Error(err)
			}
			if len(c.Value) > 2000 {
				t.Errorf("the state takes %d bytes of a cookie", len(c.Value))
			}
		}
		d.identity, d.err = d.provider.Finish(r.Context(), d.query, d.state, time.Now())
		fmt.Fprint(w, "signed in or not")
	})
	d.Server = httptest.NewTLSServer(mux)
	t.Cleanup(d.Close)
	return d
}

func newProvider(t *testing.T, d *dex) *oidc.Provider {
	t.Helper()
	dir := real.Folder(t)
	cfg := oidc.Config{Name: "dex", Issuer: d.URL + "/dex", ClientID: "doorward", ClientSecretFile: real.Write(t, dir, "secret", clientSecret+"\n", 0o600),
		CAFile: real.Write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate().Raw})), 0o644),
		Scopes: []string{"openid", "profile", "email", "groups"}, Roles: []oidc.RoleConfig{{Group: "helpdesk", Role: "agent"}, {Group: "admins", Role: "admin"}}}
	cfg.SetDefaults()
	cfg.Validate(func(path, format string, args ...any) { t.Errorf(path+": "+format, args...) })
	p, err := oidc.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// browser keeps cookies and follows redirects; both servers have the certificate of net/http/httptest.
func browser(t *testing.T, d *door) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: d.Client().Transport, Timeout: time.Minute}
}

// signIn presses the button and fills in dex's form. It returns the page that follows.
func signIn(t *testing.T, d *door, b *http.Client, login, password string) (page string, at *url.URL) {
	t.Helper()
	res, err := b.Get(d.URL + "/.doorward/oidc/dex/begin")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(res.Request.URL.Path, "/dex/auth/ldap/login") {
		t.Fatalf("the button leads to %s, %s; want dex's form", res.Request.URL, res.Status)
	}
	res, err = b.PostForm(res.Request.URL.String(), url.Values{"login": {login}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), res.Request.URL
}

func newDoorWithDex(t *testing.T) (*door, *dex) {
	t.Helper()
	s := startSlapd(t, true)
	door := startDoor(t)
	d := startDex(t, s, door.URL+"/.doorward/oidc/dex/callback")
	door.provider = newProvider(t, d)
	return door, d
}

func reason(err error) oidc.Reason {
	if e, ok := errors.AsType[*oidc.Error](err); ok {
		return e.Reason
	}
	return ""
}

// TestSignInThroughDex goes from the button by dex's form and slapd back to the callback.
func TestSignInThroughDex(t *testing.T) {
	door, _ := newDoorWithDex(t)
	signIn(t, door, browser(t, door), "zoe", zoePassword)
	id := door.identity
	if door.err != nil || id.Provider != "dex" || id.Subject == "" || id.Username != "zoe" || id.Email != "zoe@example.org" || !id.EmailVerified ||
		id.Name != "Zoe Miller" || !slices.Equal(id.Roles, []string{"agent"}) || !slices.Contains(id.Groups, "staff") || id.SecondFactor {
		t.Errorf("got %+v, %v; want zoe, an agent", id, door.err)
	}
	if door.state.ReturnTo != "/tickets" {
		t.Errorf("the way back is %q, want /tickets", door.state.ReturnTo)
	}
	signIn(t, door, browser(t, door), "bob", "another long password")
	if door.err != nil || door.identity.Username != "bob" || door.identity.Subject == id.Subject || !slices.Equal(door.identity.Roles, []string{"admin", "agent"}) {
		t.Errorf("got %+v, %v; want bob, an admin and agent", door.identity, door.err)
	}
	signIn(t, door, browser(t, door), "zoe", zoePassword)
	if door.identity.Subject != id.Subject {
		t.Errorf("zoe's subject was %q and is %q", id.Subject, door.identity.Subject)
	}
}

func TestWrongPasswordStaysAtDex(t *testing.T) {
	door, _ := newDoorWithDex(t)
	door.err = errors.New("no callback yet")
	page, at := signIn(t, door, browser(t, door), "zoe", "wrong")
	if !strings.Contains(page, "Invalid") || !strings.Contains(at.Path, "/login") || door.query != nil {
		t.Errorf("at %s, callback %v; want dex's form again", at, door.query)
	}
}

// TestStolenAndRepeatedAnswers: the address of a callback is worth nothing to another browser, a second time, or on
// another node that does not know that it was used.
func TestStolenAndRepeatedAnswers(t *testing.T) {
	door, d := newDoorWithDex(t)
	b := browser(t, door)
	_, at := signIn(t, door, b, "zoe", zoePassword)
	if door.err != nil {
		t.Fatal(door.err)
	}
	query, state := door.query, door.state // a later callback of a browser without the cookie leaves none
	for name, thief := range map[string]*http.Client{"another browser": browser(t, door), "the same browser": b} {
		res, err := thief.Get(at.String())
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := reason(door.err); got != oidc.StateMismatch {
			t.Errorf("%s: got %v, want %s", name, door.err, oidc.StateMismatch)
		}
	}
	other := newProvider(t, d)
	if _, err := other.Finish(t.Context(), query, state, time.Now()); reason(err) != oidc.RefusedByProvider {
		t.Errorf("another node: got %v, want %s", err, oidc.RefusedByProvider)
	}
}

// TestDexHoldsUsToPKCE: dex refuses a code without the verifier, so a stolen code is worth nothing.
func TestDexHoldsUsToPKCE(t *testing.T) {
	door, d := newDoorWithDex(t)
	b := browser(t, door)
	var stolen url.Values
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), door.URL+"/.doorward/oidc/dex/callback") {
			stolen = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}
	signIn(t, door, b, "zoe", zoePassword)
	if stolen.Get("code") == "" {
		t.Fatalf("dex sent %v, want a code", stolen)
	}
	thief := newProvider(t, d)
	_, state, err := thief.Begin(t.Context(), strings.TrimPrefix(door.URL, "https://"), "/", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stolen.Set("state", state.State)
	if id, err := thief.Finish(t.Context(), stolen, state, time.Now()); reason(err) != oidc.RefusedByProvider {
		t.Errorf("the stolen code gave %+v, %v; want %s", id, err, oidc.RefusedByProvider)
	}
}

// TestDexIsDownAtFirst: the client is made while dex is down and works once it is up.
func TestDexIsDownAtFirst(t *testing.T) {
	door, d := newDoorWithDex(t)
	up := d.down()
	if _, _, err := door.provider.Begin(t.Context(), "127.0.0.1", "/", time.Now()); reason(err) != oidc.ProviderDown {
		t.Errorf("got %v, want %s", err, oidc.ProviderDown)
	}
	up()
	real.Eventually(t, time.Minute, "the provider to be asked again", func() bool {
		_, _, err := door.provider.Begin(t.Context(), "127.0.0.1", "/", time.Now())
		return err == nil
	})
	signIn(t, door, browser(t, door), "zoe", zoePassword)
	if door.err != nil || door.identity.Username != "zoe" {
		t.Errorf("got %+v, %v; want zoe", door.identity, door.err)
	}
}
