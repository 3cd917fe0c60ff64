package auth_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

func sites(cfg *auth.Config) { cfg.SiteHosts = []string{host, "shop.example"} }

// invite makes an invitation and returns it with the code of its link.
func (p *postbox) invite(email string, roles ...auth.Role) (auth.Invited, string) {
	p.t.Helper()
	made, err := p.Invite(p.t.Context(), actor, auth.NewInvitation{Email: email, Roles: roles}, p.now)
	if err != nil {
		p.t.Fatalf("invite %s: %v", email, err)
	}
	return made, p.codeOf(made)
}

func (p *postbox) codeOf(made auth.Invited) string {
	p.t.Helper()
	code, found := strings.CutPrefix(made.Link, "https://"+host+":8443/.doorward/link/invitation?c=")
	if !found {
		p.t.Fatalf("the link is %s", made.Link)
	}
	return code
}

func (p *postbox) accept(code, name string) (auth.Outcome, error) {
	p.t.Helper()
	return p.AcceptInvitation(p.t.Context(), attempt("", "", "192.0.2.77"), code, auth.Acceptance{Name: name, Password: newPassword}, p.now)
}

func TestInvitation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, sites)
		made, err := p.Invite(t.Context(), actor, auth.NewInvitation{Email: "Maria@example.org", DisplayName: "Maria M.", Language: "de",
			Roles: []auth.Role{auth.User, auth.Agent, auth.User}}, p.now)
		if err != nil || !made.Mailed {
			t.Fatalf("Invite = %+v, %v; want a mail", made, err)
		}
		m := p.next("Maria@example.org")
		code := codeIn(t, m, "/.doorward/link/invitation")
		if code != p.codeOf(made) || m.Subject != "Ihr Konto bei desk.example" || !strings.HasPrefix(m.Text, "Guten Tag Maria M.,") {
			t.Errorf("mail %q with the code %s, want the link %s in German:\n%s", m.Subject, code, made.Link, m.Text)
		}
		shown, err := p.InvitationLink(t.Context(), code, p.now)
		if err != nil || shown.Email != "Maria@example.org" || !slices.Equal(shown.Roles, []auth.Role{auth.Agent, auth.User}) {
			t.Errorf("InvitationLink = %+v, %v", shown, err)
		}
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM principal`); n != 4 {
			t.Errorf("%d accounts before the invitation is accepted, want 4", n)
		}
		var input *auth.InputError
		var unfit *auth.PasswordError
		at := attempt("", "", "192.0.2.77")
		for _, c := range []struct {
			accept auth.Acceptance
			target any
		}{
			{auth.Acceptance{Name: "maria m", Password: newPassword}, &input},
			{auth.Acceptance{Name: "", Password: newPassword}, &input},
			{auth.Acceptance{Name: "maria", DisplayName: "a\nb", Password: newPassword}, &input},
			{auth.Acceptance{Name: "maria", Password: "short"}, &unfit},
			{auth.Acceptance{Name: "maria", Password: "maria@example.org"}, &unfit},
		} {
			if _, err := p.AcceptInvitation(t.Context(), at, code, c.accept, p.now); !errors.As(err, c.target) {
				t.Errorf("accept as %+v: %v, want %T", c.accept, err, c.target)
			}
		}
		_, err = p.accept(code, "AGENT")
		wantErr(t, err, auth.ErrExists, "a name that is taken")
		out, err := p.AcceptInvitation(t.Context(), at, code, auth.Acceptance{Name: "maria", DisplayName: "Maria", Password: newPassword, Language: "en"}, p.now)
		if err != nil || out.Session == nil || out.Session.Methods != "password" {
			t.Fatalf("accept = %+v, %v; want a session", out, err)
		}
		got := p.named("maria")
		if got.Email != "Maria@example.org" || got.DisplayName != "Maria" || got.Origin != "local" || got.Language != "de" || got.MustChange ||
			!slices.Equal(got.Roles, []auth.Role{auth.Agent, auth.User}) {
			t.Errorf("the account is %+v", got)
		}
		wantErr(t, p.try("maria@example.org", newPassword, "192.0.2.1"), nil, "sign in")
		_, err = p.accept(code, "maria2")
		wantErr(t, err, auth.ErrNoLink, "the used link")
		_, err = p.InvitationLink(t.Context(), code, p.now)
		wantErr(t, err, auth.ErrNoLink, "the page of the used link")
		list, err := p.Invitations(t.Context())
		if err != nil || len(list) != 1 || list[0].State(p.now) != "accepted" || list[0].InvitedBy != actor.Name {
			t.Errorf("Invitations = %+v, %v; want one that was accepted", list, err)
		}
		for action, by := range map[string]string{"invitation.add": actor.Name, "invitation.accept": "invitation"} {
			entries := p.journalled(action)
			if len(entries) != 1 || entries[0].Actor != by || strings.Contains(entries[0].After+entries[0].Before, code) {
				t.Errorf("journal of %s: %+v; want one entry by %s without the code", action, entries, by)
			}
		}
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM invitation WHERE hash LIKE '%'||$1||'%'`, code); n != 0 {
			t.Error("the code can be read in the store")
		}
	})
}

// An invitation ends when it is revoked, replaced or over, when whoever made it was closed, or when its role exists no more.
func TestInvitationEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, sites, func(cfg *auth.Config) { cfg.Roles = []auth.RoleConfig{{Name: "warehouse"}} })
		revoked, code := p.invite("a@example.org", auth.User)
		wantErr(t, p.RevokeInvitation(t.Context(), actor, revoked.ID, p.now), nil, "revoke")
		_, err := p.accept(code, "a")
		wantErr(t, err, auth.ErrNoLink, "revoked")
		wantErr(t, p.RevokeInvitation(t.Context(), actor, revoked.ID, p.now), auth.ErrNotFound, "revoke again")
		wantErr(t, p.RevokeInvitation(t.Context(), actor, "nothing", p.now), auth.ErrNotFound, "revoke what is none")

		_, first := p.invite("b@example.org", auth.User)
		_, second := p.invite("B@example.org", auth.User)
		_, err = p.accept(first, "b")
		wantErr(t, err, auth.ErrNoLink, "replaced")
		p.now = p.now.Add(7 * 24 * time.Hour)
		_, err = p.accept(second, "b")
		wantErr(t, err, auth.ErrNoLink, "a week later")

		by := auth.Actor{Name: "Admin", Origin: "192.0.2.1"}
		made, err := p.Invite(t.Context(), by, auth.NewInvitation{Email: "c@example.org", Roles: []auth.Role{auth.User}}, p.now)
		wantErr(t, err, nil, "invite as admin")
		wantErr(t, p.SetDisabled(t.Context(), actor, "admin", true), nil, "disable")
		_, err = p.accept(p.codeOf(made), "c")
		wantErr(t, err, auth.ErrNoLink, "by an account that was closed")

		_, code = p.invite("d@example.org", "warehouse")
		cfg := p.cfg
		cfg.Roles = nil
		p.reload(cfg)
		_, err = p.accept(code, "d")
		wantErr(t, err, auth.ErrNoLink, "with a role that exists no more")

		_, code = p.invite("e@example.org", auth.User)
		p.add("other", auth.User)
		p.exec(`UPDATE principal SET email = 'E@example.org', email_key = 'e@example.org' WHERE name = 'other'`)
		_, err = p.accept(code, "e")
		wantErr(t, err, auth.ErrNoLink, "to what is another account's address by now")
	})
}

func TestInviteRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, sites)
		user := []auth.Role{auth.User}
		for field, n := range map[string]auth.NewInvitation{
			"email":        {Email: "maria", Roles: user},
			"name":         {Email: "m@example.org", Name: "m m", Roles: user},
			"display name": {Email: "m@example.org", DisplayName: "\u202e", Roles: user},
			"roles":        {Email: "m@example.org"},
			"language":     {Email: "m@example.org", Roles: user, Language: "tlh"},
			"life":         {Email: "m@example.org", Roles: user, Life: 31 * 24 * time.Hour},
			"host":         {Email: "m@example.org", Roles: user, Host: "evil.example"},
		} {
			var input *auth.InputError
			if _, err := p.Invite(t.Context(), actor, n, p.now); !errors.As(err, &input) || input.Field != field {
				t.Errorf("%+v: %v, want an *InputError about %s", n, err, field)
			}
		}
		_, err := p.Invite(t.Context(), actor, auth.NewInvitation{Email: "AGENT@example.com", Roles: user}, p.now)
		wantErr(t, err, auth.ErrExists, "an account's address")
		other, err := p.Invite(t.Context(), actor, auth.NewInvitation{Email: "m@example.org", Roles: user, Host: "SHOP.example."}, p.now)
		if err != nil || !strings.HasPrefix(other.Link, "https://shop.example:8443/") {
			t.Errorf("to another site: %s, %v", other.Link, err)
		}

		// Nobody invites somebody who may do more.
		admin := auth.Actor{Name: "admin", Origin: "192.0.2.1", As: &auth.Administrator{Principal: p.named("admin"), Level: auth.FactorLevel,
			Privileges: p.PrivilegesOf([]auth.Role{auth.Admin})}}
		var denied *auth.DeniedError
		if _, err := p.Invite(t.Context(), admin, auth.NewInvitation{Email: "o@example.org", Roles: []auth.Role{auth.Owner}}, p.now); !errors.As(err, &denied) {
			t.Errorf("an admin invites an owner: %v, want a *DeniedError", err)
		}
		owner, _ := p.invite("o@example.org", auth.Owner)
		if err := p.RevokeInvitation(t.Context(), admin, owner.ID, p.now); !errors.As(err, &denied) {
			t.Errorf("an admin revokes an owner's invitation: %v, want a *DeniedError", err)
		}
	})
}

func TestInvitationCaps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, sites)
		_, code := p.invite("m@example.org", auth.User)
		for range 20 {
			_, err := p.accept(code, "agent")
			wantErr(t, err, auth.ErrExists, "a name that is taken")
		}
		hashed := p.Stats().Hashed
		if _, err := p.accept(code, "m"); waiting(err) == 0 || p.Stats().Hashed != hashed {
			t.Errorf("try 21 in an hour: %v, want a *WaitError before any hash", err)
		}
		p.now = p.now.Add(2 * time.Hour)
		_, err := p.accept(code, "m")
		wantErr(t, err, nil, "two hours later")

		for i := range 1000 {
			p.exec(`INSERT INTO invitation (id, hash, email, email_key, name, display_name, language, roles, invited_by, created_at, expires_at)
				VALUES ($1, $1, $1, $1, '', '', '', 'user', 'x', 1, $2)`, strconv.Itoa(i), store.Micros(p.now.Add(time.Hour)))
		}
		var input *auth.InputError
		if _, err := p.Invite(t.Context(), actor, auth.NewInvitation{Email: "n@example.org", Roles: []auth.Role{auth.User}}, p.now); !errors.As(err, &input) {
			t.Errorf("invitation 1001: %v, want an *InputError", err)
		}
		p.Sweep(t.Context(), p.now.Add(100*24*time.Hour))
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM invitation`); n != 0 {
			t.Errorf("%d invitations after 100 days, want 0", n)
		}
	})
}

// Two browsers with one link make one account; and who was invited with roles that demand more gets to that.
func TestInvitationRaceAndSteps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db, sites, func(cfg *auth.Config) {
			cfg.Roles = []auth.RoleConfig{{Name: "admin", Factor: "any", TrustedAddresses: auth.TrustConfig{Required: true}}}
		})
		_, code := p.invite("m@example.org", auth.Admin)
		other := p.another()
		type result struct {
			out auth.Outcome
			err error
		}
		results := make(chan result)
		for i := range 4 {
			a := []*auth.Auth{p.Auth, other}[i%2]
			go func() {
				at := attempt("", "", "192.0.2."+strconv.Itoa(i+1))
				out, err := a.AcceptInvitation(t.Context(), at, code, auth.Acceptance{Name: "m" + strconv.Itoa(i), Password: newPassword}, p.now)
				results <- result{out, err}
			}()
		}
		made := 0
		for range 4 {
			switch r := <-results; {
			case r.err == nil:
				made++
				if r.out.Pending == nil || r.out.Pending.Step != auth.StepEnrol {
					t.Errorf("outcome %+v, want the step %s", r.out, auth.StepEnrol)
				}
			case !errors.Is(r.err, auth.ErrNoLink):
				t.Errorf("got %v, want ErrNoLink", r.err)
			}
		}
		if n := row[int](p.fixture, `SELECT COUNT(*) FROM principal`); made != 1 || n != 5 {
			t.Errorf("%d accounts were made and there are %d, want 1 and 5", made, n)
		}
	})
}

// Without a mail server the link is the administrator's to hand over.
func TestInviteWithoutMail(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.SiteHosts = []string{host}
	f.restart()
	made, err := f.Invite(t.Context(), actor, auth.NewInvitation{Email: "m@example.org", Roles: []auth.Role{auth.User}}, f.now)
	if err != nil || made.Mailed || made.Link == "" {
		t.Fatalf("Invite = %+v, %v; want a link and no mail", made, err)
	}
	_, code, _ := strings.Cut(made.Link, "?c=")
	out, err := f.AcceptInvitation(t.Context(), attempt("", "", "192.0.2.1"), code, auth.Acceptance{Name: "m", Password: newPassword}, f.now)
	if err != nil || out.Session == nil {
		t.Errorf("accept = %+v, %v; want a session", out, err)
	}
}
