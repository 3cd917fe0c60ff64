package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/store/storetest"
)

// Whom a provider or a directory is too busy for is counted.
func TestOthersAreBusy(t *testing.T) {
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	mux := http.NewServeMux()
	provider := httptest.NewServer(mux)
	t.Cleanup(provider.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": provider.URL, "authorization_endpoint": provider.URL + "/authorize",
			"token_endpoint": provider.URL + "/token", "jwks_uri": provider.URL + "/keys", "response_types_supported": []string{"code"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a client's secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	staff := oidc.Config{Name: "staff", Issuer: provider.URL, ClientID: "doorward", ClientSecretFile: secret}
	staff.SetDefaults()
	office := directory.Config{Name: "office", Plain: true, BaseDN: "dc=example,dc=org", Connections: 1,
		URL: startDirectory(t, func([]byte) int {
			arrived <- struct{}{}
			<-release
			return 0
		})}
	office.SetDefaults()
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.OIDC, f.cfg.LDAP = []oidc.Config{staff}, []directory.Config{office}
	f.restart()

	byProvider := func() error {
		target, cookie, err := f.BeginProvider(t.Context(), "staff", host, "/", f.now)
		if err != nil {
			return err
		}
		to, err := url.Parse(target)
		if err != nil {
			return err
		}
		at := attempt("", "", "192.0.2.1")
		at.Host = host
		_, err = f.FinishProvider(t.Context(), at, "staff", url.Values{"state": {to.Query().Get("state")}, "code": {"c"}}, cookie, f.now)
		return err
	}
	var waiting sync.WaitGroup
	for range 64 {
		waiting.Go(func() { _ = byProvider() }) // how they end is of no interest
	}
	waiting.Go(func() { _ = f.AskDirectories(t.Context(), "zoe", "a password") }) // as above
	for range 65 {
		<-arrived
	}
	for range 2 {
		var refused *oidc.Error
		if err := byProvider(); !errors.As(err, &refused) || refused.Reason != oidc.Busy {
			t.Errorf("the 65th by a provider: got %v, want %s", err, oidc.Busy)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.AskDirectories(gone, "zoe", "a password"); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("the second at a directory: got %v, want %v", err, directory.ErrUnavailable)
	}
	if s := f.Stats(); s.ProvidersBusy != 2 || s.DirectoriesBusy != 1 || s.AnswersForgotten != 0 {
		t.Errorf("%d and %d were counted as turned away, %d answers as forgotten; want 2, 1 and none", s.ProvidersBusy, s.DirectoriesBusy, s.AnswersForgotten)
	}
	close(release)
	waiting.Wait()
}
