package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
)

// TestPeopleBothWays runs the verbs about people over the socket and in the same process.
func TestPeopleBothWays(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *rig) *api.Client{
		"socket":  func(t *testing.T, r *rig) *api.Client { return dial(t, r.serve(t)) },
		"process": func(_ *testing.T, r *rig) *api.Client { return api.Local(r.handler, api.ActorOf(os.Geteuid())) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c, ctx := connect(t, r), t.Context()
			for _, n := range []api.NewPrincipal{{Name: "maria", Roles: []string{"owner"}, Password: password}, {Name: "joe", Email: "joe@example.org", Roles: []string{"user"}, Password: password}} {
				if _, err := c.AddPrincipal(ctx, n); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.AddPrincipal(ctx, api.NewPrincipal{Name: "zoe", Roles: []string{"agent"}, NoPassword: true}); err != nil {
				t.Errorf("add an account without a password: %v", err)
			}
			if d, err := c.Details(ctx, "zoe"); err != nil || !d.PasswordChanged.IsZero() {
				t.Errorf("details of an account without a password are %+v, %v", d, err)
			}
			at := auth.Attempt{Login: "joe", Password: password, Realm: auth.SiteRealm, Host: "a.example.org", Address: netip.MustParseAddr("2001:db8::7")}
			if _, err := r.auth.SignIn(ctx, at, time.Now()); err != nil {
				t.Fatal(err)
			}
			d, err := c.Details(ctx, "joe@example.org")
			if err != nil || d.Name != "joe" || d.Origin != "local" || d.MustChange || d.PasswordChanged.IsZero() || d.LastSignIn.IsZero() || len(d.Sessions) != 1 ||
				d.Factors.TOTP || cmp.Diff(d.Privileges, []string{"use-sites"}) != "" {
				t.Errorf("details are %+v, %v", d, err)
			}
			if s := d.Sessions[0]; s.Level != "password" || cmp.Diff(s.Methods, []string{"password"}) != "" || s.Address != "2001:db8::7" ||
				s.HostName != "seven.example" || s.Country != "DE" {
				t.Errorf("the session is %+v", s)
			}
			if err := c.SetRoles(ctx, "joe", []string{"admin", "agent"}); err != nil {
				t.Fatal(err)
			}
			if err := c.RequirePasswordChange(ctx, "joe"); err != nil {
				t.Fatal(err)
			}
			if err := c.ResetFactors(ctx, "joe"); err != nil {
				t.Fatal(err)
			}
			if d, err := c.Details(ctx, "joe"); err != nil || len(d.Sessions) != 0 || !d.MustChange || cmp.Diff(d.Roles, []string{"admin", "agent"}) != "" {
				t.Errorf("afterwards %+v, %v", d, err)
			}
			if until, err := c.TrustAddress(ctx, "joe", "192.0.2.7"); err != nil || time.Until(until.Until) < 24*time.Hour {
				t.Errorf("trusted until %v, %v", until, err)
			}
			all, err := c.Addresses(ctx, "joe")
			if err != nil || len(all) != 2 {
				t.Fatalf("addresses %+v, %v; want two", all, err)
			}
			for _, gone := range []string{"192.0.2.7", "2001:db8::/64"} {
				if err := c.ForgetAddress(ctx, "joe", gone); err != nil {
					t.Errorf("forget %s: %v", gone, err)
				}
			}
			if all, err := c.Addresses(ctx, "joe"); err != nil || len(all) != 0 {
				t.Errorf("addresses %+v, %v; want none", all, err)
			}
			checkForgetting(t, c)
			checkRefusals(t, c)
		})
	}
}

// checkForgetting forgets networks as the list shows them; one with bits beyond its length is none.
func checkForgetting(t *testing.T, c *api.Client) {
	t.Helper()
	ctx := t.Context()
	for _, address := range []string{"198.51.100.7", "2001:db8:1::9"} {
		if _, err := c.TrustAddress(ctx, "joe", address); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := c.Addresses(ctx, "joe")
	if err != nil || len(listed) != 2 {
		t.Fatalf("addresses %+v, %v; want two", listed, err)
	}
	for _, wrong := range []string{"2001:db8:1::9/64", "198.51.100.7/24", "::ffff:198.51.100.7/128"} {
		var refused *api.Error
		if err := c.ForgetAddress(ctx, "joe", wrong); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("forget %s: got %#v, want %d", wrong, err, http.StatusBadRequest)
		}
	}
	for _, a := range listed {
		if err := c.ForgetAddress(ctx, "joe", a.Network); err != nil {
			t.Errorf("forget %s as it is listed: %v", a.Network, err)
		}
	}
	if left, err := c.Addresses(ctx, "joe"); err != nil || len(left) != 0 {
		t.Errorf("addresses %+v, %v; want none", left, err)
	}
}

func checkRefusals(t *testing.T, c *api.Client) {
	t.Helper()
	ctx := t.Context()
	for what, test := range map[string]struct {
		do     func() error
		status int
	}{
		"forget what is not known": {func() error { return c.ForgetAddress(ctx, "joe", "192.0.2.7") }, http.StatusNotFound},
		"forget nonsense":          {func() error { return c.ForgetAddress(ctx, "joe", "nonsense") }, http.StatusBadRequest},
		"trust nonsense":           {func() error { _, err := c.TrustAddress(ctx, "joe", "192.0.2.0/24"); return err }, http.StatusBadRequest},
		"trust everybody's":        {func() error { _, err := c.TrustAddress(ctx, "joe", "0.0.0.0"); return err }, http.StatusBadRequest},
		"no roles":                 {func() error { return c.SetRoles(ctx, "joe", nil) }, http.StatusBadRequest},
		"roles of nobody":          {func() error { return c.SetRoles(ctx, "nobody", []string{"user"}) }, http.StatusNotFound},
		"details of nobody":        {func() error { _, err := c.Details(ctx, "nobody"); return err }, http.StatusNotFound},
		"the last owner":           {func() error { return c.SetRoles(ctx, "maria", []string{"admin"}) }, http.StatusConflict},
		"a token for ever": {func() error {
			_, err := c.AddToken(ctx, "joe", api.NewToken{Name: "t", Privileges: []string{"use-sites"}, Seconds: 1 << 40})
			return err
		}, http.StatusBadRequest},
		"a token from nowhere": {func() error {
			_, err := c.AddToken(ctx, "joe", api.NewToken{Name: "t", Privileges: []string{"use-sites"}, Networks: []string{"x"}})
			return err
		}, http.StatusBadRequest},
		"no such token":  {func() error { return c.RevokeToken(ctx, "0197a3c2-5f0e-7c11-9b1e-0d6a4f1c2b3a") }, http.StatusNotFound},
		"no such review": {func() error { _, err := c.Review(ctx, "x"); return err }, http.StatusNotFound},
		"review unsaid":  {func() error { _, err := c.SignReview(ctx, " "); return err }, http.StatusBadRequest},
	} {
		var refused *api.Error
		if err := test.do(); !errors.As(err, &refused) || refused.Status != test.status {
			t.Errorf("%s: got %#v, want %d", what, err, test.status)
		}
	}
}

// TestTokenNetworks: a network is taken as it is written or not at all, so that no token is good in more places than were named.
func TestTokenNetworks(t *testing.T) {
	r := newRig(t)
	c, ctx := api.Local(r.handler, api.ActorOf(os.Geteuid())), t.Context()
	if _, err := c.AddPrincipal(ctx, api.NewPrincipal{Name: "joe", Roles: []string{"user"}, Password: password}); err != nil {
		t.Fatal(err)
	}
	n := api.NewToken{Name: "t", Privileges: []string{"use-sites"}, Networks: []string{"192.0.2.0/24", "2001:db8::/32", "198.51.100.7", "::ffff:198.51.100.8", "0.0.0.0/0"}}
	want := []string{"192.0.2.0/24", "2001:db8::/32", "198.51.100.7", "198.51.100.8", "0.0.0.0/0"}
	if added, err := c.AddToken(ctx, "joe", n); err != nil || cmp.Diff(added.Networks, want) != "" {
		t.Errorf("got %v, %v, want %v", added.Networks, err, want)
	}
	for network, want := range map[string]string{
		"192.0.2.7/8":          `"192.0.2.7/8" has bits set beyond its length; write 192.0.0.0/8 for the network or 192.0.2.7 for the one address`,
		"2001:db8::1/64":       `"2001:db8::1/64" has bits set beyond its length; write 2001:db8::/64 for the network or 2001:db8::1 for the one address`,
		"::ffff:192.0.2.0/120": `"::ffff:192.0.2.0/120" is an IPv4 network in IPv6 form; write it in IPv4 form`,
		"fe80::1%eth0":         `"fe80::1%eth0" is neither a network nor an address`,
		"192.0.2.0/33":         `"192.0.2.0/33" is neither a network nor an address`,
	} {
		n.Name, n.Networks = "for "+network, []string{"198.51.100.7", network}
		_, err := c.AddToken(ctx, "joe", n)
		var refused *api.Error
		if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || refused.Message != want {
			t.Errorf("%s: got %#v, want %d: %s", network, err, http.StatusBadRequest, want)
		}
	}
	if all, err := c.Tokens(ctx, "joe"); err != nil || len(all) != 1 {
		t.Errorf("got %d tokens, %v, want 1", len(all), err)
	}
}

// placeName knows the name of the one address that the tests sign in from.
func placeName(_ context.Context, address netip.Addr) string {
	if address == netip.MustParseAddr("2001:db8::7") {
		return "seven.example"
	}
	return ""
}

func placeCountry(netip.Addr) string { return "DE" }
