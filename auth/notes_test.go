package auth_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	pw "github.com/doorward/doorward/auth/password"
)

func TestNotes(t *testing.T) {
	safe := auth.RoleConfig{Factor: "any", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	owner, admin := safe, safe
	owner.Name, admin.Name = "owner", "admin"
	quiet := []auth.RoleConfig{owner, admin}
	for name, c := range map[string]struct {
		change func(*auth.Config)
		mails  bool
		want   []string // CONTROL PATH
	}{
		"defaults": {func(c *auth.Config) { c.Roles = nil }, false, []string{"F-26, F-41 roles.factor", "D-03 roles.networks", "F-26, F-41 roles.factor", "D-03 roles.networks"}},
		"quiet":    {func(*auth.Config) {}, false, nil},
		"mor, which NIST advises against": {func(c *auth.Config) { c.Passwords.Preset = "mor" }, false, []string{
			"NIST SP 800-63B-4 3.1.1.2 passwords.min_length", "NIST SP 800-63B-4 3.1.1.2 passwords.min_length_with_factor",
			"NIST SP 800-63B-4 3.1.1.2 passwords.classes", "NIST SP 800-63B-4 3.1.1.2 passwords.max_age"}},
		"a preset that is loosened": {func(c *auth.Config) { c.Passwords.Preset, c.Passwords.History = "deskpro", 1 }, false, []string{
			"D-07 passwords.history", "NIST SP 800-63B-4 3.1.1.2 passwords.classes", "NIST SP 800-63B-4 3.1.1.2 passwords.max_age", "choice passwords.min_score"}},
		"a role's own passwords": {func(c *auth.Config) {
			c.Roles = append(c.Roles, auth.RoleConfig{Name: "agent", Passwords: pw.Config{MinLength: 10}})
		}, false, []string{
			"NIST SP 800-63B-4 3.1.1.2 roles[2].passwords.min_length"}},
		"staff stays signed in": {func(c *auth.Config) {
			c.Roles = append(c.Roles, auth.RoleConfig{Name: "agent", Sessions: auth.RoleSessionsConfig{Remember: 24 * time.Hour}},
				auth.RoleConfig{Name: "user", Sessions: auth.RoleSessionsConfig{Remember: 24 * time.Hour}})
		}, false, []string{"D-18 roles[2].sessions.remember"}},
		"held without mail": {func(c *auth.Config) {
			c.Roles = append(c.Roles, auth.RoleConfig{Name: "agent", TrustedAddresses: auth.TrustConfig{Required: true}})
		}, false, []string{"D-13 roles[2].trusted_addresses.required"}},
		"held with mail": {func(c *auth.Config) {
			c.Roles = append(c.Roles, auth.RoleConfig{Name: "agent", TrustedAddresses: auth.TrustConfig{Required: true}})
		}, true, nil},
		"an own role with privileges": {func(c *auth.Config) {
			c.Roles = append(c.Roles, auth.RoleConfig{Name: "lead", Privileges: []auth.Privilege{auth.SeeAccounts}, TrustedAddresses: auth.TrustConfig{Required: true}})
		}, true, []string{"F-26, F-41 roles[2].factor"}},
	} {
		cfg := auth.Config{Roles: append([]auth.RoleConfig(nil), quiet...)}
		c.change(&cfg)
		cfg.SetDefaults()
		notes, err := cfg.Notes(c.mails)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, n := range notes {
			got = append(got, n.Control+" "+n.Path)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
