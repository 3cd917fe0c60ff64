package app_test

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/mail/mailtest"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// TestMail: a running Doorward sends what waits in its store, whoever put it there, and a reload takes another server.
func TestMail(t *testing.T) {
	first, second := mailtest.Start(t, mailtest.Options{}), mailtest.Start(t, mailtest.Options{TLS: mail.Implicit})
	r := start(t, store.Config{}, first.Settings())
	db := storetest.Open(t, store.Config{Path: filepath.Join(filepath.Dir(r.file), "data", "doorward.db")})
	outbox := mail.New(first.Config(), mail.Deps{DB: db, Log: slog.New(slog.DiscardHandler)})
	add := func(to string) {
		t.Helper()
		now := time.Now()
		m := mail.Message{To: to, Subject: "Hello", Text: "Hello.\n", Kind: "notice", Expires: now.Add(time.Hour)}
		if err := db.Write(t.Context(), func(tx *sql.Tx) error { return outbox.Add(t.Context(), tx, m, now) }); err != nil {
			t.Fatal(err)
		}
	}
	add("maria@example.org")
	first.Next(t, "maria@example.org")

	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	r.write(strings.Replace(string(text), first.Settings(), second.Settings(), 1))
	if err := r.ReloadFile(context.Background(), auth.Actor{Name: "cli:tester", Origin: "local"}); err != nil {
		t.Fatalf("reload: %v", err)
	}
	add("joe@example.org")
	second.Next(t, "joe@example.org")
	r.eventually("both are counted", func() bool { return r.Mail().Stats().Sent == 2 })
}
