package auth_test

import (
	"database/sql"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/store"
)

// postbox is a fixture whose mails go out through a real server. Nobody is told of sign-ins, unless change says so.
type postbox struct {
	*fixture
	server *mailtest.Server
}

func newPostbox(t *testing.T, db *store.DB, change ...func(*auth.Config)) *postbox {
	t.Helper()
	f := newFixture(t, db)
	f.cfg.Notices.SignIn = "off"
	for _, c := range change {
		c(&f.cfg)
	}
	f.cfg.SetDefaults()
	f.cfg.Validate(func(path, format string, args ...any) { t.Fatalf("%s: "+format, append([]any{path}, args...)...) })
	f.withEvents(t)
	return &postbox{f, f.withMail()}
}

// next is the next mail to the address.
func (p *postbox) next(to string) mailtest.Message {
	p.t.Helper()
	return p.nextMail(p.server, to)
}

// mails is how many mails of a kind were written so far.
func (p *postbox) mails(kind string) int {
	p.t.Helper()
	return row[int](p.fixture, `SELECT COUNT(*) FROM mail WHERE kind = $1`, kind)
}

// journalled are the journal's entries of an action.
func (f *fixture) journalled(action string) (list []journal.Entry) {
	f.t.Helper()
	for _, e := range f.entries(0) {
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
