package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/doorward/doorward/auth/oidc"
)

const (
	clientID = "doorward"
	secret   = "a secret & a sign" // basic authentication needs it escaped (RFC 6749, 2.3.1)
	host     = "helpdesk.example.org"
)

// start is when the tests' clock begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// server is an OpenID Connect provider that lies as a test tells it to. What a test sets, it sets before it signs in.
type server struct {
	t testing.TB
	*httptest.Server

	mu       sync.Mutex
	codes    map[string]url.Values // query of the authorization request, by code
	requests map[string]int        // by path
	now      time.Time

	keys      []key
	post      bool                        // take the secret in the form
	document  func(map[string]any)        // changes the configuration document
	claims    func(map[string]any)        // changes the ID token's claims
	token     func(claims any) string     // makes the ID token
	answer    func(map[string]any)        // changes the token endpoint's answer
	userInfo  map[string]any              // nil: there is no such endpoint
	intercept map[string]http.HandlerFunc // takes the place of a path
}

// key is one signing key of the server.
type key struct {
	id      string
	alg     jose.SignatureAlgorithm
	private crypto.Signer
}

func newKey(t testing.TB, id string, alg jose.SignatureAlgorithm) key {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key{id, alg, private}
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, codes: make(map[string]url.Values), requests: make(map[string]int), now: start,
		keys: []key{newKey(t, "first", jose.ES256)}, intercept: make(map[string]http.HandlerFunc)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.serveDocument)
	mux.HandleFunc("GET /authorize", s.serveAuthorize)
	mux.HandleFunc("POST /token", s.serveToken)
	mux.HandleFunc("GET /keys", s.serveKeys)
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-access-token" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		writeJSON(w, s.userInfo)
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests[r.URL.Path]++
		instead := s.intercept[r.URL.Path]
		s.mu.Unlock()
		if instead != nil {
			instead(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// on puts a handler in the place of a path; nil takes it away.
func (s *server) on(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept[path] = h
}

func (s *server) asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
}

func (s *server) serveDocument(w http.ResponseWriter, r *http.Request) {
	doc := map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/keys"}
	if s.userInfo != nil {
		doc["userinfo_endpoint"] = s.URL + "/userinfo"
	}
	if s.post {
		doc["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
	}
	if s.document != nil {
		s.document(doc)
	}
	writeJSON(w, doc)
}

func (s *server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	code := rand.Text()
	s.mu.Lock()
	s.codes[code] = r.URL.Query()
	s.mu.Unlock()
	back := url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}}
	http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// serveToken checks what a real provider checks: the client, the callback, PKCE, and that a code is used once.
func (s *server) serveToken(w http.ResponseWriter, r *http.Request) {
	id, password := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	if !s.post {
		user, pass, _ := r.BasicAuth()
		id, _ = url.QueryUnescape(user)
		password, _ = url.QueryUnescape(pass)
	}
	s.mu.Lock()
	asked, ok := s.codes[r.PostFormValue("code")]
	delete(s.codes, r.PostFormValue("code"))
	s.mu.Unlock()
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	problem := ""
	switch {
	case id != clientID || password != secret:
		problem = "invalid_client"
	case !ok || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") || asked.Get("code_challenge_method") != "S256" ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]):
		problem = "invalid_grant"
	}
	if problem != "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error": %q, "error_description": "<b>line one\nline two</b>"}`, problem)
		return
	}
	claims := map[string]any{"iss": s.URL, "aud": clientID, "sub": "248289761001", "iat": s.now.Unix(), "exp": s.now.Add(time.Hour).Unix(),
		"nonce": asked.Get("nonce"), "preferred_username": "zoe", "email": "zoe@example.org", "email_verified": true, "name": "Zoë Müller",
		"groups": []string{"staff", "helpdesk"}}
	if s.claims != nil {
		s.claims(claims)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	make := s.token
	if make == nil {
		make = func(claims any) string { return s.sign(s.keys[0], "JWT", claims) }
	}
	answer := map[string]any{"access_token": "the-access-token", "token_type": "Bearer", "expires_in": 60, "id_token": make(claims)}
	if s.answer != nil {
		s.answer(answer)
	}
	writeJSON(w, answer)
}

func (s *server) serveKeys(w http.ResponseWriter, r *http.Request) {
	var set jose.JSONWebKeySet
	for _, k := range s.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Algorithm: string(k.alg), Use: "sig"})
	}
	writeJSON(w, set)
}

// sign makes a token of claims; typ "" leaves the type out.
func (s *server) sign(k key, typ string, claims any) string {
	s.t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", k.id)
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: k.private}, options)
	if err != nil {
		s.t.Fatal(err)
	}
	return signWith(s.t, signer, claims)
}

// forge makes a token without a private key: unsigned, or with an HMAC by a secret that is not one.
func forge(t testing.TB, header string, claims any, hmacKey []byte) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode(text)
	if hmacKey == nil {
		return input + "."
	}
	mac := hmac.New(sha256.New, hmacKey)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}

// provider makes the client; change may be nil.
func (s *server) provider(change func(*oidc.Config)) *oidc.Provider {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cfg := oidc.Config{Name: "staff", Issuer: s.URL, ClientID: clientID, ClientSecretFile: file,
		Roles: []oidc.RoleConfig{{Group: "helpdesk", Role: "agent"}, {Group: "admins", Role: "admin"}}}
	if change != nil {
		change(&cfg)
	}
	cfg.SetDefaults()
	cfg.Validate(func(path, format string, args ...any) { s.t.Errorf(path+": "+format, args...) })
	p, err := oidc.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// visit follows the address to the provider, as a browser does, and returns the query of the callback.
func (s *server) visit(address string) url.Values {
	s.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil {
		s.t.Fatalf("the provider answered %s without a way back: %v", res.Status, err)
	}
	if got, want := back.Scheme+"://"+back.Host+back.Path, "https://"+host+"/.doorward/oidc/staff/callback"; got != want {
		s.t.Fatalf("the provider sends people to %s, want %s", got, want)
	}
	return back.Query()
}

// signIn goes the whole way.
func (s *server) signIn(p *oidc.Provider) (oidc.Identity, error) {
	s.t.Helper()
	address, state, err := p.Begin(s.t.Context(), host, "/tickets?id=7", s.now)
	if err != nil {
		return oidc.Identity{}, err
	}
	return p.Finish(s.t.Context(), s.visit(address), state, s.now)
}

// wantReason checks why something failed.
func wantReason(t *testing.T, err error, want oidc.Reason) {
	t.Helper()
	if got, ok := errors.AsType[*oidc.Error](err); !ok || got.Reason != want {
		t.Errorf("got error %v, want reason %s", err, want)
	}
}

func signWith(t testing.TB, signer jose.Signer, claims any) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}
