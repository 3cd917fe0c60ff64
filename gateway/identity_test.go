package gateway_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// verifyAssertion checks an assertion as an application would: with nothing but the published keys.
func verifyAssertion(jwks []byte, assertion string) (map[string]any, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, err
	}
	signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	keys := set.Key(signed.Signatures[0].Header.KeyID)
	if len(keys) != 1 {
		return nil, fmt.Errorf("the assertion's key is published %d times", len(keys))
	}
	if _, ok := keys[0].Key.(*ecdsa.PublicKey); !ok {
		return nil, errors.New("the key set holds more than public keys")
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, json.Unmarshal(payload, &claims)
}

// TestIdentitySecret: a generated secret stays; the first line of a given file is sent; bad files are refused.
func TestIdentitySecret(t *testing.T) {
	up := newRecorder(t)
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte("the-new-one-0123456789\nthe-old-one-0123456789\n"), 0o600))
	generated := publicSite(t, up.url)
	given := publicSite(t, up.url)
	given.Hosts = []string{"given.localhost"}
	given.Identity.SecretFile = file
	r := start(t, gateway.Config{}, generated, given)

	r.get("/")
	path := filepath.Join(r.dir, "identity", "localhost.secret")
	text, err := os.ReadFile(path)
	must(t, err)
	if got := up.take()[0].get("X-Doorward-Secret"); got != strings.TrimSpace(string(text)) || len(got) < 32 {
		t.Errorf("secret: got %q, want the generated one %q", got, text)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o640 {
		t.Errorf("secret's mode: got %v, want 0640", info.Mode())
	}
	if info, err := os.Stat(filepath.Join(r.dir, "identity.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key's mode: got %v, %v, want 0600", info.Mode(), err)
	}
	res, err := r.client().Get("http://given.localhost:" + r.port("plain") + "/")
	must(t, err)
	res.Body.Close()
	if got := up.take()[0].get("X-Doorward-Secret"); got != "the-new-one-0123456789" {
		t.Errorf("secret: got %q, want the file's first line", got)
	}
	must(t, r.Reload(t.Context(), r.cfg))
	r.get("/")
	if got := up.take()[0].get("X-Doorward-Secret"); got != strings.TrimSpace(string(text)) {
		t.Errorf("after a reload: got %q, want the same %q", got, text)
	}
	for _, bad := range []string{"", "short\n", "\nsecond-line-is-the-secret\n", "has a space in the middle\n", "has-\xc3\xa4-letter-outside\n"} {
		must(t, os.WriteFile(file, []byte(bad), 0o600))
		if err := r.Reload(t.Context(), r.cfg); err == nil || !strings.Contains(err.Error(), "identity secret") {
			t.Errorf("reload with secret %q: got %v, want an error about the identity secret", bad, err)
		}
	}
}

// TestIdentityValues: what a person's data holds arrives as one header value, whatever it is, and the
// assertion is signed once for many requests.
func TestIdentityValues(t *testing.T) {
	up := newRecorder(t)
	site := publicSite(t, up.url)
	site.Access = nil
	r := start(t, gateway.Config{}, site)
	_, err := r.auth.AddPrincipal(t.Context(), auth.Actor{Name: "test", Origin: "local"}, auth.NewPrincipal{Name: "zoe", Email: "zoe@example.org",
		DisplayName: "Zoë 100% 木", Roles: []auth.Role{auth.Agent}, Password: bypassPassword})
	must(t, err)
	out, err := r.auth.SignIn(t.Context(), auth.Attempt{Login: "zoe", Password: bypassPassword, Address: netip.MustParseAddr("127.0.0.1"),
		Realm: auth.SiteRealm, Host: "localhost", Site: "localhost"}, time.Now())
	must(t, err)
	token := out.Token
	ask := func() seenRequest {
		t.Helper()
		request, err := http.NewRequest("GET", r.url("plain", "/x"), nil)
		must(t, err)
		request.Header.Set("Cookie", gateway.CookieName+"="+token)
		res, err := r.client().Do(request)
		must(t, err)
		res.Body.Close()
		arrived := up.take()
		if res.StatusCode != 200 || len(arrived) != 1 {
			t.Fatalf("got %d and %d requests, want 200 and 1", res.StatusCode, len(arrived))
		}
		return arrived[0]
	}
	first := ask()
	for name, want := range map[string]string{"X-Doorward-User": "zoe", "X-Doorward-Email": "zoe@example.org",
		"X-Doorward-Name": "Zo%C3%AB 100%25 %E6%9C%A8", "X-Doorward-Roles": "agent"} {
		if got := first.get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if second := ask(); second.get("X-Doorward-Assertion") != first.get("X-Doorward-Assertion") {
		t.Error("the second request has an assertion of its own; it should be cached")
	}
}

// TestAssertionKeysRotate: after a reload a new key in front of the old one signs, and both are published. A file that
// is none stops a start, and a reload keeps the keys that were.
func TestAssertionKeysRotate(t *testing.T) {
	up := newRecorder(t)
	r, other := start(t, gateway.Config{}, publicSite(t, up.url)), start(t, gateway.Config{}, publicSite(t, up.url))
	file := filepath.Join(r.dir, "identity.key")
	old, err := os.ReadFile(file)
	must(t, err)
	added, err := os.ReadFile(filepath.Join(other.dir, "identity.key"))
	must(t, err)
	published := func(g http.Handler) []string {
		t.Helper()
		answer := httptest.NewRecorder()
		g.ServeHTTP(answer, httptest.NewRequest("GET", "http://localhost/.doorward/jwks.json", nil))
		var set jose.JSONWebKeySet
		must(t, json.Unmarshal(answer.Body.Bytes(), &set))
		if strings.Contains(answer.Body.String(), `"d"`) {
			t.Fatal("a private key is published")
		}
		var ids []string
		for _, key := range set.Keys {
			ids = append(ids, key.KeyID)
		}
		return ids
	}
	want := append(published(other), published(r)...)
	must(t, os.WriteFile(file, append(added, old...), 0o600))
	must(t, r.Reload(t.Context(), r.cfg))
	if diff := cmp.Diff(want, published(r)); diff != "" {
		t.Errorf("published keys, the signing one first (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		must(t, os.WriteFile(file, []byte(bad), 0o600))
		if _, err := gateway.New(r.cfg, r.deps); err == nil || !strings.Contains(err.Error(), "assertion key") {
			t.Errorf("key file %q: got %v, want an error about the assertion keys", bad, err)
		}
		if err := r.Reload(t.Context(), r.cfg); err == nil {
			t.Errorf("key file %q: the reload gave no error", bad)
		}
		if diff := cmp.Diff(want, published(r)); diff != "" {
			t.Errorf("key file %q: published after the refused reload (-want +got):\n%s", bad, diff)
		}
	}
}
