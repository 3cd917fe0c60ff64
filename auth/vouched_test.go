package auth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/auth/directory"
	"github.com/doorward/doorward/auth/oidc"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// zoe is somebody whom a provider knows as an agent.
func zoe() auth.Vouched {
	return auth.Vouched{Provider: "oidc:staff", Subject: "s-1", Username: "zoe", Email: "zoe@example.org", Name: "Zoë", Roles: []auth.Role{auth.Agent}}
}

func (f *fixture) vouch(v auth.Vouched) (*auth.Session, string, error) {
	f.t.Helper()
	out, reason, err := f.Vouch(f.t.Context(), attempt("", "", "192.0.2.7"), v, f.now)
	return out.Session, reason, err
}

// invite makes an account that nobody has a key to yet.
func (f *fixture) invite(name string, roles ...auth.Role) auth.Principal {
	p := f.add(name, roles...)
	f.exec(`DELETE FROM password WHERE principal_id = $1`, p.ID)
	return p
}

func TestVouchedFirstAndSecondSignIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		first, _, err := f.vouch(zoe())
		if err != nil || first.Principal.Name != "zoe" || first.Principal.Email != "zoe@example.org" || first.Principal.DisplayName != "Zoë" ||
			first.Principal.Origin != "oidc:staff" || !slices.Equal(first.Principal.Roles, []auth.Role{auth.Agent}) || first.Level != auth.PasswordLevel || first.Methods != "oidc:staff" {
			t.Fatalf("got %+v, %v; want zoe, an agent", first, err)
		}
		renamed := zoe()
		renamed.Username, renamed.Email, renamed.Level = "zoe.smith", "root@example.org", auth.FactorLevel
		again, _, err := f.vouch(renamed)
		if err != nil || again.Principal.ID != first.Principal.ID || again.Principal.Name != "zoe" || again.Level != auth.FactorLevel {
			t.Errorf("under a new name: got %+v, %v; want the same account", again, err)
		}
	})
}

// TestVouchedIsNotAllowed: who is known elsewhere is nobody here without an account, a role and a name of their own.
func TestVouchedIsNotAllowed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for name, c := range map[string]struct {
			change func(*auth.Vouched)
			reason string
		}{
			"no account":               {func(v *auth.Vouched) { v.Stranger = true }, "no-account"},
			"no role":                  {func(v *auth.Vouched) { v.Roles = nil }, "no-role"},
			"no name":                  {func(v *auth.Vouched) { v.Username = "" }, "name-unusable"},
			"an address for a name":    {func(v *auth.Vouched) { v.Username = "zoe@example.org" }, "name-unusable"},
			"a space":                  {func(v *auth.Vouched) { v.Username = "zoe miller" }, "name-unusable"},
			"a line break":             {func(v *auth.Vouched) { v.Username = "zoe\nroot" }, "name-unusable"},
			"somebody's name":          {func(v *auth.Vouched) { v.Username = "Owner" }, "name-taken"},
			"somebody's name, folded":  {func(v *auth.Vouched) { v.Username = "ＯＷＮＥＲ" }, "name-taken"},
			"somebody's address":       {func(v *auth.Vouched) { v.Email = "Owner@Example.com" }, "account-claimed"},
			"a directory's name":       {func(v *auth.Vouched) { v.Provider, v.Username = "ldap:office", "owner" }, "account-claimed"},
			"a directory's address":    {func(v *auth.Vouched) { v.Provider, v.Email = "ldap:office", "owner@example.com" }, "account-claimed"},
			"a name of other accounts": {func(v *auth.Vouched) { v.Provider, v.Username, v.Email = "ldap:office", "OWNER", "" }, "account-claimed"},
		} {
			v := zoe()
			c.change(&v)
			if s, reason, err := f.vouch(v); !errors.Is(err, auth.ErrNotInvited) || reason != c.reason || s != nil {
				t.Errorf("%s: got %+v, %q, %v; want %s", name, s, reason, err, c.reason)
			}
		}
		list, err := f.Principals(t.Context())
		if err != nil || len(list) != 4 {
			t.Errorf("got %d accounts, %v; want the four that were there", len(list), err)
		}
	})
}

// TestVouchedFindsAnAccount: an account that an administrator made for somebody, and nobody else's.
func TestVouchedFindsAnAccount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		invited := f.invite("miller", auth.User)
		v := zoe()
		v.Email, v.Stranger, v.Unmapped = "Miller@example.com", true, true
		s, reason, err := f.vouch(v)
		if err != nil || s.Principal.ID != invited.ID || !slices.Equal(s.Principal.Roles, []auth.Role{auth.User}) {
			t.Fatalf("by the address: got %+v, %q, %v; want miller with the role that was given here", s, reason, err)
		}
		// Another person who is given the address later is not the same person.
		for _, provider := range []string{"oidc:staff", "oidc:other", "ldap:office"} {
			v.Provider, v.Subject, v.Username = provider, "s-2", "miller"
			if _, reason, err := f.vouch(v); !errors.Is(err, auth.ErrNotInvited) || reason != "account-claimed" {
				t.Errorf("another at %s with the address: got %q, %v; want account-claimed", provider, reason, err)
			}
		}
		named := f.invite("bob", auth.User)
		v = auth.Vouched{Provider: "oidc:staff", Subject: "b", Username: "bob", Stranger: true, Roles: []auth.Role{auth.Agent}}
		if _, reason, err := f.vouch(v); !errors.Is(err, auth.ErrNotInvited) || reason != "no-account" {
			t.Errorf("by the name at a provider: got %q, %v; want no-account", reason, err)
		}
		v.Provider = "ldap:office"
		if s, _, err := f.vouch(v); err != nil || s.Principal.ID != named.ID || !s.HasRole(auth.Agent) || s.HasRole(auth.User) {
			t.Errorf("by the name in a directory: got %+v, %v; want bob with the directory's roles", s, err)
		}
	})
}

// TestVouchedLeavesOthersAccountsAlone: a second factor, or another origin, makes an account somebody's too.
func TestVouchedLeavesOthersAccountsAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		at := store.Micros(f.now)
		for name, claim := range map[string]func(id string){
			"registered": func(id string) { f.exec(`UPDATE principal SET origin = 'registered' WHERE id = $1`, id) },
			"of-another": func(id string) { f.exec(`UPDATE principal SET origin = 'oidc:other' WHERE id = $1`, id) },
			"identity": func(id string) {
				f.exec(`INSERT INTO external_identity (provider, subject, principal_id, created_at, seen_at) VALUES ('oidc:old', 'x', $1, $2, $2)`, id, at)
			},
			"app": func(id string) {
				f.exec(`INSERT INTO totp (principal_id, confirmed, sealed, created_at) VALUES ($1, 1, 'sealed', $2)`, id, at)
			},
		} {
			claim(f.invite(name, auth.Admin).ID)
			for _, provider := range []string{"oidc:staff", "ldap:office"} {
				v := zoe()
				v.Provider, v.Username, v.Email = provider, name, name+"@example.com"
				if s, reason, err := f.vouch(v); !errors.Is(err, auth.ErrNotInvited) || reason != "account-claimed" {
					t.Errorf("%s by %s: got %+v, %q, %v; want account-claimed", name, provider, s, reason, err)
				}
			}
		}
	})
}

func TestVouchedDisabledAccount(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	if _, _, err := f.vouch(zoe()); err != nil {
		t.Fatal(err)
	}
	if err := f.SetDisabled(t.Context(), actor, "zoe", true); err != nil {
		t.Fatal(err)
	}
	v := zoe()
	v.Roles = []auth.Role{auth.Admin}
	if s, reason, err := f.vouch(v); !errors.Is(err, auth.ErrWrong) || reason != "disabled-account" {
		t.Errorf("got %+v, %q, %v; want disabled-account", s, reason, err)
	}
	if p, err := f.Principal(t.Context(), "zoe"); err != nil || p.HasRole(auth.Admin) {
		t.Errorf("got %+v, %v; want the roles of before", p, err)
	}
}

// TestVouchedRoles: other roles elsewhere are other roles here, for what is open already too.
func TestVouchedRoles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		v := zoe()
		v.Roles = []auth.Role{auth.Admin, auth.Agent}
		before, _, err := f.vouch(v)
		if err != nil {
			t.Fatal(err)
		}
		sites, _ := f.token("zoe", "sites", auth.UseSites)
		events, _ := f.token("zoe", "events", auth.UseSites, auth.SeeEvents)
		opened, err := f.use(sites)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.use(events); err != nil {
			t.Fatal(err)
		}
		f.step()
		v.Roles = []auth.Role{auth.Agent}
		after, _, err := f.vouch(v)
		if err != nil || after.HasRole(auth.Admin) {
			t.Fatalf("got %+v, %v; want an agent only", after, err)
		}
		if !ended(before) || !ended(opened) {
			t.Errorf("the session of before ended %t, the token's %t; want both", ended(before), ended(opened))
		}
		if s, err := f.use(sites); err != nil || s.HasRole(auth.Admin) {
			t.Errorf("the token for the sites: got %+v, %v; want an agent", s, err)
		}
		if _, err := f.use(events); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("the token with a privilege that is gone: got %v, want ErrNoSession", err)
		}
		v.Roles = nil
		if _, reason, err := f.vouch(v); !errors.Is(err, auth.ErrNotInvited) || reason != "no-role" || !ended(after) {
			t.Errorf("without a role: got %q, %v, the session ended %t; want no-role and the end", reason, err, ended(after))
		}
		v.Roles = []auth.Role{auth.Agent}
		if s, _, err := f.vouch(v); err != nil || !s.HasRole(auth.Agent) {
			t.Errorf("with a role again: got %+v, %v; want an agent", s, err)
		}
	})
}

// TestVouchedLastOwner: another system cannot take the last owner away.
func TestVouchedLastOwner(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	v := zoe()
	v.Roles = []auth.Role{auth.Owner}
	if _, _, err := f.vouch(v); err != nil {
		t.Fatal(err)
	}
	if err := f.SetDisabled(t.Context(), actor, "owner", true); err != nil {
		t.Fatal(err)
	}
	v.Roles = []auth.Role{auth.Agent}
	if s, _, err := f.vouch(v); err != nil || !s.HasRole(auth.Owner) {
		t.Errorf("got %+v, %v; want the last owner to stay one", s, err)
	}
	if err := f.SetDisabled(t.Context(), actor, "owner", false); err != nil {
		t.Fatal(err)
	}
	if s, _, err := f.vouch(v); err != nil || s.HasRole(auth.Owner) {
		t.Errorf("with another owner: got %+v, %v; want an agent", s, err)
	}
}

// TestProviderCookie: what the browser keeps is good for this installation, host and provider, and only whole.
func TestProviderCookie(t *testing.T) {
	mux := http.NewServeMux()
	provider := httptest.NewServer(mux)
	t.Cleanup(provider.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": provider.URL, "authorization_endpoint": provider.URL + "/authorize",
			"token_endpoint": provider.URL + "/token", "jwks_uri": provider.URL + "/keys", "response_types_supported": []string{"code"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a client's secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, storetest.SQLite(t))
	for _, name := range []string{"staff", "other"} {
		cfg := oidc.Config{Name: name, Issuer: provider.URL, ClientID: "doorward", ClientSecretFile: secret}
		cfg.SetDefaults()
		f.cfg.OIDC = append(f.cfg.OIDC, cfg)
	}
	f.restart()
	target, cookie, err := f.BeginProvider(t.Context(), "staff", host, "/desk", f.now)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(target)
	if err != nil || to.Query().Get("redirect_uri") != "https://"+host+":8443/.doorward/oidc/staff/callback" {
		t.Errorf("leads to %s, %v; want a callback with the port", target, err)
	}
	if strings.Contains(cookie, to.Query().Get("state")) || len(cookie) > 2000 {
		t.Errorf("the cookie is %q", cookie)
	}
	query := url.Values{"state": {to.Query().Get("state")}, "code": {"c"}}
	finish := func(on *auth.Auth, name, host, cookie string, later time.Duration) oidc.Reason {
		at := attempt("", "", "192.0.2.1")
		at.Host = host
		_, err := on.FinishProvider(t.Context(), at, name, query, cookie, f.now.Add(later))
		var refused *oidc.Error
		if !errors.As(err, &refused) {
			t.Errorf("got %v, want an error of the provider", err)
			return ""
		}
		return refused.Reason
	}
	tampered := []byte(cookie)
	tampered[len(tampered)/2] ^= 1
	for name, got := range map[string]oidc.Reason{
		"no cookie":         finish(f.Auth, "staff", host, "", 0),
		"changed":           finish(f.Auth, "staff", host, string(tampered), 0),
		"cut off":           finish(f.Auth, "staff", host, cookie[:len(cookie)-1], 0),
		"with more":         finish(f.Auth, "staff", host, cookie+"A", 0),
		"another host":      finish(f.Auth, "staff", "other.example", cookie, 0),
		"another provider":  finish(f.Auth, "other", host, cookie, 0),
		"another's key":     finish(f.another(), "staff", host, cookie, 0), // without a data folder each has a key of its own
		"state in the open": finish(f.Auth, "staff", host, `{"state":"`+query.Get("state")+`"}`, 0),
	} {
		if got != oidc.StateMismatch {
			t.Errorf("%s: got %q, want %s", name, got, oidc.StateMismatch)
		}
	}
	if got := finish(f.Auth, "staff", host, cookie, 11*time.Minute); got != oidc.StateExpired {
		t.Errorf("after eleven minutes: got %q, want %s", got, oidc.StateExpired)
	}
	if got := finish(f.Auth, "staff", host, cookie, 0); got == oidc.StateMismatch || got == oidc.StateExpired {
		t.Errorf("as it was given: got %q, want the provider to be asked", got)
	}
	if _, _, err := f.BeginProvider(t.Context(), "nobody", host, "/", f.now); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("an unknown provider: got %v, want ErrNotFound", err)
	}
}

// TestPasskeyAsksTheDirectory: a passkey lets nobody of a directory in before the directory was asked after them. What follows
// from its answer is shown with a real one, in test/identity.
func TestPasskeyAsksTheDirectory(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	p := f.named("agent")
	d := newDevice(t)
	f.enrolDevice(d, p)
	office := directory.Config{Name: "office", URL: "ldapi://" + filepath.Join(t.TempDir(), "nobody-listens"), BaseDN: "dc=example,dc=org", Timeout: time.Second}
	office.SetDefaults()
	f.cfg.LDAP = append(f.cfg.LDAP, office)
	swap, err := f.Prepare(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	swap()
	signIn := func() error {
		options, ceremony, err := f.BeginPasskeySignIn(t.Context(), "", deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		at := attempt("", "", "192.0.2.1")
		at.Host = deskHost
		_, err = f.SignInWithPasskey(t.Context(), at, ceremony, d.get(options, "https://"+deskHost), f.now)
		return err
	}
	wantErr(t, signIn(), nil, "an account of Doorward's own")
	f.exec(`DELETE FROM password WHERE principal_id = $1`, p.ID)
	wantErr(t, signIn(), nil, "one without a password")
	f.exec(`INSERT INTO external_identity (provider, subject, principal_id, created_at, seen_at) VALUES ('ldap:gone', 'x', $1, $2, $2)`, p.ID, store.Micros(f.now))
	wantErr(t, signIn(), nil, "one of a directory that the configuration does not know")
	f.exec(`INSERT INTO external_identity (provider, subject, principal_id, created_at, seen_at) VALUES ('ldap:office', 'x', $1, $2, $2)`, p.ID, store.Micros(f.now))
	wantErr(t, signIn(), auth.ErrUnavailable, "one of a directory that does not answer")
}
