package oidc_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/oidc"
)

func TestSignIn(t *testing.T) {
	want := oidc.Identity{Provider: "staff", Subject: "248289761001", Username: "zoe", Email: "zoe@example.org", EmailVerified: true,
		Name: "Zoë Müller", Groups: []string{"staff", "helpdesk"}, Roles: []string{"agent"}}
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA} {
		for _, post := range []bool{false, true} {
			s := newServer(t)
			s.keys, s.post = []key{newKey(t, "k", alg)}, post
			got, err := s.signIn(s.provider(nil))
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s, secret in the form %t: error %v (-want +got):\n%s", alg, post, err, diff)
			}
		}
	}
}

func TestBeginAsksForWhatProtectsTheAnswer(t *testing.T) {
	s := newServer(t)
	p := s.provider(func(c *oidc.Config) { c.Scopes, c.SecondFactorACR = []string{"profile"}, []string{"gold", "silver"} })
	address, state, err := p.Begin(t.Context(), host+":8443", "/tickets", start)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	challenge := sha256.Sum256([]byte(state.Verifier))
	want := url.Values{"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {"https://" + host + ":8443/.doorward/oidc/staff/callback"},
		"scope": {"openid profile"}, "state": {state.State}, "nonce": {state.Nonce}, "acr_values": {"gold silver"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}}
	if diff := cmp.Diff(want, q); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if state.ReturnTo != "/tickets" || state.Host != host+":8443" || state.Provider != "staff" || !state.Expires.Equal(start.Add(10*time.Minute)) {
		t.Errorf("state is %+v", state)
	}
	_, other, err := p.Begin(t.Context(), host, "/"+strings.Repeat("a", 1024), start)
	if err != nil {
		t.Fatal(err)
	}
	if other.State == state.State || other.Nonce == state.Nonce || other.Verifier == state.Verifier || other.State == other.Nonce {
		t.Errorf("two sign-ins share a secret: %+v and %+v", state, other)
	}
	if len(state.State) < 22 || len(state.Nonce) < 22 {
		t.Errorf("state %q or nonce %q has fewer than 128 bits", state.State, state.Nonce)
	}
	if other.ReturnTo != "/" {
		t.Errorf("a way back of 1025 bytes became %q, want /", other.ReturnTo)
	}
}

// TestForgedTokens: each is a token that a sign-in must not survive.
func TestForgedTokens(t *testing.T) {
	set := func(name string, value any) func(*server) {
		return func(s *server) { s.claims = func(c map[string]any) { c[name] = value } }
	}
	for name, lie := range map[string]func(*server){
		"nonce of another sign-in": set("nonce", "another"),
		"no nonce":                 set("nonce", nil),
		"another audience":         set("aud", "another-client"),
		"no audience":              set("aud", nil),
		"many audiences":           set("aud", []string{clientID, "another-client"}),
		"another party":            set("azp", "another-client"),
		"party is no text":         set("azp", []string{clientID}),
		"another issuer":           set("iss", "https://login.evil.example"),
		"issuer with a slash":      func(s *server) { s.claims = func(c map[string]any) { c["iss"] = s.URL + "/" } },
		"expired":                  set("exp", start.Add(-time.Second).Unix()),
		"no expiry":                set("exp", nil),
		"issued in the future":     set("iat", start.Add(3*time.Minute).Unix()),
		"no time of issue":         set("iat", nil),
		"not valid yet":            set("nbf", start.Add(time.Hour).Unix()),
		"no subject":               set("sub", ""),
		"long subject":             set("sub", strings.Repeat("a", 256)),
		"subject with line break":  set("sub", "a\nb"),
		"subject beyond ASCII":     set("sub", "zoë"),
		"hash of another token":    set("at_hash", base64.RawURLEncoding.EncodeToString(make([]byte, 16))),
		"no token":                 func(s *server) { s.answer = func(a map[string]any) { delete(a, "id_token") } },
		"token is no text":         func(s *server) { s.answer = func(a map[string]any) { a["id_token"] = 7 } },
		"token is nonsense":        func(s *server) { s.token = func(any) string { return "a.b.c" } },
		"huge token":               func(s *server) { s.token = func(any) string { return strings.Repeat("a", 65<<10) } },
		"unsigned":                 func(s *server) { s.token = func(c any) string { return forge(t, `{"alg":"none"}`, c, nil) } },
		"unsigned, spelt oddly":    func(s *server) { s.token = func(c any) string { return forge(t, `{"alg":"nOnE"}`, c, nil) } },
		"MAC by the client secret": func(s *server) {
			s.token = func(c any) string { return forge(t, `{"alg":"HS256","typ":"JWT"}`, c, []byte(secret)) }
		},
		"MAC by the public key": func(s *server) {
			s.keys = []key{newKey(t, "first", jose.RS256)}
			der, err := x509.MarshalPKIXPublicKey(s.keys[0].private.Public())
			if err != nil {
				t.Fatal(err)
			}
			text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			s.token = func(c any) string { return forge(t, `{"alg":"HS256","kid":"first"}`, c, text) }
		},
		"signed by a stranger": func(s *server) {
			stranger := newKey(t, "first", jose.ES256)
			s.token = func(c any) string { return s.sign(stranger, "JWT", c) }
		},
		"key in the token": func(s *server) {
			stranger := newKey(t, "own", jose.ES256)
			s.token = func(c any) string {
				signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger.private}, &jose.SignerOptions{EmbedJWK: true})
				if err != nil {
					t.Fatal(err)
				}
				return signWith(t, signer, c)
			}
		},
		"changed after signing": func(s *server) {
			s.token = func(c any) string {
				parts := strings.Split(s.sign(s.keys[0], "JWT", c), ".")
				parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"root"}`))
				return strings.Join(parts, ".")
			}
		},
		"another algorithm than the key's": func(s *server) {
			rsa := newKey(t, "first", jose.PS256)
			s.keys = []key{{"first", jose.RS256, rsa.private}}
			s.token = func(c any) string { return s.sign(rsa, "JWT", c) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			lie(s)
			id, err := s.signIn(s.provider(nil))
			wantReason(t, err, oidc.TokenInvalid)
			if diff := cmp.Diff(oidc.Identity{}, id); diff != "" {
				t.Errorf("an identity came with the error:\n%s", diff)
			}
		})
	}
}

func TestTokensThatAreAllowed(t *testing.T) {
	hash := sha256.Sum256([]byte("the-access-token"))
	long := sha512.Sum512([]byte("the-access-token"))
	for name, change := range map[string]func(*server){
		"right hash of the access token": func(s *server) {
			s.claims = func(c map[string]any) { c["at_hash"] = base64.RawURLEncoding.EncodeToString(hash[:16]) }
		},
		"right hash for Ed25519": func(s *server) {
			s.keys = []key{newKey(t, "k", jose.EdDSA)}
			s.claims = func(c map[string]any) { c["at_hash"] = base64.RawURLEncoding.EncodeToString(long[:32]) }
		},
		"clock a minute ahead": func(s *server) {
			s.claims = func(c map[string]any) { c["iat"] = start.Add(time.Minute).Unix() }
		},
		"several audiences, ours the party": func(s *server) {
			s.claims = func(c map[string]any) { c["aud"], c["azp"] = []string{"api", clientID}, clientID }
		},
		"no key id": func(s *server) {
			s.token = func(c any) string {
				signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.keys[0].private}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return signWith(t, signer, c)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			change(s)
			if id, err := s.signIn(s.provider(nil)); err != nil || id.Subject == "" {
				t.Errorf("got %+v, %v; want a sign-in", id, err)
			}
		})
	}
}

// TestAnswersOfAnotherSignIn: what a callback says is believed only if this browser began the sign-in with this
// provider.
func TestAnswersOfAnotherSignIn(t *testing.T) {
	for name, c := range map[string]struct {
		change func(q url.Values, s *oidc.State)
		now    time.Time
		want   oidc.Reason
	}{
		"no state":                {func(q url.Values, s *oidc.State) { q.Del("state") }, start, oidc.StateMismatch},
		"two states":              {func(q url.Values, s *oidc.State) { q.Add("state", s.State) }, start, oidc.StateMismatch},
		"another state":           {func(q url.Values, s *oidc.State) { q.Set("state", "x") }, start, oidc.StateMismatch},
		"empty cookie":            {func(q url.Values, s *oidc.State) { *s = oidc.State{}; q.Set("state", "") }, start, oidc.StateMismatch},
		"another provider's":      {func(q url.Values, s *oidc.State) { s.Provider = "customers" }, start, oidc.StateMismatch},
		"another issuer (mix-up)": {func(q url.Values, s *oidc.State) { q.Set("iss", "https://login.evil.example") }, start, oidc.StateMismatch},
		"two issuers":             {func(q url.Values, s *oidc.State) { q["iss"] = []string{q.Get("iss"), "https://x"} }, start, oidc.StateMismatch},
		"too late":                {func(q url.Values, s *oidc.State) {}, start.Add(10 * time.Minute), oidc.StateExpired},
		"no code":                 {func(q url.Values, s *oidc.State) { q.Del("code") }, start, oidc.TokenInvalid},
		"two codes":               {func(q url.Values, s *oidc.State) { q.Add("code", "x") }, start, oidc.TokenInvalid},
		"long code":               {func(q url.Values, s *oidc.State) { q.Set("code", strings.Repeat("x", 9<<10)) }, start, oidc.TokenInvalid},
		"unknown code":            {func(q url.Values, s *oidc.State) { q.Set("code", "x") }, start, oidc.RefusedByProvider},
		"another verifier":        {func(q url.Values, s *oidc.State) { s.Verifier = strings.Repeat("v", 43) }, start, oidc.RefusedByProvider},
		"another host":            {func(q url.Values, s *oidc.State) { s.Host = "other.example.org" }, start, oidc.RefusedByProvider},
		"refusal":                 {func(q url.Values, s *oidc.State) { q.Set("error", "access_denied") }, start, oidc.RefusedByProvider},
		"refusal without state":   {func(q url.Values, s *oidc.State) { q.Set("error", "access_denied"); q.Del("state") }, start, oidc.StateMismatch},
		"unknown refusal":         {func(q url.Values, s *oidc.State) { q.Set("error", "<script>") }, start, oidc.RefusedByProvider},
		"provider out of order":   {func(q url.Values, s *oidc.State) { q.Set("error", "server_error") }, start, oidc.ProviderDown},
		"client not allowed":      {func(q url.Values, s *oidc.State) { q.Set("error", "unauthorized_client") }, start, oidc.ClientRejected},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			p := s.provider(nil)
			address, state, err := p.Begin(t.Context(), host, "/", start)
			if err != nil {
				t.Fatal(err)
			}
			q := s.visit(address)
			c.change(q, &state)
			_, err = p.Finish(t.Context(), q, state, c.now)
			wantReason(t, err, c.want)
			if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("the error would forge a line of the log: %q", err)
			}
		})
	}
}

func TestIssuerParameter(t *testing.T) {
	s := newServer(t)
	s.document = func(d map[string]any) { d["authorization_response_iss_parameter_supported"] = true }
	p := s.provider(nil)
	for _, named := range []bool{false, true} {
		address, state, err := p.Begin(t.Context(), host, "/", start)
		if err != nil {
			t.Fatal(err)
		}
		q := s.visit(address)
		if named {
			q.Set("iss", s.URL)
		}
		_, err = p.Finish(t.Context(), q, state, start)
		if named && err != nil {
			t.Errorf("with the issuer: %v", err)
		} else if !named {
			wantReason(t, err, oidc.StateMismatch)
		}
	}
}

// TestStateIsUsedOnce: neither a second click nor a thief of the address gets a second session, even from a provider
// that accepts codes twice.
func TestStateIsUsedOnce(t *testing.T) {
	s := newServer(t)
	p := s.provider(nil)
	address, state, err := p.Begin(t.Context(), host, "/", start)
	if err != nil {
		t.Fatal(err)
	}
	q := s.visit(address)
	if _, err := p.Finish(t.Context(), q, state, start); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.codes[q.Get("code")] = url.Values{}
	s.mu.Unlock()
	before := s.asked("/token")
	_, err = p.Finish(t.Context(), q, state, start.Add(time.Minute))
	wantReason(t, err, oidc.StateMismatch)
	if got := s.asked("/token"); got != before {
		t.Errorf("the code was sent %d more times", got-before)
	}
}

func TestUsedStatesAreBounded(t *testing.T) {
	s := newServer(t)
	s.on("/token", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusBadRequest) })
	p := s.provider(nil)
	_, state, err := p.Begin(t.Context(), host, "/", start)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4096 + 10 {
		state.State = fmt.Sprint(i)
		_, err := p.Finish(t.Context(), url.Values{"state": {state.State}, "code": {"x"}}, state, start)
		if err == nil {
			t.Fatal("a made-up code signed somebody in")
		}
	}
	if got := p.Stats().Dropped; got != 10 {
		t.Errorf("%d states were forgotten early, want 10", got)
	}
	state.State, state.Expires = "later", start.Add(30*time.Minute)
	_, _ = p.Finish(t.Context(), url.Values{"state": {"later"}, "code": {"x"}}, state, start.Add(20*time.Minute)) // as above
	if got := p.Stats().Dropped; got != 10 {
		t.Errorf("%d states were forgotten early after the others expired, want 10", got)
	}
}

// TestSecretThatNeedsEscaping: where the provider takes it in the form too, it goes there.
func TestSecretThatNeedsEscaping(t *testing.T) {
	s := newServer(t)
	s.post = true // and refuses it in the header
	s.document = func(d map[string]any) {
		d["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic", "client_secret_post"}
	}
	if _, err := s.signIn(s.provider(nil)); err != nil {
		t.Error(err)
	}
}

func TestWrongClientSecret(t *testing.T) {
	s := newServer(t)
	p := s.provider(func(c *oidc.Config) { c.ClientID = "unknown" })
	_, err := s.signIn(p)
	wantReason(t, err, oidc.ClientRejected)
}
