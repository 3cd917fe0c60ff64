// Package digest mails once a day what happened (I-87): how many events there were, sign-ins, refusals, and what was most frequent.
//
// It knows the counters and top lists of the event log, which it only reads. It does not judge, and of single events it reads the names of
// detections only.
package digest

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
	"unicode"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/language"
	"github.com/doorward/doorward/mail"
	"github.com/doorward/doorward/store"
)

// Deps is what a Digest works with.
type Deps struct {
	DB     *store.DB
	Events *event.Log
	Mail   *mail.Outbox
	Texts  *language.Catalogue
	Log    *slog.Logger
	// Host is what this machine is called in the mails.
	Host string
	// Head returns the journal's signed head, which the mail takes off the machine. Nil: the mail has none.
	Head func(ctx context.Context) (string, error)
	// Bans says what bans there were within a time. Nil: the mail says nothing of them.
	Bans func(ctx context.Context, from, to time.Time) (Bans, error)
}

const (
	every    = time.Minute
	late     = 12 * time.Hour     // a digest that is later than this is not sent any more
	expires  = 24 * time.Hour     // of a mail: then the next one comes
	keepTold = 7 * 24 * time.Hour // longer than anything can be told again
	listed   = 10                 // lines of a top list
	maxLine  = 120                // bytes of a value in a line
)

// Digest writes the mails. What was mailed is kept in the store, so that each is written once, however often the process starts and
// however many processes there are.
type Digest struct {
	deps Deps
	cfg  atomic.Pointer[event.DigestConfig]
	wake chan struct{}
}

// New makes a Digest; it writes nothing before Run.
func New(cfg event.DigestConfig, deps Deps) *Digest {
	d := &Digest{deps: deps, wake: make(chan struct{}, 1)}
	d.Reload(cfg)
	return d
}

// Reload takes another configuration, and has Run look at once.
func (d *Digest) Reload(cfg event.DigestConfig) {
	d.cfg.Store(&cfg)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Recipients is how many people get it.
func (d *Digest) Recipients() int { return len(d.cfg.Load().Recipients) }

// Run looks every minute whether a digest is due, until ctx ends. A store that is away is logged, and asked again.
func (d *Digest) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := d.Send(ctx, time.Now()); err != nil && ctx.Err() == nil {
			d.deps.Log.Error("write digest of events", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-d.wake:
		}
	}
}

// Send writes the digest that is due at now to everybody who has not got it. One that is more than twelve hours late is left out.
func (d *Digest) Send(ctx context.Context, now time.Time) error {
	cfg := d.cfg.Load()
	due := cfg.Due(now)
	if len(cfg.Recipients) == 0 || !d.deps.Mail.Enabled() || now.Sub(due) > late {
		return nil
	}
	var waiting []string
	for _, to := range cfg.Recipients {
		var told int
		if err := d.deps.DB.QueryRowContext(ctx, sqlTold, store.Micros(due), strings.ToLower(to)).Scan(&told); err != nil {
			return fmt.Errorf("see who got the digest: %w", err)
		}
		if told == 0 {
			waiting = append(waiting, to)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	subject, text := d.write(ctx, cfg.Language, due.AddDate(0, 0, -1), due)
	var errs []error
	for _, to := range waiting {
		m := mail.Message{To: to, Subject: subject, Text: text, Kind: "event-digest", Expires: now.Add(expires), Language: cfg.Language}
		errs = append(errs, d.queue(ctx, m, due, now))
	}
	d.deps.Mail.Wake()
	return errors.Join(errs...)
}

// queue queues a mail, in one transaction with the note that it was. An address that no mail can go to is logged, and not tried again.
func (d *Digest) queue(ctx context.Context, m mail.Message, due, now time.Time) error {
	err := d.deps.DB.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqlForget, store.Micros(now.Add(-keepTold))); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, sqlTell, store.Micros(due), strings.ToLower(m.To), store.Micros(now))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err // another process was faster
		}
		err = d.deps.Mail.Add(ctx, tx, m, now)
		if errors.Is(err, mail.ErrMessage) {
			d.deps.Log.Warn("a digest of events is not sent", slog.String("to", m.To), slog.Any("error", err))
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("queue digest: %w", err)
	}
	return nil
}

// sums are the numbers of a digest.
type sums struct {
	all, denied                   int64
	requests, signIns, mails      outcomes
	detections, incidents, others int64
}

// outcomes are how events of a class ended.
type outcomes struct{ all, success, failed, refused int64 }

func (o *outcomes) add(c event.Count) {
	o.all += c.Events
	switch c.Outcome {
	case event.Success:
		o.success += c.Events
	case event.Failure:
		o.failed += c.Events
	case event.Refused:
		o.refused += c.Events
	}
}

func sumUp(counts []event.Count) (s sums) {
	for _, c := range counts {
		s.all += c.Events
		if c.Outcome == event.Refused || c.Outcome == event.Failure {
			s.denied += c.Events
		}
		switch c.Class {
		case event.HTTP:
			s.requests.add(c)
		case event.Authentication:
			s.signIns.add(c)
		case event.Email:
			s.mails.add(c)
		case event.Detection:
			s.detections += c.Events
		case event.Incident:
			s.incidents += c.Events
		default:
			s.others += c.Events
		}
	}
	return s
}

// write writes subject and text about the time from from up to to. What cannot be read is logged, and the mail says that it is not whole:
// a broken day must not keep people from the rest.
func (d *Digest) write(ctx context.Context, lang string, from, to time.Time) (subject, text string) {
	say := func(key string, pairs ...string) string { return d.deps.Texts.Text(lang, "mail.digest."+key, pairs...) }
	whole := true
	check := func(what string, err error) {
		if err != nil {
			whole = false
			d.deps.Log.Error("read for the digest of events", slog.String("what", what), slog.Any("error", err))
		}
	}
	counts, err := d.deps.Events.Counts(ctx, event.CountQuery{From: from, To: to})
	check("counts", err)
	s := sumUp(counts)
	const clock = "2006-01-02 15:04"
	lines := []string{say("text", "from", from.Format(clock), "to", to.Format(clock)), "",
		say("requests", "n", number(s.requests.all), "refused", number(s.requests.refused), "failed", number(s.requests.failed)),
		say("sign_ins", "n", number(s.signIns.success), "failed", number(s.signIns.failed), "refused", number(s.signIns.refused))}
	var lists []string
	if d.deps.Bans != nil {
		bans, err := d.deps.Bans(ctx, from, to)
		check("bans", err)
		lines = append(lines, say("bans", "n", number(bans.New), "standing", number(bans.Standing)))
		lists = banLines(bans, say)
	}
	for _, other := range []struct {
		key string
		n   int64
	}{{"detections", s.detections}, {"incidents", s.incidents}, {"mails", s.mails.all}, {"others", s.others}} {
		if other.n > 0 {
			lines = append(lines, say(other.key, "n", number(other.n), "failed", number(s.mails.failed)))
		}
	}
	if s.detections > 0 {
		found, err := d.detections(ctx, from, to)
		check("detections", err)
		lines = append(lines, itemLines(say("list.detection"), found)...)
	}
	lines = append(lines, lists...)
	for _, list := range []event.List{event.DeniedSources, event.DeniedUsers, event.DeniedPaths, event.Sources, event.Users, event.Paths} {
		top, err := d.deps.Events.Top(ctx, list, from, to, listed)
		check(string(list), err)
		lines = append(lines, topLines(list, top, say)...)
	}
	if d.deps.Head != nil {
		head, err := d.deps.Head(ctx)
		check("journal", err)
		if err == nil {
			lines = append(lines, "", say("head"), "", strings.TrimRight(head, "\n"))
		}
	}
	if !whole {
		lines = append(lines, "", say("partly"))
	}
	lines = append(lines, "", say("footer", "host", d.deps.Host), "")
	return say("subject", "host", d.deps.Host, "n", number(s.all), "denied", number(s.denied)), strings.Join(lines, "\n")
}

// maxDetections is how many of the newest detections are named. There are few: each is told again after a while only.
const maxDetections = 5000

// detections are the names of what was detected, the most frequent first.
func (d *Digest) detections(ctx context.Context, from, to time.Time) ([]Item, error) {
	found, err := d.deps.Events.Query(ctx, event.Query{From: from, To: to, Class: event.Detection, Action: "detect", Limit: maxDetections})
	counts := map[string]int64{}
	for _, e := range found {
		name, title := "", ""
		for _, f := range e.Fields {
			switch f.Key {
			case "name":
				name = f.Value
			case "title":
				title = f.Value
			}
		}
		counts[strings.Trim(name+": "+title, ": ")]++
	}
	var all []Item
	for text, n := range counts {
		all = append(all, Item{text, n})
	}
	slices.SortFunc(all, func(a, b Item) int { return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Text, b.Text)) })
	return all[:min(len(all), listed)], err
}

// topLines are a list below its title; nothing if it is empty.
func topLines(list event.List, top event.Top, say func(key string, pairs ...string) string) []string {
	if len(top.Items) == 0 {
		return nil
	}
	lines := []string{"", say("list."+strings.ReplaceAll(string(list), "-", "_")) + ":"}
	for _, i := range top.Items {
		lines = append(lines, fmt.Sprintf("%10d  %s", i.Count, line(i.Value)))
	}
	if top.Error > 0 {
		lines = append(lines, say("error", "n", number(top.Error)))
	}
	return lines
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// line is a word of strangers as part of one line: nothing that hides or moves text, and no address that a mail program makes a link of.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "…"
	}
	return strings.NewReplacer("://", "[:]//", "www.", "www[.]").Replace(text)
}
