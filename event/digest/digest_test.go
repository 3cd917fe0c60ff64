package digest_test

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/event/digest"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// desk is what a digest stands on; its mails wait in the outbox.
type desk struct {
	t      *testing.T
	db     *store.DB
	events *event.Log
	outbox *mail.Outbox
}

func newDesk(t *testing.T, db *store.DB, events ...event.Event) *desk {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	l, err := event.Open(t.Context(), event.Config{Dir: filepath.Join(t.TempDir(), "events")}, db, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	for _, e := range events {
		l.Append(e)
	}
	stop()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &desk{t: t, db: db, events: l, outbox: mail.New(mail.Config{Host: "127.0.0.1", From: "desk@example.org"}, mail.Deps{DB: db, Log: log})}
}

// process is a Digest as each process has one.
func (d *desk) process(cfg event.DigestConfig) *digest.Digest {
	whole := event.Config{Digest: cfg}
	whole.SetDefaults()
	return digest.New(whole.Digest, digest.Deps{DB: d.db, Events: d.events, Mail: d.outbox, Texts: languagetest.Shipped(d.t), Log: slog.New(slog.DiscardHandler), Host: "desk",
		Head: func(context.Context) (string, error) { return "journal\n7\nhash\n", nil },
		Bans: func(context.Context, time.Time, time.Time) (digest.Bans, error) {
			return digest.Bans{New: 3, Standing: 2, Reasons: []digest.Item{{Text: "detection:sshd_guessing", N: 3}}, Sources: []digest.Item{{Text: "203.0.113.5 http://evil", N: 7}}}, nil
		}})
}

func (d *desk) send(g *digest.Digest, now time.Time) {
	d.t.Helper()
	if err := g.Send(d.t.Context(), now); err != nil {
		d.t.Fatal(err)
	}
}

// mails returns recipient, subject and text of all that was queued.
func (d *desk) mails() (all []string) {
	d.t.Helper()
	rows, err := d.db.QueryContext(d.t.Context(), `SELECT recipient, subject, text_body FROM mail ORDER BY created_at, id`)
	if err != nil {
		d.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var to, subject, text string
		if err := rows.Scan(&to, &subject, &text); err != nil {
			d.t.Fatal(err)
		}
		all = append(all, to+"\n"+subject+"\n"+text)
	}
	if err := rows.Err(); err != nil {
		d.t.Fatal(err)
	}
	return all
}

// seven is seven o'clock this morning, or yesterday's.
func seven() time.Time {
	now := time.Now().UTC()
	return event.DigestConfig{At: "07:00"}.Due(now)
}

func TestDigest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		due := seven()
		at := due.Add(-2 * time.Hour)
		source := netip.MustParseAddr("203.0.113.5")
		d := newDesk(t, db,
			event.Event{Time: at, Class: event.HTTP, Outcome: event.Success, Source: source, User: "ada"},
			event.Event{Time: at, Class: event.HTTP, Outcome: event.Refused, Source: source, Fields: []event.Field{{Key: "target", Value: "/wp-login.php?x"}}},
			event.Event{Time: at, Class: event.Authentication, Outcome: event.Success, User: "ada"},
			event.Event{Time: at, Class: event.Authentication, Outcome: event.Failure, User: "https://evil.example/\u202eclick"},
			event.Event{Time: at, Class: event.Email, Outcome: event.Failure},
			event.Event{Time: at, Class: event.Detection, Action: "detect", Outcome: event.Success, Fields: []event.Field{{Key: "name", Value: "sshd_guessing"}, {Key: "title", Value: "Guessing\nof passwords"}}},
			event.Event{Time: due.Add(time.Minute), Class: event.Detection, Action: "detect", Outcome: event.Success, Fields: []event.Field{{Key: "name", Value: "later"}}},
			event.Event{Time: due.Add(time.Minute), Class: event.HTTP, Outcome: event.Success, User: "too-late"},
			event.Event{Time: due.Add(-25 * time.Hour), Class: event.HTTP, Outcome: event.Success, User: "too-early"})
		g := d.process(event.DigestConfig{Recipients: []string{"a@example.org", "b@example.org"}})
		d.send(g, due.Add(-time.Second)) // yesterday's is not sent half a day later
		if got := d.mails(); len(got) != 0 {
			t.Fatalf("before the time: got %q", got)
		}
		d.send(g, due)
		got := d.mails()
		if len(got) != 2 || !strings.HasPrefix(got[0], "a@example.org\n") || !strings.HasPrefix(got[1], "b@example.org\n") {
			t.Fatalf("got %q, want one mail to a and one to b", got)
		}
		for _, want := range []string{"desk: 6 events, 3 refused or failed", "Requests: 2, of them 1 refused and 0 failed", "Sign-ins: 1 succeeded, 1 failed, 0 refused", "Bans: 3, and 2 in force now", "New bans, by what led to them:\n         3  detection:sshd_guessing\n", "         7  203.0.113.5 http[:]//evil\n", "Detections: 1", "\n         1  sshd_guessing: Guessing",
			"Mails: 1, of them 1 not delivered", "1  203.0.113.5", "2  203.0.113.5", "1  /wp-login.php\n", `1  https[:]//evil.example/\u202eclick`, "journal\n7\nhash"} {
			if !strings.Contains(got[0], want) {
				t.Errorf("the mail has no %q:\n%s", want, got[0])
			}
		}
		for _, bad := range []string{"too-late", "too-early", "later", "https://evil", "\u202e"} {
			if strings.Contains(got[0], bad) {
				t.Errorf("the mail has %q:\n%s", bad, got[0])
			}
		}
		// Again, in another process, and for a third person.
		d.send(g, due.Add(time.Minute))
		d.send(d.process(event.DigestConfig{Recipients: []string{"A@example.org", "b@example.org", "c@example.org"}, Language: "de"}), due.Add(time.Hour))
		if got := d.mails(); len(got) != 3 || !strings.HasPrefix(got[2], "c@example.org\ndesk: 6 Ereignisse, ") {
			t.Errorf("got %d mails, want a third one to c in German", len(got))
		}
		d.send(g, due.Add(13*time.Hour))
		d.send(g, due.AddDate(0, 0, 1))
		if got := d.mails(); len(got) != 5 {
			t.Errorf("the day after: got %d mails, want 5", len(got))
		}
	})
}

// TestDigestOfManyProcesses: several that find it due at once write it once.
func TestDigestOfManyProcesses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d, due := newDesk(t, db), seven()
		var all sync.WaitGroup
		for range 4 {
			g := d.process(event.DigestConfig{Recipients: []string{"a@example.org"}})
			all.Go(func() {
				if err := g.Send(t.Context(), due.Add(time.Second)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := d.mails(); len(got) != 1 {
			t.Errorf("got %d mails, want 1", len(got))
		}
	})
}

func TestNoRecipientsNoDigest(t *testing.T) {
	d := newDesk(t, storetest.SQLite(t))
	d.send(d.process(event.DigestConfig{}), seven())
	if got := d.mails(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// TestConfig: what cannot work is named.
func TestConfig(t *testing.T) {
	for path, change := range map[string]func(*event.DigestConfig){
		"digest.recipients[0]": func(c *event.DigestConfig) { c.Recipients = []string{"nobody"} },
		"digest.recipients": func(c *event.DigestConfig) {
			c.Recipients = strings.Split(strings.Repeat("a@example.org ", 21)[:21*14-1], " ")
		},
		"digest.at":       func(c *event.DigestConfig) { c.At = "7:00" },
		"digest.language": func(c *event.DigestConfig) { c.Language = "xx" },
	} {
		var cfg event.Config
		cfg.SetDefaults()
		change(&cfg.Digest)
		var got []string
		cfg.Validate(func(path, _ string, _ ...any) { got = append(got, path) })
		if strings.Join(got, " ") != path {
			t.Errorf("%+v: got problems at %q, want %s", cfg.Digest, got, path)
		}
	}
}
