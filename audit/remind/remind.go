// Package remind tells people by mail what they would otherwise learn from the next audit: that an attestation, a waiver, the review of a
// system or a scan ends soon, and that controls fail which did not fail before.
//
// It knows the register and the folder of reports, which it only reads. It does not judge, and does not know accounts beyond their address.
package remind

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/register"
	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store"
)

// Config is what the configuration says of these mails.
type Config struct {
	// Reports is the folder of the audit's reports.
	Reports string
	// Recipients get what no account stands for, and what got worse.
	Recipients []string
	// Language is the language of who has no account.
	Language string
}

// Account is who reads a mail at an address.
type Account struct{ Email, Language string }

// Deps is what a Reminder works with.
type Deps struct {
	DB       *store.DB
	Register *register.Register
	Mail     *mail.Outbox
	Texts    *language.Catalogue
	Log      *slog.Logger
	// Account finds the account of a mail address, if it may sign in; false: there is none.
	Account func(ctx context.Context, email string) (Account, bool, error)
	// Host is what this machine is called in the mails.
	Host string
}

const (
	every    = 10 * time.Minute
	maxLines = 50                  // of a mail
	maxLine  = 300                 // bytes of a text in a line
	expires  = 6 * 24 * time.Hour  // of a mail; the next mark is a week away
	keepTold = 40 * 24 * time.Hour // longer than anything that is told can be told again
)

// marks are how many days before the end people are told, the last first.
func marks() []int { return []int{1, 7, 30} }

// Reminder writes the mails. What was mailed is kept in the store, so that each is written once, however often the process starts and
// however many processes there are.
type Reminder struct {
	deps Deps
	cfg  atomic.Pointer[Config]
	// Of the one goroutine that runs Drift: the reports that are done with, by profile, and the last problem that was logged.
	seen    map[string]time.Time
	problem string
}

// New makes a Reminder; it writes nothing before Run.
func New(cfg Config, deps Deps) *Reminder {
	r := &Reminder{deps: deps, seen: map[string]time.Time{}}
	r.Reload(cfg)
	return r
}

// Reload takes another configuration.
func (r *Reminder) Reload(cfg Config) { r.cfg.Store(&cfg) }

// Run looks every ten minutes until ctx ends. A store that is away is logged, and asked again.
func (r *Reminder) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		now := time.Now()
		if err := errors.Join(r.Remind(ctx, now), r.Drift(ctx, now)); err != nil && ctx.Err() == nil {
			r.deps.Log.Error("write mails about the audit", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// ending is something that ends.
type ending struct {
	subject           string // what it is called in the store
	kind              string // by which the catalogue has its line
	what, owner, text string
	made, until       time.Time
	same              string // of several that have the same here, only the one that ends last counts
	holder            string // the owner, who may be the address of an account
}

// Remind writes the mails about what ends within 30, 7 and 1 days of now.
func (r *Reminder) Remind(ctx context.Context, now time.Time) error {
	if !r.deps.Mail.Enabled() {
		return nil
	}
	all, err := r.endings(ctx)
	if err != nil {
		return err
	}
	due := map[Account][]ending{}
	for _, e := range all {
		mark := e.mark(now)
		if mark == 0 {
			continue
		}
		to, err := r.recipients(ctx, e)
		if err != nil {
			return err
		}
		for _, account := range to {
			due[account] = append(due[account], e)
		}
	}
	var errs []error
	for account, list := range due {
		errs = append(errs, r.remind(ctx, account, list, now))
	}
	return errors.Join(errs...)
}

// mark is how many days before the end people are told at now: the last that has come. One that had come already when the entry was
// made is none, because whoever made it knows. 0: nobody is told.
func (e ending) mark(now time.Time) int {
	if !e.until.After(now) {
		return 0
	}
	for _, days := range marks() {
		span := time.Duration(days) * 24 * time.Hour
		if e.until.Sub(now) <= span && e.until.Sub(e.made) > span {
			return days
		}
	}
	return 0
}

// endings lists what ends some day, without what something newer stands in for.
func (r *Reminder) endings(ctx context.Context) ([]ending, error) {
	statements, err := r.deps.Register.Statements(ctx)
	if err != nil {
		return nil, err
	}
	assets, err := r.deps.Register.Assets(ctx)
	if err != nil {
		return nil, err
	}
	scans, err := r.deps.Register.Scans(ctx)
	if err != nil {
		return nil, err
	}
	var all []ending
	for _, s := range statements {
		what := s.Control
		if s.Finding != "" {
			what += " finding " + s.Finding[:min(len(s.Finding), 12)]
		}
		all = append(all, ending{subject: s.ID, kind: string(s.Kind), what: what, owner: s.Owner, text: s.Text, made: s.Made, until: s.Until,
			same: string(s.Kind) + " " + s.Control + " " + s.Finding, holder: s.Owner})
	}
	for _, a := range assets {
		all = append(all, ending{subject: "asset " + a.Name + " " + strconv.FormatInt(store.Micros(a.Reviewed), 10), kind: "asset", what: a.Name, owner: a.Owner, made: a.Reviewed,
			until: a.Until, same: "asset " + a.Name, holder: a.Owner})
	}
	for _, s := range scans {
		all = append(all, ending{subject: s.ID, kind: "scan", what: strings.Join(s.Targets[:min(len(s.Targets), 3)], ", "), owner: s.Tool, made: s.Made, until: s.Until,
			same: "scan " + string(s.Kind) + " " + s.Tool + " " + strings.Join(s.Targets, " ")})
	}
	last := map[string]time.Time{}
	for _, e := range all {
		if e.until.After(last[e.same]) {
			last[e.same] = e.until
		}
	}
	return slices.DeleteFunc(all, func(e ending) bool { return e.until.Before(last[e.same]) }), nil
}

// recipients are who is told: the account whose address stands as the owner, and else those of the configuration.
func (r *Reminder) recipients(ctx context.Context, e ending) ([]Account, error) {
	if strings.Contains(e.holder, "@") {
		account, ok, err := r.deps.Account(ctx, e.holder)
		if err != nil {
			return nil, err
		}
		if ok {
			return []Account{account}, nil
		}
	}
	return r.configured(), nil
}

func (r *Reminder) configured() []Account {
	cfg := r.cfg.Load()
	var all []Account
	for _, address := range cfg.Recipients {
		all = append(all, Account{address, cfg.Language})
	}
	return all
}

// remind writes one mail to one person about all that they were not told of yet.
func (r *Reminder) remind(ctx context.Context, to Account, list []ending, now time.Time) error {
	slices.SortStableFunc(list, func(a, b ending) int { return cmp.Or(a.until.Compare(b.until), strings.Compare(a.what, b.what)) })
	lang := r.deps.Texts.Match(to.Language, "")
	return r.write(ctx, to, now, func(tx *sql.Tx) (*letter, error) {
		l := &letter{kind: "audit_reminder", lang: lang}
		for _, e := range list {
			fresh, err := r.tell(ctx, tx, e.subject, strconv.Itoa(e.mark(now))+" "+strings.ToLower(to.Email), now)
			if err != nil {
				return nil, err
			}
			if fresh {
				l.lines = append(l.lines, r.deps.Texts.Text(lang, "mail.audit_reminder."+e.kind, "day", e.until.Local().Format(time.DateOnly), "what", line(e.what),
					"owner", line(e.owner), "text", line(e.text)))
			}
		}
		return l, nil
	})
}

// letter is a mail before it is written out; without lines it is not sent.
type letter struct {
	kind, lang string
	pairs      []string
	lines      []string
}

// write fills the letter and queues it, in one transaction with the note that it was told. An address that no mail can go to is logged, and
// not tried again.
func (r *Reminder) write(ctx context.Context, to Account, now time.Time, fill func(*sql.Tx) (*letter, error)) error {
	err := r.deps.DB.Write(ctx, func(tx *sql.Tx) error {
		l, err := fill(tx)
		if err != nil || len(l.lines) == 0 {
			return err
		}
		pairs := append([]string{"host", r.deps.Host, "n", strconv.Itoa(len(l.lines))}, l.pairs...)
		text := func(key string, pairs ...string) string { return r.deps.Texts.Text(l.lang, key, pairs...) }
		lines := l.lines
		if more := len(lines) - maxLines; more > 0 {
			lines = append(slices.Clone(lines[:maxLines]), text("mail.audit.more", "n", strconv.Itoa(more)))
		}
		body := text("mail."+l.kind+".text", pairs...) + "\n\n" + strings.Join(lines, "\n") + "\n\n" + text("mail.audit.footer", pairs...) + "\n"
		err = r.deps.Mail.Add(ctx, tx, mail.Message{To: to.Email, Subject: text("mail."+l.kind+".subject", pairs...), Text: body,
			Kind: strings.ReplaceAll(l.kind, "_", "-"), Expires: now.Add(expires), Language: l.lang}, now)
		if errors.Is(err, mail.ErrMessage) {
			r.deps.Log.Warn("a mail about the audit is not sent", slog.String("to", to.Email), slog.Any("error", err))
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write mail about the audit: %w", err)
	}
	r.deps.Mail.Wake()
	return nil
}

// tell notes that something is told, and whether it was not before.
func (r *Reminder) tell(ctx context.Context, tx *sql.Tx, subject, mark string, now time.Time) (fresh bool, err error) {
	if _, err := tx.ExecContext(ctx, sqlForget, store.Micros(now.Add(-keepTold))); err != nil {
		return false, fmt.Errorf("forget what was told: %w", err)
	}
	result, err := tx.ExecContext(ctx, sqlTell, subject, mark, store.Micros(now))
	if err != nil {
		return false, fmt.Errorf("note what is told: %w", err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// line is a text of people as one line of a mail.
func line(text string) string {
	text = audit.Plain(text)
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "…"
	}
	return text
}
