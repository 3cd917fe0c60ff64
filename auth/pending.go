package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

const (
	// pendingFor is how long a person may take for the steps of a sign-in.
	pendingFor = 15 * time.Minute
	// maxPending is how many pending sign-ins one account may have; one more ends the oldest, those in browsers that the
	// account was signed in with before last. Only who knows the password, or has a passkey, can make one.
	maxPending = 20
	// maxWrongCodes is how many wrong codes end a pending sign-in: the password must be given again.
	maxWrongCodes = 5
)

// Pending is a sign-in that lacks a step.
type Pending struct {
	Step      Step
	Principal Principal
	TOTP      bool // the person can prove a one-time code
	Passkey   bool // the person can use a passkey
	Recovery  bool // the person can use a recovery code
	Required  Level
	ReturnTo  string
	// MailedTo is where the link was sent, shortened; empty if no mail could be sent.
	MailedTo string

	id string
}

// pendingRow is a pending sign-in as the store has it.
type pendingRow struct {
	id, principalID, phc           string
	realm                          Realm
	host, site, address, userAgent string
	returnTo, previous, device     string
	level, want                    Level
	methods                        string
	remember                       bool
	provider, sid                  string
	failures                       int
	link                           sql.NullString
	released, created, expires     int64
}

func (r *pendingRow) columns(remember *int64) []any {
	return []any{&r.id, &r.principalID, &r.phc, &r.realm, &r.host, &r.site, &r.address, &r.userAgent, &r.returnTo, &r.previous,
		&r.device, &r.level, &r.want, &r.methods, remember, &r.provider, &r.sid, &r.failures, &r.link, &r.released, &r.created, &r.expires}
}

func readPending(ctx context.Context, q reader, query string, args ...any) (*pendingRow, error) {
	var r pendingRow
	var remember int64
	err := q.QueryRowContext(ctx, query, args...).Scan(r.columns(&remember)...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoPending
	}
	if err != nil {
		return nil, fmt.Errorf("read pending sign-in: %w", err)
	}
	r.remember = remember != 0
	return &r, nil
}

// pendingOf reads the pending sign-in that the browser's cookie names, for this host and realm.
func (a *Auth) pendingOf(ctx context.Context, q reader, at Attempt, token string, now time.Time) (*pendingRow, error) {
	key := tokenKey(token)
	if key == "" {
		return nil, ErrNoPending
	}
	return readPending(ctx, q, sqlPendingByToken, key, string(at.Realm), at.Host, store.Micros(now))
}

// grant continues where the pending sign-in stands.
func (r *pendingRow) grant(who *account) *grant {
	who.phc = r.phc // advance compares it with the store's
	return &grant{who: who, level: r.level, methods: strings.Fields(r.methods), want: r.want, remember: r.remember,
		released: r.released != 0, previous: r.previous, device: r.device, returnTo: r.returnTo,
		provider: r.provider, sid: r.sid, pending: r.id}
}

// wait stores what the sign-in has come to and what it lacks.
func (t *turnover) wait(ctx context.Context, tx *sql.Tx, g *grant, reached progress) error {
	r := pendingRow{id: g.pending, expires: store.Micros(t.now.Add(pendingFor))}
	if g.pending == "" {
		token, hash := newToken()
		id, err := store.NewID()
		if err != nil {
			return fmt.Errorf("make id of pending sign-in: %w", err)
		}
		r.id, t.out.Token = id, token
		if err := t.insertPending(ctx, tx, &r, hexHash(hash), g); err != nil {
			return err
		}
	} else if _, err := tx.ExecContext(ctx, sqlUpdatePending, int(g.level), strings.Join(g.methods, " "), g.who.phc, g.pending); err != nil {
		return fmt.Errorf("store pending sign-in: %w", err)
	}
	p := reached.describe(g)
	p.id = r.id
	if p.Step == StepHeld {
		sent, err := t.holdByMail(ctx, tx, g, r.id)
		if err != nil {
			return err
		}
		if sent {
			p.MailedTo, t.mailed = shortenEmail(g.who.Email), true
		}
	}
	t.out.Pending = p
	return nil
}

func (t *turnover) insertPending(ctx context.Context, tx *sql.Tx, r *pendingRow, hash string, g *grant) error {
	_, err := tx.ExecContext(ctx, sqlInsertPending, r.id, hash, g.who.ID, g.who.phc, string(t.at.Realm), t.at.Host, t.at.Site,
		t.at.Address.Unmap().WithZone("").String(), cut(store.Text(t.at.UserAgent), maxUserAgent), cut(store.Text(g.returnTo), 2048), g.previous, g.device,
		int(g.level), int(g.want), strings.Join(g.methods, " "), truth(g.remember), g.provider, g.sid, truth(g.released),
		store.Micros(t.now), r.expires)
	if err != nil {
		return fmt.Errorf("store pending sign-in: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlPrunePending, g.who.ID, maxPending); err != nil {
		return fmt.Errorf("end old pending sign-ins: %w", err)
	}
	return nil
}

// describe is what the pages show of a pending sign-in.
func (p progress) describe(g *grant) *Pending {
	return &Pending{Step: p.next(), Principal: g.who.Principal, Passkey: p.hasPasskey, Recovery: !p.onlyKey, Required: p.required,
		// Where only a passkey will do, a code would be asked for in vain.
		TOTP: p.hasTOTP && !(p.hasPasskey && p.level >= FactorLevel) && !p.onlyKey, ReturnTo: g.returnTo}
}

// countPendingFailure notes a wrong code; too many end the pending sign-in.
func countPendingFailure(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, sqlFailPending, id); err != nil {
		return fmt.Errorf("count wrong code: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlEndFailedPending, id, maxWrongCodes); err != nil {
		return fmt.Errorf("end pending sign-in: %w", err)
	}
	return nil
}

// PendingSignIn returns the sign-in that the browser has begun here and not ended, and what it lacks. The errors are
// ErrNoPending and ErrUnavailable.
func (a *Auth) PendingSignIn(ctx context.Context, at Attempt, token string, now time.Time) (*Pending, error) {
	var p *Pending
	err := a.withPending(ctx, at, token, now, func(r *pendingRow, who *account) error {
		g := r.grant(who)
		g.keyless = !a.PasskeysAt(ctx, at.Host, now)
		reached, err := a.judge(ctx, a.db, g, at, now, a.cfg.Load())
		if err != nil {
			return err
		}
		p = reached.describe(g)
		p.id = r.id
		if r.link.Valid {
			p.MailedTo = shortenEmail(who.Email)
		}
		return nil
	})
	if err != nil {
		return nil, a.stepError(err, now)
	}
	return p, nil
}

// withPending runs f on the pending sign-in that the browser's cookie names, and its account. Cookies that are none cost one
// bounded read. What f sees may have changed when a step is taken: the step's transaction reads it again.
func (a *Auth) withPending(ctx context.Context, at Attempt, token string, now time.Time,
	f func(r *pendingRow, who *account) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	return a.peek(ctx, func() error {
		r, err := a.pendingOf(ctx, a.db, at, token, now)
		if err != nil {
			return err
		}
		who, err := readAccountByID(ctx, a.db, r.principalID)
		if err != nil {
			return err
		}
		if who == nil || who.Disabled || who.phc != r.phc {
			return ErrNoPending
		}
		if err := r.sessionLives(ctx, a.db); err != nil {
			return err
		}
		if !r.releasedFor(at, who, a.cfg.Load()) {
			return ErrNoPending
		}
		return f(r, who)
	})
}

// sessionLives tells whether the session that a step-up goes on from has not ended; ErrNoPending if it has. Otherwise who
// ends a stolen session would leave the thief a way to go on from it.
func (r *pendingRow) sessionLives(ctx context.Context, from reader) error {
	if r.want == 0 {
		return nil
	}
	ids, err := readStrings(ctx, from, sqlSignInOfToken, r.previous, r.host, string(r.realm))
	if err != nil {
		return fmt.Errorf("look up session of a step-up: %w", err)
	}
	if len(ids) == 0 {
		return ErrNoPending
	}
	return nil
}

// releasedFor tells whether a release, if there was one, is good where the browser is now: a link, and a mailbox that was
// proved, release the address that they were opened at and no other (D-13). Who has moved begins again, and is held there. A
// step-up is not held, wherever its session has moved.
func (r *pendingRow) releasedFor(at Attempt, who *account, cfg *settings) bool {
	if r.released == 0 || r.want != 0 || addressKey(at.Address) == addressKey(parseStored(r.address)) {
		return true
	}
	required, _ := cfg.trust(who.Roles, at.Address)
	return !required
}

// CancelPending forgets a sign-in that was begun.
func (a *Auth) CancelPending(ctx context.Context, p *Pending) error {
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, sqlDeletePending, p.id)
		return err
	})
	if err != nil {
		return fmt.Errorf("end pending sign-in: %w", a.storeError(err))
	}
	return nil
}

// shortenEmail shows enough of an address to recognise it as one's own.
func shortenEmail(email string) string {
	local, domain, found := strings.Cut(email, "@")
	if !found {
		return ""
	}
	first := []rune(local)[:1]
	return string(first) + "…@" + domain
}

func parseStored(address string) netip.Addr {
	a, _ := netip.ParseAddr(address) // written by us; the zero address otherwise
	return a
}
