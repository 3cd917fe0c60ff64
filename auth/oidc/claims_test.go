package oidc_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth/oidc"
)

func TestClaimsBecomeAnIdentity(t *testing.T) {
	base := oidc.Identity{Provider: "staff", Subject: "248289761001", Username: "zoe", Email: "zoe@example.org", EmailVerified: true,
		Name: "Zoë Müller", Groups: []string{"staff", "helpdesk"}, Roles: []string{"agent"}}
	for name, c := range map[string]struct {
		claims map[string]any // nil takes one away
		info   map[string]any
		config func(*oidc.Config)
		want   func(*oidc.Identity)
	}{
		"groups as one text":   {claims: map[string]any{"groups": "helpdesk"}, want: func(id *oidc.Identity) { id.Groups = []string{"helpdesk"} }},
		"no group that counts": {claims: map[string]any{"groups": []string{"HELPDESK", "helpdesk "}}, want: func(id *oidc.Identity) { id.Groups, id.Roles = []string{"HELPDESK", "helpdesk "}, nil }},
		"two roles": {claims: map[string]any{"groups": []string{"helpdesk", "admins"}}, want: func(id *oidc.Identity) {
			id.Groups, id.Roles = []string{"helpdesk", "admins"}, []string{"admin", "agent"}
		}},
		"groups of another kind":   {claims: map[string]any{"groups": []any{7, nil, map[string]any{"a": 1}, "helpdesk"}}, want: func(id *oidc.Identity) { id.Groups = []string{"helpdesk"} }},
		"no groups":                {claims: map[string]any{"groups": nil}, want: func(id *oidc.Identity) { id.Groups, id.Roles = nil, nil }},
		"default role":             {claims: map[string]any{"groups": nil}, config: func(c *oidc.Config) { c.DefaultRole = "user" }, want: func(id *oidc.Identity) { id.Groups, id.Roles = nil, []string{"user"} }},
		"default beside a role":    {config: func(c *oidc.Config) { c.DefaultRole = "user" }},
		"groups elsewhere (Entra)": {claims: map[string]any{"groups": nil, "_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "http://127.0.0.1:1/"}}}, want: func(id *oidc.Identity) { id.Groups, id.Roles = nil, nil }},
		"claim within a claim": {claims: map[string]any{"realm_access": map[string]any{"roles": []string{"helpdesk"}}}, config: func(c *oidc.Config) { c.GroupsClaim = "realm_access.roles" },
			want: func(id *oidc.Identity) { id.Groups = []string{"helpdesk"} }},
		"claim with dots": {claims: map[string]any{"https://example.org/groups": []string{"helpdesk"}}, config: func(c *oidc.Config) { c.GroupsClaim = "https://example.org/groups" },
			want: func(id *oidc.Identity) { id.Groups = []string{"helpdesk"} }},
		"unverified address":           {claims: map[string]any{"email_verified": false}, want: func(id *oidc.Identity) { id.Email, id.EmailVerified = "", false }},
		"address of unknown standing":  {claims: map[string]any{"email_verified": nil}, want: func(id *oidc.Identity) { id.Email, id.EmailVerified = "", false }},
		"unverified address, allowed":  {claims: map[string]any{"email_verified": false}, config: func(c *oidc.Config) { c.AllowUnverifiedEmail = true }, want: func(id *oidc.Identity) { id.EmailVerified = false }},
		"verified as text":             {claims: map[string]any{"email_verified": "true"}},
		"another claim's verification": {claims: map[string]any{"upn": "root@example.org"}, config: func(c *oidc.Config) { c.EmailClaim = "upn" }, want: func(id *oidc.Identity) { id.Email, id.EmailVerified = "", false }},
		"invisible characters":         {claims: map[string]any{"name": "Zo\u202eë", "preferred_username": "zoe\r\nX-Role: owner"}, want: func(id *oidc.Identity) { id.Name, id.Username = "", "" }},
		"long name":                    {claims: map[string]any{"name": strings.Repeat("ä", 257)}, want: func(id *oidc.Identity) { id.Name = "" }},
		"name of another kind":         {claims: map[string]any{"name": []string{"Zoë"}}, want: func(id *oidc.Identity) { id.Name = "" }},
		"session and methods": {claims: map[string]any{"sid": "08a5019c", "amr": []string{"pwd", "mfa"}, "acr": "gold"},
			want: func(id *oidc.Identity) { id.SID, id.AMR, id.ACR = "08a5019c", []string{"pwd", "mfa"}, "gold" }},
		"name of an address": {config: func(c *oidc.Config) { c.UsernameClaim, c.UsernameDomain = "email", "example.org" }},
		"name of another domain's address": {claims: map[string]any{"email": "root@example.org.evil.example"}, config: func(c *oidc.Config) { c.UsernameClaim, c.UsernameDomain = "email", "example.org" },
			want: func(id *oidc.Identity) {
				id.Username, id.Email = "root@example.org.evil.example", "root@example.org.evil.example"
			}},
		"name of two addresses": {claims: map[string]any{"email": "root@evil.example@example.org"}, config: func(c *oidc.Config) { c.UsernameClaim, c.UsernameDomain = "email", "example.org" },
			want: func(id *oidc.Identity) {
				id.Username, id.Email = "root@evil.example@example.org", "root@evil.example@example.org"
			}},
		"name of an unverified address": {claims: map[string]any{"email_verified": false}, config: func(c *oidc.Config) { c.UsernameClaim, c.UsernameDomain = "email", "example.org" },
			want: func(id *oidc.Identity) { id.Username, id.Email, id.EmailVerified = "zoe@example.org", "", false }},
		"name of an address that is not the verified one": {claims: map[string]any{"preferred_username": "root@example.org"}, config: func(c *oidc.Config) { c.UsernameDomain = "example.org" },
			want: func(id *oidc.Identity) { id.Username = "root@example.org" }},
		"second factor by amr": {claims: map[string]any{"amr": []string{"pwd", "mfa"}}, config: func(c *oidc.Config) { c.SecondFactorAMR = []string{"hwk", "mfa"} },
			want: func(id *oidc.Identity) { id.AMR, id.SecondFactor = []string{"pwd", "mfa"}, true }},
		"second factor by acr": {claims: map[string]any{"acr": "gold"}, config: func(c *oidc.Config) { c.SecondFactorACR = []string{"gold"} },
			want: func(id *oidc.Identity) { id.ACR, id.SecondFactor = "gold", true }},
		"no second factor": {claims: map[string]any{"amr": []string{"pwd"}, "acr": "0"}, config: func(c *oidc.Config) { c.SecondFactorAMR, c.SecondFactorACR = []string{"mfa"}, []string{"1"} },
			want: func(id *oidc.Identity) { id.AMR, id.ACR = []string{"pwd"}, "0" }},

		"user info fills in":            {claims: map[string]any{"name": nil}, info: map[string]any{"name": "Zoë of user info"}, want: func(id *oidc.Identity) { id.Name = "Zoë of user info" }},
		"user info changes nothing":     {claims: map[string]any{"name": nil}, info: map[string]any{"preferred_username": "root", "groups": []string{"admins"}, "email": "root@example.org"}, want: func(id *oidc.Identity) { id.Name = "" }},
		"user info is not needed":       {info: map[string]any{"sub": "another"}},
		"address and word of user info": {claims: map[string]any{"email": nil, "email_verified": nil}, info: map[string]any{"email": "z@example.org", "email_verified": true}, want: func(id *oidc.Identity) { id.Email = "z@example.org" }},
		"address of one, word of other": {claims: map[string]any{"email": nil}, info: map[string]any{"email": "root@example.org"}, want: func(id *oidc.Identity) { id.Email, id.EmailVerified = "", false }},
		"word about another address":    {claims: map[string]any{"email_verified": nil, "name": nil}, info: map[string]any{"email": "root@example.org", "email_verified": true}, want: func(id *oidc.Identity) { id.Email, id.EmailVerified, id.Name = "", false, "" }},
		"word about the address":        {claims: map[string]any{"email_verified": nil, "name": nil}, info: map[string]any{"email": "zoe@example.org", "email_verified": true}, want: func(id *oidc.Identity) { id.Name = "" }},
		"user info cannot verify a lie": {claims: map[string]any{"email_verified": false, "name": nil}, info: map[string]any{"email": "zoe@example.org", "email_verified": true}, want: func(id *oidc.Identity) { id.Email, id.EmailVerified, id.Name = "", false, "" }},
		"address that is a list":        {claims: map[string]any{"email": []string{"zoe@example.org"}, "email_verified": nil, "name": nil}, info: map[string]any{"email": "zoe@example.org", "email_verified": true}, want: func(id *oidc.Identity) { id.Email, id.EmailVerified, id.Name = "", false, "" }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.claims = func(have map[string]any) {
				for k, v := range c.claims {
					have[k] = v
				}
			}
			if c.info != nil {
				s.userInfo = c.info
				if _, given := c.info["sub"]; !given {
					s.userInfo["sub"] = base.Subject
				}
			}
			want := base
			if c.want != nil {
				c.want(&want)
			}
			got, err := s.signIn(s.provider(c.config))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUserInfoOfSomebodyElse(t *testing.T) {
	s := newServer(t)
	s.userInfo = map[string]any{"sub": "another", "name": "Eve"}
	_, err := s.signIn(s.provider(func(c *oidc.Config) { c.UserInfo = true }))
	wantReason(t, err, oidc.TokenInvalid)
	s.on("/userinfo", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusBadGateway) })
	_, err = s.signIn(s.provider(func(c *oidc.Config) { c.UserInfo = true }))
	wantReason(t, err, oidc.ProviderDown)
}

func TestGroupsAreBounded(t *testing.T) {
	s := newServer(t)
	var groups []string
	for i := range 1000 {
		groups = append(groups, fmt.Sprint("group", i))
	}
	s.claims = func(c map[string]any) { c["groups"] = append(groups, "helpdesk") }
	id, err := s.signIn(s.provider(nil))
	if err != nil || len(id.Groups) != 1000 || len(id.Roles) != 0 {
		t.Errorf("got %d groups, roles %q, error %v; want 1000 and none", len(id.Groups), id.Roles, err)
	}
}
