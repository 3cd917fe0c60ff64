package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func TestDefaultRelyingParty(t *testing.T) {
	for _, c := range []struct{ hosts, want string }{
		{"helpdesk.example.org localhost 127.0.0.1 ::1", "example.org"},
		{"helpdesk.example.org cmdb.example.org console.internal.example.org", "example.org"},
		{"Helpdesk.Example.org. helpdesk.example.org", "example.org"},
		{"example.org desk.example.org", "example.org"},
		{"desk.example.co.uk crm.example.co.uk", "example.co.uk"},
		{"desk.example.co.uk desk.other.co.uk", ""},
		{"one.github.io", "one.github.io"},
		{"one.github.io two.github.io", ""},
		{"helpdesk.example.org helpdesk.example.net", ""},
		{"helpdesk.corp.internal", "corp.internal"},
		{"helpdesk", "helpdesk"},
		{"localhost 127.0.0.1 ::1", "localhost"},
		{"desk.localhost", "desk.localhost"},
		{"192.0.2.7 2001:db8::7 [2001:db8::8]", ""},
		{"", ""},
	} {
		if got := (auth.FactorsConfig{Hosts: strings.Fields(c.hosts)}).DefaultRPID(); got != c.want {
			t.Errorf("hosts %s: relying party %q, want %q", c.hosts, got, c.want)
		}
	}
}

// Where passkeys are not possible, the error says why.
func TestNoPasskeysHere(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	p := f.named("agent")
	for _, c := range []struct{ hosts, rpID, host, why string }{
		{"desk.example.org 192.0.2.7", "", "192.0.2.7", "browsers make passkeys for names only, and 192.0.2.7 is an address"},
		{"desk.example.org ::1", "", "::1", "::1 is an address"},
		{"desk.example.org", "", "evil.example.org", "evil.example.org is no host of the configuration"},
		{"desk.example.org", "", "", "is no host of the configuration"},
		{"desk.example.org desk.example.net", "", "desk.example.net", "have no domain in common; set factors.rp_id"},
		{"desk.example.org desk.example.net", "example.org", "desk.example.net", "desk.example.net is not below example.org"},
	} {
		f.cfg.Factors.Hosts, f.cfg.Factors.RPID = strings.Fields(c.hosts), c.rpID
		f.reload(f.cfg)
		_, _, enrol := f.BeginPasskeyEnrolment(t.Context(), p, c.host, f.now)
		_, _, signIn := f.BeginPasskeySignIn(t.Context(), "", c.host, f.now)
		for _, err := range []error{enrol, signIn} {
			if !errors.Is(err, auth.ErrNoPasskeys) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("at %q with %+v: %v; want ErrNoPasskeys and %q", c.host, f.cfg.Factors, err, c.why)
			}
		}
	}
}

// The first passkey fixes what all are made for; a configuration that says otherwise is refused with what it would cost.
func TestRelyingPartyIsFixed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFactors(t, db)
		p := f.named("agent")
		other := f.cfg.Factors
		other.RPID = "desk.example.org"
		if err := f.CheckPasskeys(t.Context(), other); err != nil {
			t.Errorf("another relying party before there are passkeys: %v", err)
		}
		d := newDevice(t)
		options, begun, err := f.BeginPasskeyEnrolment(t.Context(), f.named("user"), deskHost, f.now)
		if err != nil {
			t.Fatal(err)
		}
		late := newDevice(t)
		response := late.create(options, deskOrigin)
		f.cfg.Factors = other
		f.reload(f.cfg)
		f.now = f.now.Add(time.Minute)
		info := f.enrolDevice(d, p)
		_, _, err = f.FinishPasskeyEnrolment(t.Context(), person, f.named("user").ID, deskHost, begun, "", response, f.now)
		if !errors.Is(err, auth.ErrNoPasskeys) {
			t.Errorf("a passkey for another relying party that was begun before the first: %v, want ErrNoPasskeys", err)
		}
		f.enrolDevice(newDevice(t), p)
		f.enrolDevice(late, f.named("user"))

		other.RPID = "example.org"
		const cost = "factors.rp_id is example.org, but 3 passkeys of 2 people were made for desk.example.org and would be worth nothing: set it back"
		if err := f.CheckPasskeys(t.Context(), other); !errors.Is(err, auth.ErrNoPasskeys) || !strings.Contains(err.Error(), cost) {
			t.Errorf("another relying party: %v, want %q", err, cost)
		}
		f.cfg.Factors = other
		f.restart() // a command starts all the same
		f.now = f.now.Add(time.Minute)
		if _, _, err := f.BeginPasskeySignIn(t.Context(), "", deskHost, f.now); !errors.Is(err, auth.ErrNoPasskeys) || !strings.Contains(err.Error(), cost) {
			t.Errorf("sign-in under another relying party: %v, want %q", err, cost)
		}
		// Without a setting, what the store has goes on.
		f.cfg.Factors.RPID = ""
		f.cfg.Factors.Hosts = append(f.cfg.Factors.Hosts, "desk.example.net")
		f.reload(f.cfg)
		if err := f.CheckPasskeys(t.Context(), f.cfg.Factors); err != nil {
			t.Errorf("no setting: %v", err)
		}
		f.now = f.now.Add(time.Minute)
		if id, _, err := f.signInWith(d, ""); id != p.ID || err != nil {
			t.Errorf("sign-in without a setting: %q, %v", id, err)
		}
		// With the last passkey gone, the choice is free again.
		for _, name := range []string{"agent", "user"} {
			if err := f.ResetFactors(t.Context(), actor, name); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.CheckPasskeys(t.Context(), other); err != nil {
			t.Errorf("another relying party after the passkeys are gone: %v", err)
		}
		f.cfg.Factors = other
		f.reload(f.cfg)
		f.now = f.now.Add(time.Minute)
		if again := f.enrolDevice(newDevice(t), p); again.ID == info.ID {
			t.Error("a new passkey has the id of an old one")
		}
		if got := row[string](f, `SELECT value FROM setting WHERE name = 'passkey.rp_id'`); got != "example.org" {
			t.Errorf("fixed to %q, want example.org", got)
		}
	})
}

func TestOrigins(t *testing.T) {
	for origin, want := range map[string]bool{
		"https://desk.example.org": true, "https://desk.example.org:443": true, "https://desk.example.org:8443": true, "https://desk.example.org:65535": true,
		"https://desk.example.org.": false, "https://desk.example.org:1:2": false, "https:/desk.example.org": false, "https://desk.example.org:99999": false,
		"https://desk.example.orgx": false, "https://desk.example.org:8443/": false, " https://desk.example.org": false,
	} {
		if got := auth.OriginAt(origin, "desk.example.org"); got != want {
			t.Errorf("%q at desk.example.org: %t, want %t", origin, got, want)
		}
	}
	if auth.OriginAt("https://", "") || auth.OriginAt("https://:443", "") {
		t.Error("an origin without a host is at a host without a name")
	}
}
