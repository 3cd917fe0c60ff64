package auth_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/pquerna/otp/totp"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/store"
)

// postbox is a fixture whose mails go out through a real server.
type postbox struct {
	*fixture
	server *mailtest.Server
	outbox *mail.Outbox
}

func newPostbox(t *testing.T, db *store.DB, change ...func(*auth.Config)) *postbox {
	t.Helper()
	p := &postbox{server: mailtest.Start(t, mailtest.Options{})}
	p.outbox = mail.New(p.server.Config(), mail.Deps{DB: db, Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.outbox.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the outbox ended with %v", err)
		}
	})
	f := newFixture(t, db)
	f.withEvents(t)
	f.cfg.Notices.SignIn = "off"
	for _, c := range change {
		c(&f.cfg)
	}
	p.fixture = f
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.Auth = p.another()
	return p
}

// another is a second process on the same store that sends mail.
func (p *postbox) another() *auth.Auth {
	p.t.Helper()
	a, err := auth.New(p.cfg, auth.Deps{DB: p.db, Journal: p.journal, Events: p.events, Log: slog.New(slog.DiscardHandler), Texts: texts(p.t),
		Mail: p.outbox})
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// mails is how many mails of a kind were written so far.
func (p *postbox) mails(kind string) int {
	return row[int](p.fixture, `SELECT COUNT(*) FROM mail WHERE kind = $1`, kind)
}

// linkCode is what stands behind c= in the link of a mail.
func linkCode(t testing.TB, m mailtest.Message, path string) string {
	t.Helper()
	for _, link := range m.Links() {
		if before, code, ok := strings.Cut(link, path+"?c="); ok && before == "https://"+host {
			return code
		}
	}
	t.Fatalf("the mail %q has no link to %s at https://%s:\n%s", m.Subject, path, host, m.Text)
	return ""
}

// journalled is how many journal entries of an action there are.
func (f *fixture) journalled(action string) (list []journal.Entry) {
	f.t.Helper()
	all, err := f.journal.Entries(f.t.Context(), 0, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range all {
		if e.Action == action {
			list = append(list, e)
		}
	}
	return list
}

// exec changes the store behind the package's back.
func (f *fixture) exec(statement string, args ...any) {
	f.t.Helper()
	if err := f.db.Write(f.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(f.t.Context(), statement, args...)
		return err
	}); err != nil {
		f.t.Fatalf("%s: %v", statement, err)
	}
}

// withTOTP gives an account an authenticator app and returns its secret.
func (f *fixture) withTOTP(name string) (secret string) {
	f.t.Helper()
	who, err := f.Principal(f.t.Context(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	e, err := f.BeginTOTP(f.t.Context(), who)
	if err != nil {
		f.t.Fatal(err)
	}
	code, err := totp.GenerateCode(e.Secret, f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.ConfirmTOTP(f.t.Context(), actor, who.ID, code, f.now); err != nil {
		f.t.Fatal(err)
	}
	return e.Secret
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}
