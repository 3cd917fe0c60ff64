package auth_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// trusting holds sign-ins of agents from new addresses.
func trusting() auth.RoleConfig {
	return auth.RoleConfig{Name: "agent", TrustedAddresses: auth.TrustConfig{Required: true, Period: 7 * 24 * time.Hour,
		Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
}

// D-13 to D-16: a sign-in from an address that is new for the person is held until its link is opened in the same browser.
func TestHeldSignIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		server := f.withMail()
		f.roles(trusting())
		at := attempt("agent", password, "198.51.100.7")
		out := f.begin(at)
		f.wantStep(out, nil, auth.StepHeld, "a new address")
		if out.Pending.MailedTo != "a…@example.com" {
			t.Errorf("mailed to %q, want a…@example.com", out.Pending.MailedTo)
		}
		if again, err := f.ContinueSignIn(t.Context(), at, out.Token, f.now); err != nil || again.Session != nil {
			t.Fatalf("not released: %+v, %v", again, err)
		}
		m := f.nextMail(server, "agent@example.com")
		code := codeIn(t, m, "/.doorward/link/release")
		for _, fact := range []string{"198.51.100.7", "Browser/1", "10 minutes"} {
			if !strings.Contains(m.Text, fact) {
				t.Errorf("the mail lacks %q:\n%s", fact, m.Text)
			}
		}

		elsewhere := attempt("", "", "203.0.113.9")
		held, err := f.HeldSignIn(t.Context(), elsewhere, code, "", f.now)
		if err != nil || held.SameBrowser || held.Name != "agent" || held.Address.String() != "198.51.100.7" || held.UserAgent != "Browser/1" {
			t.Errorf("seen elsewhere: %+v, %v; want the details and no way to release", held, err)
		}
		_, err = f.ReleaseSignIn(t.Context(), elsewhere, code, "", f.now)
		wantErr(t, err, auth.ErrOtherBrowser, "released elsewhere")
		_, err = f.ReleaseSignIn(t.Context(), attempt("", "", "203.0.113.9"), code, out.Token, f.now)
		wantErr(t, err, auth.ErrOtherBrowser, "released with the cookie at another address")
		otherHost := at
		otherHost.Host = "other.example"
		_, err = f.ReleaseSignIn(t.Context(), otherHost, code, out.Token, f.now)
		wantErr(t, err, auth.ErrOtherBrowser, "released at another host")
		if seen, err := f.HeldSignIn(t.Context(), at, code, out.Token, f.now); err != nil || !seen.SameBrowser {
			t.Errorf("seen where it began: %+v, %v", seen, err)
		}
		done, err := f.ReleaseSignIn(t.Context(), at, code, out.Token, f.now)
		f.wantStep(done, err, "", "released where it began")
		f.wantSession(done.Token, nil, "released")
		_, err = f.ReleaseSignIn(t.Context(), at, code, out.Token, f.now)
		wantErr(t, err, auth.ErrNoLink, "the link again")
		_, err = f.ContinueSignIn(t.Context(), at, out.Token, f.now)
		wantErr(t, err, auth.ErrNoPending, "the pending sign-in again")

		f.wantStep(f.begin(at), nil, "", "the address again")
		f.wantStep(f.begin(attempt("agent", password, "10.1.2.3")), nil, "", "a network that is always trusted")
		f.wantStep(f.begin(attempt("admin", password, "198.51.100.7")), nil, "", "a role that holds nobody")
		f.wantStep(f.begin(attempt("agent", password, "198.51.100.8")), nil, auth.StepHeld, "the neighbour's address")
		f.now = f.now.Add(7*24*time.Hour + time.Second)
		f.wantStep(f.begin(at), nil, auth.StepHeld, "the trust is over")
	})
}

// What a link has released at one address goes on at no other, where the rest of the steps would have that one trusted (D-13).
func TestReleaseIsGoodAtItsAddress(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		p.roles(trusting())
		if err := p.RequireNewPassword(t.Context(), actor, "agent"); err != nil {
			t.Fatal(err)
		}
		at, elsewhere := attempt("agent", password, "198.51.100.7"), attempt("agent", password, "203.0.113.9")
		out := p.begin(at)
		p.wantStep(out, nil, auth.StepHeld, "a new address")
		code := codeIn(t, p.next("agent@example.com"), "/.doorward/link/release")
		released, err := p.ReleaseSignIn(t.Context(), at, code, out.Token, p.now)
		p.wantStep(released, err, auth.StepPassword, "released")
		_, err = p.PendingSignIn(t.Context(), elsewhere, out.Token, p.now)
		wantErr(t, err, auth.ErrNoPending, "seen elsewhere")
		_, err = p.ProveNewPassword(t.Context(), elsewhere, out.Token, newPassword, p.now)
		wantErr(t, err, auth.ErrNoPending, "a new password elsewhere")
		done, err := p.ProveNewPassword(t.Context(), at, out.Token, newPassword, p.now)
		p.wantStep(done, err, "", "a new password where it was released")
		p.wantStep(p.begin(attempt("agent", newPassword, "203.0.113.9")), nil, auth.StepHeld, "elsewhere then")
	})
}

// Who moves before the last step of a reset is not trusted where no mailbox was proved; where nothing is held, nothing changes.
func TestResetGoesOnAtItsAddress(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPostbox(t, db)
		p.roles(trusting())
		for name, held := range map[string]bool{"agent": true, "user": false} {
			app, _ := p.enrolApp(p.named(name))
			at := attempt("", "", "198.51.100.7")
			out, err := p.ResetByLink(t.Context(), at, p.resetCode(name, name+"@example.com"), newPassword, p.now)
			p.wantStep(out, err, auth.StepFactor, name)
			later := p.now.Add(time.Minute)
			done, err := p.ProveCode(t.Context(), attempt("", "", "203.0.113.9"), out.Token, app.code(later), later)
			if held {
				wantErr(t, err, auth.ErrNoPending, name+" elsewhere")
				continue
			}
			p.wantStep(done, err, "", name+" elsewhere")
		}
	})
}

// One customer's /64 is one address.
func TestHeldSignInIPv6(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	f.roles(trusting())
	at := attempt("agent", password, "2001:db8:1:2::3")
	out := f.begin(at)
	code := codeIn(t, f.nextMail(server, "agent@example.com"), "/.doorward/link/release")
	neighbour := attempt("", "", "2001:db8:1:2:ffff::9")
	done, err := f.ReleaseSignIn(t.Context(), neighbour, code, out.Token, f.now)
	f.wantStep(done, err, "", "released from the same /64")
	f.wantStep(f.begin(attempt("agent", password, "2001:db8:1:2::77")), nil, "", "the same /64")
	f.wantStep(f.begin(attempt("agent", password, "2001:db8:1:3::77")), nil, auth.StepHeld, "the next /64")
}

func TestHeldLinkIsOver(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	f.roles(trusting())
	at := attempt("agent", password, "198.51.100.7")
	out := f.begin(at)
	code := codeIn(t, f.nextMail(server, "agent@example.com"), "/.doorward/link/release")
	f.now = f.now.Add(10*time.Minute + time.Second)
	_, err := f.ReleaseSignIn(t.Context(), at, code, out.Token, f.now)
	wantErr(t, err, auth.ErrNoLink, "after ten minutes")
	for _, bad := range []string{"", "x", strings.Repeat("A", 43), code + "A", out.Token} {
		_, err := f.HeldSignIn(t.Context(), at, bad, out.Token, f.now)
		wantErr(t, err, auth.ErrNoLink, bad)
	}
}

// A released sign-in has a quarter of an hour for the steps that follow, however late the link was opened.
func TestReleasedHasTimeAgain(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	f.roles(trusting())
	f.exec(`UPDATE principal SET must_change = 1 WHERE name_key = 'agent'`)
	at := attempt("agent", password, "198.51.100.7")
	out := f.begin(at)
	f.wantStep(out, nil, auth.StepHeld, "a new address")
	code := codeIn(t, f.nextMail(server, "agent@example.com"), "/.doorward/link/release")
	f.now = f.now.Add(9 * time.Minute)
	next, err := f.ReleaseSignIn(t.Context(), at, code, out.Token, f.now)
	f.wantStep(next, err, auth.StepPassword, "released after nine minutes")
	f.now = f.now.Add(15*time.Minute - time.Second)
	_, err = f.PendingSignIn(t.Context(), at, out.Token, f.now)
	wantErr(t, err, nil, "a quarter of an hour later")
	f.now = f.now.Add(2 * time.Second)
	_, err = f.PendingSignIn(t.Context(), at, out.Token, f.now)
	wantErr(t, err, auth.ErrNoPending, "after that")
}

// A person is not flooded with mails by whoever knows their password.
func TestHeldMailsAreCapped(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	f.roles(trusting())
	mailed := 0
	for i := range 12 {
		out := f.begin(attempt("agent", password, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String()))
		if out.Pending.MailedTo != "" {
			mailed++
		}
	}
	if mailed != 5 {
		t.Errorf("%d mails an hour, want 5", mailed)
	}
	for range mailed {
		f.nextMail(server, "agent@example.com")
	}
	f.now = f.now.Add(time.Hour + time.Second)
	if out := f.begin(attempt("agent", password, "198.51.100.99")); out.Pending.MailedTo == "" {
		t.Error("an hour later no mail is sent")
	}
}

// Without mail an administrator lets the person in (security.md 9).
func TestTrustAddress(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.roles(trusting())
	at := attempt("agent", password, "198.51.100.7")
	out := f.begin(at)
	f.wantStep(out, nil, auth.StepHeld, "no mail server")
	if out.Pending.MailedTo != "" {
		t.Errorf("mailed to %q without a server", out.Pending.MailedTo)
	}
	n := int64(len(f.entries(0)))
	until, err := f.TrustAddress(t.Context(), actor, "agent", netip.MustParseAddr("198.51.100.7"), f.now)
	if err != nil || until.Sub(f.now) != 7*24*time.Hour {
		t.Fatalf("trust: until %v, %v; want a week", until, err)
	}
	if got := f.entries(n); len(got) != 1 || got[0].Action != "account.trust-address" || got[0].Target != "agent" {
		t.Errorf("journal: %+v", got)
	}
	done, err := f.ContinueSignIn(t.Context(), at, out.Token, f.now)
	f.wantStep(done, err, "", "trusted meanwhile")
	p, err := f.Principal(t.Context(), "agent")
	if err != nil {
		t.Fatal(err)
	}
	known, err := f.KnownAddresses(t.Context(), p.ID)
	if err != nil || len(known) != 1 || known[0].How != "administrator" || known[0].TrustedUntil.Sub(until).Abs() > time.Millisecond {
		t.Fatalf("known: %+v, %v", known, err)
	}
	if err := f.ForgetAddress(t.Context(), actor, p.ID, known[0].Prefix); err != nil {
		t.Fatal(err)
	}
	wantErr(t, f.ForgetAddress(t.Context(), actor, p.ID, known[0].Prefix), auth.ErrNotFound, "forgotten twice")
	f.wantStep(f.begin(at), nil, auth.StepHeld, "forgotten")
	for _, bad := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.MustParseAddr("ff02::1")} {
		if _, err := f.TrustAddress(t.Context(), actor, "agent", bad, f.now); err == nil {
			t.Errorf("%s is trusted", bad)
		}
	}
}

// Whoever says that it was somebody else takes everything from them: sessions, the password, trust. Factors stay.
func TestRefusedSignIn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		server := f.withMail()
		f.roles(trusting())
		p, err := f.Principal(t.Context(), "agent")
		if err != nil {
			t.Fatal(err)
		}
		home := f.begin(attempt("agent", password, "10.0.0.1"))
		f.nextMail(server, "agent@example.com") // the notice of that sign-in
		f.enrolApp(p)
		f.wantStep(f.begin(attempt("agent", password, "198.51.100.66")), nil, auth.StepFactor, "the attacker")
		// The attacker has a second way: a person without a factor.
		victim := f.begin(attempt("user", password, "10.0.0.1"))
		f.nextMail(server, "user@example.com")
		f.roles(trusting(), auth.RoleConfig{Name: "user", TrustedAddresses: auth.TrustConfig{Required: true}})
		held := f.begin(attempt("user", password, "198.51.100.66"))
		f.wantStep(held, nil, auth.StepHeld, "the attacker as the user")
		code := codeIn(t, f.nextMail(server, "user@example.com"), "/.doorward/link/release")
		refused := f.named("user")
		f.enrolApp(refused)
		if _, err := f.TrustAddress(t.Context(), actor, "user", netip.MustParseAddr("203.0.113.5"), f.now); err != nil {
			t.Fatal(err)
		}
		before := f.factors(refused.ID)
		if known, err := f.KnownAddresses(t.Context(), refused.ID); err != nil || len(known) == 0 || !before.TOTP {
			t.Fatalf("before: addresses %+v, %v, factors %+v; want trust and an app to lose", known, err, before)
		}
		reset, err := f.RefuseSignIn(t.Context(), attempt("", "", "192.0.2.50"), code, f.now)
		if err != nil || reset == "" {
			t.Fatalf("refuse: %q, %v", reset, err)
		}
		if known, err := f.KnownAddresses(t.Context(), refused.ID); err != nil || len(known) != 0 {
			t.Errorf("addresses that are still trusted: %+v, %v", known, err)
		}
		if diff := cmp.Diff(before, f.factors(refused.ID)); diff != "" {
			t.Errorf("the factors did not stay (-before +after):\n%s", diff)
		}
		f.wantSession(victim.Token, auth.ErrNoSession, "the person's own session, which the attacker could have")
		f.wantSession(home.Token, nil, "another person")
		wantErr(t, f.try("user", password, "10.0.0.1"), auth.ErrWrong, "the password that others know")
		_, err = f.ContinueSignIn(t.Context(), attempt("user", password, "198.51.100.66"), held.Token, f.now)
		wantErr(t, err, auth.ErrNoPending, "the attacker's sign-in")
		_, err = f.RefuseSignIn(t.Context(), attempt("", "", "192.0.2.50"), code, f.now)
		wantErr(t, err, auth.ErrNoLink, "the link again")
	})
}

// D-09: a sign-in from a new browser or network is told, with a link that ends what it opened.
func TestNotMe(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		server := f.withMail()
		out := f.begin(attempt("agent", password, "192.0.2.1"))
		code := codeIn(t, f.nextMail(server, "agent@example.com"), "/.doorward/link/not-me")
		if out.Device == "" {
			t.Fatal("the browser got no device cookie")
		}
		known := attempt("agent", password, "192.0.2.1")
		known.Device = out.Device
		if again := f.begin(known); again.Device != "" {
			t.Error("a known browser got another device cookie")
		}
		if name, err := f.NotMeLink(t.Context(), code, f.now); err != nil || name != "agent" {
			t.Fatalf("link of %q, %v", name, err)
		}
		f.wantSession(out.Token, nil, "looking at the link changes nothing")
		if _, err := f.NotMe(t.Context(), attempt("", "", "192.0.2.50"), code, f.now); err != nil {
			t.Fatal(err)
		}
		f.wantSession(out.Token, auth.ErrNoSession, "not me")
		wantErr(t, f.try("agent", password, "192.0.2.1"), auth.ErrWrong, "the password")
		if n := row[int](f, `SELECT COUNT(*) FROM known_device`); n != 0 {
			t.Errorf("%d browsers are still known", n)
		}
		_, err := f.NotMe(t.Context(), attempt("", "", "192.0.2.50"), code, f.now)
		wantErr(t, err, auth.ErrNoLink, "the link again")
		f.deliver()
		// The mails: one for the first sign-in, none for the known browser at the known address.
		for _, m := range server.Messages()[1:] {
			t.Errorf("one more mail: %s", m.Subject)
		}
	})
}

// D-09: failed sign-ins are told bundled, at most once an hour.
func TestFailureNotices(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	server := f.withMail()
	for i := range 4 {
		wantErr(t, f.try("agent", "wrong", netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String()), auth.ErrWrong, "guess")
	}
	sweep := func(after time.Duration) {
		f.now = f.now.Add(after)
		f.Sweep(t.Context(), f.now)
		f.deliver()
	}
	sweep(time.Minute)
	if m := server.Messages(); len(m) != 0 {
		t.Fatalf("told at once: %s", m[0].Subject)
	}
	sweep(2 * time.Minute)
	m := f.nextMail(server, "agent@example.com")
	codeIn(t, m, "/.doorward/link/not-me")
	if !strings.Contains(m.Text, "4 failed attempts") || !strings.Contains(m.Text, "198.51.100.3") {
		t.Errorf("the notice: %s", m.Text)
	}
	wantErr(t, f.try("agent", "wrong", "198.51.100.200"), auth.ErrWrong, "one more")
	sweep(10 * time.Minute)
	if m := server.Messages(); len(m) != 1 {
		t.Errorf("%d notices within the hour, want 1", len(m))
	}
	sweep(time.Hour)
	if m := f.nextMail(server, "agent@example.com"); !strings.Contains(m.Text, "1 failed attempt ") {
		t.Errorf("the second notice: %s", m.Text)
	}
}

// A second factor that comes or goes is told (ASVS 6.3.7), and so is a right password from a network that the roles forbid (6.3.5).
func TestFactorAndNetworkNotices(t *testing.T) {
	f := newFactors(t, storetest.SQLite(t))
	f.cfg.SiteHosts = []string{host}
	server := f.withMail()
	p := f.named("agent")
	f.enrolApp(p)
	if m := f.nextMail(server, "agent@example.com"); !strings.Contains(m.Text, "was added") || !strings.Contains(m.Text, "authenticator app") {
		t.Errorf("the mail about a new factor: %s", m.Text)
	}
	if err := f.RemoveTOTP(t.Context(), actor, p.ID, auth.PasswordLevel); err != nil {
		t.Fatal(err)
	}
	f.now = time.Now()
	if m := f.nextMail(server, "agent@example.com"); !strings.Contains(m.Text, "was removed") {
		t.Errorf("the mail about a factor that is gone: %s", m.Text)
	}
	f.roles(auth.RoleConfig{Name: "user", Networks: prefixes("10.0.0.0/8")})
	wantErr(t, f.try("user", password, "198.51.100.7"), auth.ErrNetwork, "from outside")
	f.now = f.now.Add(3 * time.Minute)
	f.Sweep(t.Context(), f.now)
	if m := f.nextMail(server, "user@example.com"); !strings.Contains(m.Text, "198.51.100.7") {
		t.Errorf("the mail about a sign-in from outside: %s", m.Text)
	}
}
