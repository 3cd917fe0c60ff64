package config_test

import (
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/config"
)

const policyFile = `
data_dir: /tmp/x
zones: [{name: office, networks: [10.1.0.0/16]}]
sessions: {idle: 30m}
passwords: {preset: mor}
roles:
  - {name: admin, factor: passkey, zones: [office], networks: [192.0.2.7/32], trusted_addresses: {required: true}}
  - {name: agent, factor: any, sessions: {require_activity: true, remember: 24h}}
  - {name: auditor, staff: true, passwords: {preset: nist}}
sites:
  - hosts: [desk.example.org, help.example.org]
    upstreams: ["http://127.0.0.1:8080", "http://192.0.2.9:80"]
    app: request-tracker
    access:
      - {path: /Admin, zones: [office], factor: any, roles: [admin]}
      - {path: /news, public: true}
    headers: {hsts: {off: true}}
listen: {https: ["0.0.0.0:8443"], http: ["127.0.0.1:8081"]}
`

// TestPolicy: what the audit is told of a configuration is what holds, defaults and zones included.
func TestPolicy(t *testing.T) {
	cfg, err := config.Parse("doorward.yaml", []byte(policyFile))
	if err != nil {
		t.Fatal(err)
	}
	p, err := cfg.Policy()
	if err != nil {
		t.Fatal(err)
	}
	role := func(name string) facts.RolePolicy {
		t.Helper()
		i := slices.IndexFunc(p.Roles, func(r facts.RolePolicy) bool { return r.Name == name })
		if i < 0 {
			t.Fatalf("there is no role %s in %+v", name, p.Roles)
		}
		return p.Roles[i]
	}
	admin, agent, user, auditor := role("admin"), role("agent"), role("user"), role("auditor")
	for what, ok := range map[string]bool{
		"an administrator is staff and may manage accounts": admin.Staff && admin.Admin,
		"zones count as networks":                           slices.Equal(admin.Networks, []string{"192.0.2.7/32", "10.1.0.0/16"}),
		"factors":                                           admin.Factor == "passkey" && agent.Factor == "any" && user.Factor == "none",
		"held sign-ins, for 30 days by default":             admin.TrustRequired && admin.TrustPeriod == 720*time.Hour && !agent.TrustRequired,
		"the idle time of all":                              admin.Idle == 30*time.Minute && user.Idle == 30*time.Minute,
		"remember and activity":                             agent.Remember == 24*time.Hour && agent.RequireActivity && admin.Remember == 0 && !admin.RequireActivity,
		"the preset of all":                                 user.MinLength >= 12 && slices.Contains(user.Classes, "digit") && slices.Contains(user.Classes, "symbol"),
		"a role's own preset":                               auditor.MinLength == 15 && len(auditor.Classes) == 0 && auditor.Staff && !auditor.Admin,
		"nothing runs, as far as the file knows":            !p.Running,
		"a site a host":                                     len(p.Sites) == 2 && p.Sites[0].Host == "desk.example.org" && p.Sites[1].Host == "help.example.org",
		"the port that others reach":                        slices.Equal(p.Sites[0].Exposed, []string{"http://192.0.2.9:80"}),
		"restricted paths":                                  slices.Equal(p.Sites[0].Restricted, []string{"/Admin"}) && slices.Equal(p.Sites[0].Factor, []string{"/Admin"}),
		"the application's own paths":                       slices.Contains(p.Sites[0].AdminPaths, "/Admin"),
		"HSTS that is off":                                  p.Sites[0].HSTS == 0,
		"the door of a listener on all addresses":           p.Sites[0].Door == "127.0.0.1:8443",
		"the start page is not public":                      !p.Sites[0].PublicRoot,
	} {
		if !ok {
			t.Errorf("not so: %s\n%+v", what, p)
		}
	}
}
