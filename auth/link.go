package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/store"
)

// LinkKind is what a mailed link does. Opening one changes nothing: each shows a page first, and acts on a click.
type LinkKind string

// The kinds.
const (
	LinkRelease LinkKind = "release" // release or refuse a held sign-in
	LinkNotMe   LinkKind = "not-me"  // end the sessions and make the password useless
	LinkReset   LinkKind = "reset"   // choose a new password
)

// life is how long a link of each kind is good.
func (k LinkKind) life() time.Duration {
	switch k {
	case LinkRelease:
		return 10 * time.Minute
	case LinkReset:
		return time.Hour
	}
	return 7 * 24 * time.Hour
}

const (
	// linksAnHour is how many links of one kind a person is mailed in an hour, so that nobody can fill a mailbox.
	linksAnHour = 5
	linkWindow  = time.Hour
)

// link is a mailed one-time link.
type link struct {
	kind        LinkKind
	principalID string
	data        string // of the kind: the id of the pending sign-in
}

// newLink makes a link and returns the code for it; empty when the person has had enough of them for now.
func newLink(ctx context.Context, tx *sql.Tx, l link, now time.Time) (code string, err error) {
	var recent int
	if err := tx.QueryRowContext(ctx, sqlCountLinks, l.principalID, string(l.kind), store.Micros(now.Add(-linkWindow))).Scan(&recent); err != nil {
		return "", fmt.Errorf("count links: %w", err)
	}
	if recent >= linksAnHour {
		return "", nil
	}
	code, hash := newToken()
	if _, err := tx.ExecContext(ctx, sqlInsertLink, hexHash(hash), string(l.kind), l.principalID, l.data,
		store.Micros(now), store.Micros(now.Add(l.kind.life()))); err != nil {
		return "", fmt.Errorf("store link: %w", err)
	}
	return code, nil
}

// readLink returns the link of the code; ErrNoLink if there is none of the kind, or it is used or over.
func readLink(ctx context.Context, q reader, kind LinkKind, code string, now time.Time) (*link, error) {
	key := tokenKey(code)
	if key == "" {
		return nil, ErrNoLink
	}
	l := link{kind: kind}
	err := q.QueryRowContext(ctx, sqlLink, key, string(kind), store.Micros(now)).Scan(&l.principalID, &l.data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoLink
	}
	if err != nil {
		return nil, fmt.Errorf("read link: %w", err)
	}
	return &l, nil
}

// useLink ends a link. Its row stays for the count of an hour, and can be found no more.
func useLink(ctx context.Context, tx *sql.Tx, code string) error {
	if _, err := tx.ExecContext(ctx, sqlUseLink, tokenKey(code)); err != nil {
		return fmt.Errorf("end link: %w", err)
	}
	return nil
}

// withLink runs f in a transaction when the code is a link's. Codes that are none cost one bounded read, as unknown
// session tokens do: strangers may try as many as they like.
func (a *Auth) withLink(ctx context.Context, kind LinkKind, code string, now time.Time, f func(tx *sql.Tx, l *link) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if err := a.peek(ctx, func() error { _, err := readLink(ctx, a.db, kind, code, now); return err }); err != nil {
		return err
	}
	return a.db.Write(ctx, func(tx *sql.Tx) error {
		l, err := readLink(ctx, tx, kind, code, now)
		if err != nil {
			return err
		}
		return f(tx, l)
	})
}

// peek runs a read on behalf of somebody who has proved nothing, a few at a time.
func (a *Auth) peek(ctx context.Context, read func() error) error {
	leave, err := a.mayRead(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return read()
}

// mayRead waits for one of the places for such reads; leave gives it back.
func (a *Auth) mayRead(ctx context.Context) (leave func(), err error) {
	select {
	case a.reads <- struct{}{}:
		return func() { <-a.reads }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to read: %w", ctx.Err())
	}
}
