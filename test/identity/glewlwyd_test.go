package identity_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/test/real"
)

// glewlwyd is Debian's OpenID Connect provider of that name. Unlike dex it tells of sign-outs.
type glewlwyd struct {
	t   testing.TB
	url string
}

// startGlewlwyd runs it with a database of its own and a client that is called back at callback and told of sign-outs at
// logoutURL.
func startGlewlwyd(t testing.TB, callback, logoutURL string) *glewlwyd {
	t.Helper()
	const schema = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
	real.Require(t, "/usr/bin/glewlwyd", "sqlite3", schema)
	dir, port := real.Folder(t), real.FreePort(t)
	g := &glewlwyd{t, fmt.Sprintf("http://127.0.0.1:%d", port)}
	text, err := os.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	make := exec.CommandContext(t.Context(), "sqlite3", filepath.Join(dir, "db"))
	make.Stdin = bytes.NewReader(text)
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("make glewlwyd's database: %v\n%s", err, out)
	}
	conf := real.Write(t, dir, "glewlwyd.conf", fmt.Sprintf(`port=%d
bind_address="127.0.0.1"
external_url="%s"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="INFO"
session_expiration=3600
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
static_files_path="%s"
hash_algorithm="SHA512"
database = { type = "sqlite3"; path = "%s"; };
`, port, g.url, dir, filepath.Join(dir, "db")), 0o600)
	real.Start(t, "glewlwyd", exec.Command("/usr/bin/glewlwyd", "--config-file="+conf)).AwaitListening(fmt.Sprintf("127.0.0.1:%d", port), time.Minute)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	admin := g.browser("admin", "password") // of a fresh database
	g.call(admin, http.MethodPost, "/api/mod/plugin/", map[string]any{"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": map[string]any{
		"iss": g.issuer(), "jwt-type": "rsa", "jwt-key-size": "256", "jwks-show": true, "subject-type": "public", "allowed-scope": []string{"openid"},
		"key":                   string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"cert":                  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"access-token-duration": 3600, "refresh-token-duration": 3600, "code-duration": 600, "auth-type-code-enabled": true, "pkce-allowed": true, "pkce-required": true,
		"name-claim": "mandatory", "email-claim": "mandatory", "session-management-allowed": true, "back-channel-logout-allowed": true,
		"session-cookie-name": "GLEWLWYD2_OIDC_SID", "session-cookie-expiration": 3600}})
	g.call(admin, http.MethodPost, "/api/client/", map[string]any{"client_id": "doorward", "name": "Doorward", "confidential": true, "enabled": true, "scope": []string{},
		"password": clientSecret, "client_secret": clientSecret, "redirect_uri": []string{callback},
		"authorization_type": []string{"code"}, "token_endpoint_auth_method": []string{"client_secret_basic", "client_secret_post"},
		"backchannel_logout_uri": logoutURL, "backchannel_logout_session_required": "1"})
	g.call(admin, http.MethodPost, "/api/user/", map[string]any{"username": "zoe", "name": "Zoe Miller", "email": "zoe@example.org", "password": zoePassword,
		"scope": []string{"openid", "g_profile"}, "enabled": true})
	return g
}

func (g *glewlwyd) issuer() string { return g.url + "/api/oidc" }

// call does what a page of glewlwyd would do.
func (g *glewlwyd) call(c *http.Client, method, path string, body any) {
	g.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		g.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, bytes.NewReader(text))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	if said, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		g.t.Fatalf("glewlwyd: %s %s: %s %s", method, path, res.Status, said)
	}
}

// browser signs somebody in at glewlwyd itself.
func (g *glewlwyd) browser(name, password string) *http.Client {
	g.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	g.call(c, http.MethodPost, "/api/auth/", map[string]any{"username": name, "password": password})
	return c
}

// TestSignOutAtTheProvider: whoever signs out of a real provider is named here, by the session that signed in.
func TestSignOutAtTheProvider(t *testing.T) {
	notices := make(chan string, 1)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		notices <- r.PostFormValue("logout_token")
	}))
	defer door.Close()
	g := startGlewlwyd(t, "https://helpdesk.example.org/.doorward/oidc/glewlwyd/callback", door.URL+"/.doorward/oidc/glewlwyd/logout")
	cfg := oidc.Config{Name: "glewlwyd", Issuer: g.issuer(), ClientID: "doorward", ClientSecretFile: real.Write(t, real.Folder(t), "secret", clientSecret, 0o600),
		Scopes: []string{"openid"}, UsernameClaim: "email", DefaultRole: "user", SecondFactorAMR: []string{"otp"}}
	cfg.SetDefaults()
	cfg.Validate(func(path, format string, args ...any) { t.Errorf(path+": "+format, args...) })
	p, err := oidc.New(cfg)
	if err != nil {
		t.Fatal(err)
	}

	zoe := g.browser("zoe", zoePassword)
	g.call(zoe, http.MethodPut, "/api/auth/grant/doorward/", map[string]any{"scope": "openid"})
	address, state, err := p.Begin(t.Context(), "helpdesk.example.org", "/", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	res, err := zoe.Get(address + "&g_continue") // as glewlwyd's own page does on a click
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil || back.Host != "helpdesk.example.org" {
		t.Fatalf("glewlwyd sends zoe to %v, %v; want the callback", back, err)
	}
	id, err := p.Finish(t.Context(), back.Query(), state, time.Now())
	if err != nil || id.Name != "Zoe Miller" || id.SID == "" || id.Subject == "" || id.SecondFactor {
		t.Fatalf("got %+v, %v; want zoe with a session there", id, err)
	}
	if id.Email != "" {
		t.Errorf("glewlwyd says nothing of the address, but %q was taken over", id.Email)
	}

	began := time.Now()
	g.call(zoe, http.MethodDelete, "/api/oidc/session/"+id.SID+"/", nil)
	var token string
	select {
	case token = <-notices:
	case <-time.After(time.Minute):
		t.Fatal("no notice within a minute")
	}
	notice, err := p.Logout(t.Context(), token, time.Now())
	if err != nil || notice.Subject != id.Subject || notice.SID != id.SID || !began.Before(notice.Until()) {
		t.Errorf("got %+v, %v; want the end of zoe's session %s", notice, err, id.SID)
	}
	if _, err := p.Logout(t.Context(), token[:len(token)-6]+"AAAAAA", time.Now()); reason(err) != oidc.TokenInvalid {
		t.Errorf("a notice with another signature: got %v, want %s", err, oidc.TokenInvalid)
	}
	if _, err := p.Logout(t.Context(), token, time.Now().Add(time.Hour)); reason(err) != oidc.TokenInvalid {
		t.Errorf("an hour later: got %v, want %s", err, oidc.TokenInvalid)
	}
	if time.Now().Add(5 * time.Minute).Before(notice.Until()) {
		t.Error("the notice would end a session that begins later")
	}
}
