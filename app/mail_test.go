package app_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/decision"
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

// TestDigestOfBans: the daily mail of a running Doorward names the bans, and what it says of itself for the audit is what it does.
func TestDigestOfBans(t *testing.T) {
	server := mailtest.Start(t, mailtest.Options{})
	dir := t.TempDir()
	log := filepath.Join(dir, "auth.log")
	watch := "watch:\n  sources:\n    - {name: auth, type: file, paths: [" + log + "], parsers: [sshd]}\n    - {name: gone, type: file, paths: [" + dir + "/no.log], parsers: [mariadb]}\n"
	r := start(t, store.Config{}, server.Settings()+watch+"decisions:\n  trial: true\n  allow: [127.0.0.1]\n")
	at := time.Now().Add(-10 * time.Minute)
	for n, address := range []string{"203.0.113.7", "203.0.113.8"} {
		p := decision.Proposal{Action: decision.Ban, Target: decision.ForAddress(netip.MustParseAddr(address), decision.OneAddress), Origin: "detection:sshd_guessing",
			Reason: "three", At: at, For: time.Hour, Key: address + "/" + strconv.Itoa(n)}
		if _, _, err := r.Decisions().Decide(t.Context(), p, at); err != nil {
			t.Fatal(err)
		}
	}
	client, err := api.Dial(t.Context(), filepath.Join(filepath.Dir(r.file), "data", "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	state := func() api.WatchState {
		t.Helper()
		s, err := client.WatchState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := state(); s.Digest.Recipients != 0 || !s.Digest.Sent.IsZero() || !s.Digest.Mails || s.Kernel.Wanted || s.Decisions != 2 || len(s.SIPTools) != 17 ||
		len(s.Detections) == 0 || len(s.Sources) != 2 || s.Sources[0].Read {
		t.Errorf("got %+v", s)
	}
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(-time.Minute).Format("15:04")
	r.write(string(text) + "events:\n  digest: {recipients: [it@example.org], at: \"" + due + "\"}\n")
	if err := r.ReloadFile(context.Background(), auth.Actor{Name: "cli:tester", Origin: "local"}); err != nil {
		t.Fatal(err)
	}
	m := server.Next(t, "it@example.org")
	for _, want := range []string{"Bans: 2, and 2 in force now", "2  detection:sshd_guessing", "1  203.0.113.7\n", "1  203.0.113.8\n"} {
		if !strings.Contains(strings.ReplaceAll(m.Text, "\r\n", "\n"), want) {
			t.Errorf("the mail has no %q:\n%s", want, m.Text)
		}
	}
	r.eventually("it is known to be sent", func() bool { s := state(); return s.Digest.Recipients == 1 && time.Since(s.Digest.Sent) < time.Minute })
	if err := os.WriteFile(log, []byte(time.Now().UTC().Format(time.RFC3339)+" shop sshd[8]: Failed password for root from 203.0.113.9 port 4 ssh2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.eventually("the source is read", func() bool { s := state().Sources; return len(s) == 2 && s[0].Read && s[0].Problem == "" })
	s := state().Sources
	if got := fmt.Sprint(s[0].Parsers, s[0].Sure, s[1].Parsers, s[1].Sure, s[1].Read); got != "[sshd] [sshd] [mariadb] [] false" || s[1].Problem == "" {
		t.Errorf("sources are %+v", s)
	}
}
