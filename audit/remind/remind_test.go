package remind_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/audit/remind"
	"github.com/doorward/doorward/audit/report"
	"github.com/doorward/doorward/audit/scan"
	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/language/languagetest"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

var (
	start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	actor = register.Actor{Name: "cli:root", Origin: "local"}
)

// desk is a Reminder over a real store, whose mails wait in the outbox.
type desk struct {
	*remind.Reminder
	t        *testing.T
	db       *store.DB
	register *register.Register
	outbox   *mail.Outbox
	reports  string
	log      bytes.Buffer
	read     int // mails that next has returned
}

func newDesk(t *testing.T, db *store.DB) *desk {
	t.Helper()
	j, err := journal.Open(t.Context(), db, filepath.Join(t.TempDir(), "journal.key"))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, db: db, register: register.New(db, j), reports: filepath.Join(t.TempDir(), "reports")}
	d.outbox = mail.New(mail.Config{Host: "127.0.0.1", From: "desk@example.org"}, mail.Deps{DB: db, Log: slog.New(slog.DiscardHandler)})
	d.again()
	return d
}

// again makes another Reminder over the same store, as a start of the process does.
func (d *desk) again() {
	d.Reminder = remind.New(remind.Config{Reports: d.reports, Recipients: []string{"security@example.org"}, Language: "en"}, remind.Deps{DB: d.db, Register: d.register,
		Mail: d.outbox, Texts: languagetest.Shipped(d.t), Log: slog.New(slog.NewTextHandler(&d.log, nil)), Host: "desk",
		Account: func(_ context.Context, email string) (remind.Account, bool, error) {
			if !strings.EqualFold(email, "anna@example.org") {
				return remind.Account{}, false, nil
			}
			return remind.Account{Email: "anna@example.org", Language: "de"}, true, nil
		}})
}

func (d *desk) remind(now time.Time) []string {
	d.t.Helper()
	if err := d.Remind(d.t.Context(), now); err != nil {
		d.t.Fatal(err)
	}
	return d.mails()
}

// mails returns what was queued since it was last asked: recipient, subject and text.
func (d *desk) mails() []string {
	d.t.Helper()
	rows, err := d.db.QueryContext(d.t.Context(), `SELECT recipient, subject, text_body FROM mail ORDER BY created_at, id`)
	if err != nil {
		d.t.Fatal(err)
	}
	defer rows.Close()
	var all []string
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
	fresh := all[d.read:]
	d.read = len(all)
	slices.Sort(fresh)
	return fresh
}

func (d *desk) add(kind register.Kind, control, owner, text string, days int) {
	d.t.Helper()
	s := register.Statement{Kind: kind, Control: control, Owner: owner, Text: text, Until: start.AddDate(0, 0, days)}
	if _, err := d.register.Add(d.t.Context(), actor, s, start); err != nil {
		d.t.Fatal(err)
	}
}

// want compares the mails with the words that each has to have, and the number of them.
func want(t *testing.T, what string, got []string, words ...[]string) {
	t.Helper()
	if len(got) != len(words) {
		t.Fatalf("%s: got %d mails, want %d: %q", what, len(got), len(words), got)
	}
	for i, list := range words {
		for _, word := range list {
			if !strings.Contains(got[i], word) {
				t.Errorf("%s: mail %d has no %q: %s", what, i, word, got[i])
			}
		}
	}
}

func TestReminders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		day := func(n int) time.Time { return start.AddDate(0, 0, n) }
		d.add(register.Attestation, "F-01", "Anna@example.org", "Tier III\nX-1: forged", 100)
		d.add(register.Waiver, "I-03", "Ben Roth", "until the move", 100)
		d.add(register.Waiver, "I-04", "nobody@example.org", "short", 20)
		d.add(register.Attestation, "F-08", "Ben Roth", "renewed since", 40)
		d.add(register.Attestation, "F-08", "Ben Roth", "the renewal", 400)
		asset := register.Asset{Name: "db1", Zone: "dmz", Classification: "secret", Owner: "Ben Roth", Until: day(100)}
		if _, err := d.register.SetAsset(t.Context(), actor, asset, start); err != nil {
			t.Fatal(err)
		}
		for i, until := range []int{60, 100} { // the later scan supersedes the earlier one
			_, err := d.register.AddScan(t.Context(), actor, scan.Import{File: "z", Until: day(until), Report: scan.Report{Format: "zap", Kind: scan.Web, Tool: "ZAP", Targets: []string{"https://desk.example.org"},
				Time: start.Add(time.Duration(i-5) * time.Hour), Size: 1, SHA256: fmt.Sprintf("%064d", i)}}, start)
			if err != nil {
				t.Fatal(err)
			}
		}
		want(t, "nothing is near", d.remind(day(0)))
		want(t, "a short one: not at 30 days, which it never had", d.remind(day(12)))
		want(t, "a short one at 7 days", d.remind(day(13)), []string{"security@example.org", "1 entry", "I-04, waived by nobody@example.org"})
		want(t, "a renewed one and an old scan", d.remind(day(35)))
		want(t, "30 days", d.remind(day(70).Add(time.Hour)),
			[]string{"anna@example.org\n1 Eintrag im Audit von desk", "F-01, bestätigt von Anna@example.org: Tier III X-1: forged\n"},
			[]string{"security@example.org\n3 entries in the audit of desk end soon", "I-03, waived by Ben Roth: until the move", "system db1 of Ben Roth", "scan of https://desk.example.org by ZAP"})
		want(t, "once", d.remind(day(71)))
		d.again()
		want(t, "once, over a restart", d.remind(day(72)))
		want(t, "the last day, after it did not run for a while", d.remind(day(99).Add(time.Hour)), []string{"anna@example.org"}, []string{"3 entries"})
		want(t, "after the end", d.remind(day(101)))
	})
}

// TestManyEndings: one mail a person, with as many lines as a person reads.
func TestManyEndings(t *testing.T) {
	d := newDesk(t, storetest.SQLite(t))
	for i := range 60 {
		d.add(register.Attestation, fmt.Sprintf("X-%d", i), "Ben", strings.Repeat("x", 1500), 100)
	}
	got := d.remind(start.AddDate(0, 0, 80))
	want(t, "many", got, []string{"60 entries", "\nand 10 more\n"})
	if len(got[0]) > 30_000 {
		t.Errorf("the mail has %d bytes", len(got[0]))
	}
}

// keep puts a report into the folder in which the controls have a status each.
func (d *desk) keep(at time.Time, earlier *report.Report, statuses map[string]audit.Status) *report.Report {
	d.t.Helper()
	var findings []audit.Finding
	for id, s := range statuses {
		findings = append(findings, audit.Finding{ID: id, Title: "title of " + id, Status: s, Severity: audit.High})
	}
	r := report.New(audit.Profile{Name: "all"}, findings, facts.Facts{Time: at}, nil)
	if earlier != nil {
		r.Compare(*earlier)
	}
	s, err := report.MakeSpool(d.reports)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := s.Keep(r); err != nil {
		d.t.Fatal(err)
	}
	return &r
}

func (d *desk) drift(now time.Time) []string {
	d.t.Helper()
	if err := d.Drift(d.t.Context(), now); err != nil {
		d.t.Fatal(err)
	}
	return d.mails()
}

func TestDrift(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db)
		want(t, "no folder", d.drift(start))
		first := d.keep(start, nil, map[string]audit.Status{"I-01": audit.Fail, "I-02": audit.Pass, "I-03": audit.Attested, "I-04": audit.Unknown, "I-05": audit.Pass})
		want(t, "the first report", d.drift(start))
		second := d.keep(start.Add(24*time.Hour), first, map[string]audit.Status{"I-01": audit.Fail, "I-02": audit.Fail, "I-03": audit.Fail, "I-04": audit.Fail, "I-05": audit.Unknown})
		now := start.Add(25 * time.Hour)
		got := d.drift(now)
		want(t, "two got worse", got, []string{"security@example.org\n2 controls of desk fail", "I-02 (high): title of I-02; before: pass", "I-03 (high)"})
		if strings.Contains(got[0], "I-01") || strings.Contains(got[0], "I-04") || strings.Contains(got[0], "I-05") {
			t.Errorf("told of what did not begin to fail: %s", got[0])
		}
		want(t, "once", d.drift(now))
		d.again()
		want(t, "once, over a restart", d.drift(now))
		third := d.keep(start.Add(48*time.Hour), second, map[string]audit.Status{"I-01": audit.Pass, "I-02": audit.Pass})
		want(t, "better", d.drift(start.Add(49*time.Hour)))
		d.keep(start.Add(72*time.Hour), third, map[string]audit.Status{"I-01": audit.Fail, "I-02": audit.Pass})
		want(t, "too late", d.drift(start.Add(200*time.Hour)))
		if d.log.Len() > 0 {
			t.Errorf("logged %s", d.log.String())
		}
	})
}

// TestUnreadableReports: a folder that the daemon must not believe, or a report that is broken, is logged once.
func TestUnreadableReports(t *testing.T) {
	d := newDesk(t, storetest.SQLite(t))
	d.keep(start, nil, nil)
	if err := os.Chmod(d.reports, 0o777); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		want(t, "not ours", d.drift(start))
	}
	if n := strings.Count(d.log.String(), "cannot be read"); n != 1 || !strings.Contains(d.log.String(), "chmod go-w") {
		t.Errorf("logged %d times: %s", n, d.log.String())
	}
	if err := os.Chmod(d.reports, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.reports, "all_20261125T120001.000Z.json"), []byte("{"), 0o640); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		want(t, "broken", d.drift(start))
	}
	if n := strings.Count(d.log.String(), "cannot be read"); n != 2 {
		t.Errorf("logged %d times: %s", n, d.log.String())
	}
}

// TestNoMail: without a mail server nothing is done, and nothing is noted as told.
func TestNoMail(t *testing.T) {
	d := newDesk(t, storetest.SQLite(t))
	d.add(register.Waiver, "I-03", "Ben", "x", 100)
	d.outbox.Reload(mail.Config{})
	want(t, "off", d.remind(start.AddDate(0, 0, 80)))
	d.outbox.Reload(mail.Config{Host: "127.0.0.1", From: "desk@example.org"})
	want(t, "on", d.remind(start.AddDate(0, 0, 80)), []string{"I-03"})
}
