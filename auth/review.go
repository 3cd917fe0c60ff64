package auth

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

// ReviewConfig is the periodic review of who holds what (D-01, F-24, F-25).
type ReviewConfig struct {
	// Every is how long a signed review is good. Default 2160h (90 days).
	Every time.Duration `yaml:"every"`
	// StaleAfter is how long an account with privileges, or of staff, may go without a sign-in before a review asks about it.
	// Default 2160h (90 days).
	StaleAfter time.Duration `yaml:"stale_after"`
	// MaxAdmins is how many accounts with the privilege manage-accounts a review finds in order (D-01). Default 5.
	MaxAdmins int `yaml:"max_admins"`
}

func (r *ReviewConfig) setDefaults() {
	setDefault(&r.Every, 90*24*time.Hour)
	setDefault(&r.StaleAfter, 90*24*time.Hour)
	setDefault(&r.MaxAdmins, 5)
}

func (r ReviewConfig) validate(report func(path, format string, args ...any)) {
	between(report, "review.every", r.Every, 24*time.Hour, 2*366*24*time.Hour)
	between(report, "review.stale_after", r.StaleAfter, 24*time.Hour, 2*366*24*time.Hour)
	between(report, "review.max_admins", r.MaxAdmins, 1, 1000)
}

const (
	// maxReviewNote is how long a reviewer's note may be, in bytes.
	maxReviewNote = 2000
	// maxReviews is how many signed reviews a list shows.
	maxReviews = 200
)

// Review is a signed review: somebody looked at the snapshot and answers for it.
type Review struct {
	ID       string
	Signed   time.Time
	Due      time.Time // when the next one is
	Reviewer string
	Origin   string // the address it was signed from, or local
	Note     string
	Findings int       // that the report had when it was signed
	Snapshot *Snapshot // nil in lists
}

// ReviewStatus is when the next review is due.
type ReviewStatus struct {
	Last    time.Time // when the last one was signed; zero: never
	Due     time.Time // zero: there are no accounts
	Overdue bool
}

// ReviewReport gathers who holds what now, compares it with the last signed review, and names what a reviewer should ask
// about. The error is ErrUnavailable.
func (a *Auth) ReviewReport(ctx context.Context, now time.Time) (Report, error) {
	r, err := a.reviewReport(ctx, now)
	if err != nil {
		return Report{}, fmt.Errorf("report who holds what: %w", a.storeError(err))
	}
	return r, nil
}

func (a *Auth) reviewReport(ctx context.Context, now time.Time) (Report, error) {
	cfg := a.cfg.Load()
	snapshot, err := a.takeSnapshot(ctx, cfg)
	if err != nil {
		return Report{}, err
	}
	last, err := lastReview(ctx, a.db)
	if err != nil {
		return Report{}, err
	}
	r := Report{At: now.UTC(), Snapshot: *snapshot, Findings: snapshot.findings(cfg, now)}
	if last != nil {
		r.Last, r.Changes = last.Signed, changes(last.Snapshot, snapshot)
	}
	first, err := firstAccount(ctx, a.db)
	if err != nil {
		return Report{}, err
	}
	r.Due = nextReview(last, first, cfg)
	return r, nil
}

// SignReview stores what the accounts hold now, with the reviewer's word for it, and says when the next review is due. The
// errors are *InputError and ErrUnavailable.
func (a *Auth) SignReview(ctx context.Context, by Actor, note string, now time.Time) (Review, error) {
	if by.As != nil && by.As.Token {
		return Review{}, fmt.Errorf("sign review: %w", denied("a review is signed by a person; an API token is not enough"))
	}
	note = strings.TrimSpace(store.Text(note))
	if note == "" || len(note) > maxReviewNote {
		return Review{}, fmt.Errorf("sign review: %w", &InputError{"note", fmt.Sprintf("must say in 1 to %d bytes what was looked at and decided", maxReviewNote)})
	}
	report, err := a.reviewReport(ctx, now)
	if err != nil {
		return Review{}, fmt.Errorf("sign review: %w", a.storeError(err))
	}
	text, err := json.Marshal(report.Snapshot)
	if err != nil {
		return Review{}, fmt.Errorf("sign review: %w", err)
	}
	r := Review{Signed: now.UTC().Truncate(time.Microsecond), Reviewer: by.Name, Origin: by.Origin, Note: note,
		Findings: len(report.Findings), Snapshot: &report.Snapshot}
	r.Due = r.Signed.Add(a.cfg.Load().Review.Every)
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		if r.ID, err = store.NewID(); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlInsertReview, r.ID, store.Micros(r.Signed), store.Micros(r.Due), r.Reviewer, r.Origin, r.Note,
			r.Findings, string(text)); err != nil {
			return fmt.Errorf("insert review: %w", err)
		}
		return a.note(ctx, tx, by, "review.sign", r.ID, nil, map[string]any{"note": r.Note, "findings": r.Findings,
			"accounts": len(report.Snapshot.Accounts), "due": r.Due.Format(time.RFC3339)})
	})
	if err != nil {
		return Review{}, fmt.Errorf("sign review: %w", a.storeError(err))
	}
	a.reviewDue.Store(store.Micros(r.Due))
	return r, nil
}

// Reviews lists the signed reviews, the newest first; at most 200, without their snapshots. The error is ErrUnavailable.
func (a *Auth) Reviews(ctx context.Context) ([]Review, error) {
	rows, err := a.db.QueryContext(ctx, sqlReviews, maxReviews)
	if err != nil {
		return nil, fmt.Errorf("list reviews: %w", a.storeError(err))
	}
	defer rows.Close()
	var list []Review
	for rows.Next() {
		r, err := scanReview(rows, nil)
		if err != nil {
			return nil, fmt.Errorf("list reviews: %w", a.storeError(err))
		}
		list = append(list, *r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list reviews: %w", a.storeError(err))
	}
	return list, nil
}

// Review returns a signed review with its snapshot. The errors are ErrNotFound and ErrUnavailable.
func (a *Auth) Review(ctx context.Context, id string) (Review, error) {
	r, err := scanReview(a.db.QueryRowContext(ctx, sqlReview, id), new(string))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Review{}, fmt.Errorf("read review: %w", a.storeError(err))
	}
	return *r, nil
}

// ReviewStatus tells when the next review is due. Where none was ever signed, that is one period after the first account. The
// error is ErrUnavailable.
func (a *Auth) ReviewStatus(ctx context.Context, now time.Time) (ReviewStatus, error) {
	last, err := scanReview(a.db.QueryRowContext(ctx, sqlReviews, 1), nil) // without the snapshot, which may be large
	if errors.Is(err, sql.ErrNoRows) {
		last, err = nil, nil
	}
	if err != nil {
		return ReviewStatus{}, fmt.Errorf("read review: %w", a.storeError(err))
	}
	first, err := firstAccount(ctx, a.db)
	if err != nil {
		return ReviewStatus{}, fmt.Errorf("read review: %w", a.storeError(err))
	}
	s := ReviewStatus{Due: nextReview(last, first, a.cfg.Load())}
	if last != nil {
		s.Last = last.Signed
	}
	s.Overdue = ReviewOverdue(s.Due, now)
	return s, nil
}

// ReviewOverdue tells whether a review that is due then is late; one that is due at no time, the zero one, never is.
func ReviewOverdue(due, now time.Time) bool { return !due.IsZero() && now.After(due) }

// learnReview keeps for Stats when the next review is due.
func (a *Auth) learnReview(ctx context.Context, now time.Time) error {
	s, err := a.ReviewStatus(ctx, now)
	if err != nil {
		return err
	}
	a.reviewDue.Store(store.Micros(s.Due))
	return nil
}

// nextReview is when the next review is due: a period after the last, or after the first account. A shorter period in the
// configuration binds at once, a longer one only the next review.
func nextReview(last *Review, first time.Time, cfg *settings) time.Time {
	switch {
	case last != nil:
		if soon := last.Signed.Add(cfg.Review.Every); soon.Before(last.Due) {
			return soon
		}
		return last.Due
	case first.IsZero():
		return time.Time{}
	}
	return first.Add(cfg.Review.Every)
}

func lastReview(ctx context.Context, from reader) (*Review, error) {
	r, err := scanReview(from.QueryRowContext(ctx, sqlLastReview), new(string))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

func firstAccount(ctx context.Context, from reader) (time.Time, error) {
	var at int64
	if err := from.QueryRowContext(ctx, sqlFirstAccount).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read first account: %w", err)
	}
	return store.FromMicros(at), nil
}

// scanReview reads a review, with its snapshot if there is a place for its text.
func scanReview(row interface{ Scan(dest ...any) error }, text *string) (*Review, error) {
	r := &Review{}
	var signed, due int64
	dest := []any{&r.ID, &signed, &due, &r.Reviewer, &r.Origin, &r.Note, &r.Findings}
	if text != nil {
		dest = append(dest, text)
	}
	if err := row.Scan(dest...); err != nil {
		return nil, err
	}
	r.Signed, r.Due = store.FromMicros(signed), store.FromMicros(due)
	if text != nil {
		r.Snapshot = new(Snapshot)
		if err := json.Unmarshal([]byte(*text), r.Snapshot); err != nil {
			return nil, fmt.Errorf("read snapshot of review %s: %w", r.ID, err)
		}
	}
	return r, nil
}
