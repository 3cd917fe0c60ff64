package real

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/store"
)

// AddToken makes an API token for the sites, of an account in the data folder of a Doorward that may be running.
func AddToken(t testing.TB, data, account string) (token string) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	ctx := t.Context()
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(data, "doorward.db")})
	if err != nil {
		t.Fatal(err)
	}
	events, eventsErr := event.Open(ctx, event.Config{Dir: t.TempDir(), RetentionDays: 1, Queue: 256}, db, log)
	j, journalErr := journal.Open(ctx, db, filepath.Join(data, "journal.key"))
	if err := errors.Join(eventsErr, journalErr); err != nil {
		t.Fatal(err)
	}
	var cfg auth.Config
	cfg.SetDefaults()
	accounts, err := auth.New(cfg, auth.Deps{DB: db, Journal: j, Events: events, Log: log, Texts: languagetest.Shipped(t)})
	if err == nil {
		_, token, err = accounts.AddToken(ctx, auth.Actor{Name: "test", Origin: "local"}, account,
			auth.NewToken{Name: "test", Privileges: []auth.Privilege{auth.UseSites}}, time.Now())
	}
	if err := errors.Join(err, events.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return token
}
