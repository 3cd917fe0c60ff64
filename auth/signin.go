package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/doorward/doorward/store"
)

const (
	// storeLimit bounds each look at the store during a sign-in.
	storeLimit = 3 * time.Second
	// maxPerAccount is how many sessions one account may have; one more ends the one not used for longest.
	maxPerAccount = 500
	// maxUserAgent is how much of the browser's name is kept with a session.
	maxUserAgent = 300
)

// Attempt is one try to sign in.
type Attempt struct {
	Login    string // a name or an e-mail address
	Password string
	Address  netip.Addr // the client's, after trusted proxies
	Realm    Realm
	Host     string // canonical; the session is good for no other
	Site     string // for the event

	UserAgent, RequestID string

	// PreviousToken is the session token that came with the request; that session ends with the sign-in.
	PreviousToken string
}

// SignIn checks a name and a password and begins a session, whose token it returns. The errors are
// ErrWrong, *WaitError, ErrBusy, ErrUnavailable, and ctx's own when it is cancelled. An unknown name, a disabled account and a wrong password take
// the same time. A wrong sign-in is counted against the address before the next one from there is looked
// at; while the address waits, nothing is checked and nothing counted (M-40, M-41). Every call leaves
// one authentication event.
func (a *Auth) SignIn(ctx context.Context, at Attempt, now time.Time) (token string, s *Session, err error) {
	who, token, s, err := a.signIn(ctx, at, now)
	a.recordSignIn(at, who, s, err, now)
	if err != nil {
		return "", nil, err
	}
	return token, s, nil
}

// verdict is what is known about who tried, for the event.
type verdict struct {
	account *account // nil: no such account
	reason  string   // a constant word
}

func (a *Auth) signIn(ctx context.Context, at Attempt, now time.Time) (verdict, string, *Session, error) {
	cfg := a.cfg.Load()
	began := time.Now()
	key := addressKey(at.Address)
	if left := a.waits.remaining(key, now, cfg.SignIn.Wait); left > 0 {
		return verdict{reason: "waiting"}, "", nil, &WaitError{left}
	}
	if a.health.since.Load() != nil {
		return verdict{reason: "store-away"}, "", nil, ErrUnavailable
	}
	release, err := a.hasher.acquire(ctx, key)
	if err != nil {
		return verdict{reason: "busy"}, "", nil, err
	}
	now = now.Add(time.Since(began)) // the queue may have taken seconds
	who, newHash, err := func() (verdict, string, error) {
		defer release() // whatever happens: a turn that is never given back is one sign-in fewer at a time for good
		return a.check(ctx, at, now, cfg)
	}()
	if err != nil {
		return who, "", nil, err
	}
	token, s, err := a.begin(ctx, at, who.account, newHash, now, cfg)
	if err != nil {
		who.reason = "not-stored"
		if errors.Is(err, ErrWrong) {
			who.reason = "changed-meanwhile"
		}
		return who, "", nil, err
	}
	a.waits.succeeded(key, s.Principal.ID)
	a.hasher.know(key)
	return who, token, s, nil
}

// check runs while the address has its turn at the hasher, so what it finds about the address cannot
// change before it counts the failure. On success newHash is the password's hash at today's cost, or empty if it
// has that already.
func (a *Auth) check(ctx context.Context, at Attempt, now time.Time, cfg *Config) (who verdict, newHash string, err error) {
	key := addressKey(at.Address)
	if left := a.waits.remaining(key, now, cfg.SignIn.Wait); left > 0 {
		return verdict{reason: "waiting"}, "", &WaitError{left}
	}
	login, email, ok := loginKey(at.Login)
	if ok {
		ctx, cancel := context.WithTimeout(ctx, storeLimit)
		who.account, err = a.findAccount(ctx, login, email)
		cancel()
		if err != nil {
			a.suspect(err, now)
			return verdict{reason: "store-away"}, "", unavailable(err)
		}
	}
	prepared, usable := preparePassword(at.Password)
	defer clear(prepared)
	right := a.passwordMatches(who.account, prepared, cfg.PasswordHash) && usable
	switch {
	case who.account == nil:
		who.reason = "unknown-account"
	case !right:
		who.reason = "wrong-password"
	case who.account.Disabled:
		who.reason = "disabled-account"
	default:
		if phc, err := ParsePHC(who.account.phc); err == nil && !phc.sameCost(cfg.PasswordHash) {
			newHash = newPHC(prepared, cfg.PasswordHash).String()
		}
		return who, newHash, nil
	}
	account := nobody
	if who.account != nil {
		account = who.account.ID
	}
	a.waits.failed(key, account, now, cfg.SignIn)
	return who, "", ErrWrong
}

// passwordMatches does the same work whether there is an account or not.
func (a *Auth) passwordMatches(who *account, password []byte, cfg HashConfig) bool {
	phc := dummyPHC(cfg)
	known := false
	if who != nil && who.phc != "" {
		stored, err := ParsePHC(who.phc)
		if err != nil {
			a.log.Error("read stored password hash", slog.String("principal", who.ID), slog.Any("error", err))
		} else {
			phc, known = stored, true
		}
	}
	return phc.matches(password) && known
}

// begin stores the session and takes it into memory.
func (a *Auth) begin(ctx context.Context, at Attempt, who *account, newHash string, now time.Time, cfg *Config) (string, *Session, error) {
	token, hash := newToken()
	s := &Session{
		Principal: who.Principal, Realm: at.Realm, Level: PasswordLevel, Address: at.Address.Unmap(),
		UserAgent: cut(store.Text(at.UserAgent), maxUserAgent), Host: at.Host,
		Created: now, Expires: now.Add(cfg.Sessions.Absolute),
		hash: hash, idle: cfg.Sessions.Idle, absolute: cfg.Sessions.Absolute, created: a.stamp(now),
		done: make(chan struct{}),
	}
	s.seenWall.Store(s.created.wall)
	s.seenMono.Store(s.created.mono)
	s.stored.Store(s.created.wall)
	var err error
	if s.ID, err = store.NewID(); err != nil {
		return "", nil, fmt.Errorf("make session id: %w", err)
	}
	generation := a.sessions.generation()
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	var ended []string
	err = a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		ended, err = storeSignIn(ctx, tx, s, who, at.PreviousToken, newHash)
		return err
	})
	if errors.Is(err, ErrWrong) {
		return "", nil, err
	}
	if err != nil {
		a.suspect(err, now)
		return "", nil, unavailable(fmt.Errorf("store session: %w", err))
	}
	a.admit(ctx, s, generation)
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	return token, s, nil
}

// admit takes a session that was just stored into memory. If any session ended meanwhile, it might be this
// one; then the next request reads it from the store, and this one's Done tells nothing but the truth.
func (a *Auth) admit(ctx context.Context, s *Session, generation uint64) {
	for range 3 {
		if a.sessions.add(s, generation) != nil {
			return
		}
		generation = a.sessions.generation()
		if again, err := a.readSession(ctx, s.Realm, s.Host, s.hash, s.Created); err != nil || again == nil {
			break
		}
	}
	close(s.done)
}

// storeSignIn writes the session and returns the sign-ins that ended with it. It returns ErrWrong if the
// account was disabled or its password changed while the hash was computed.
func storeSignIn(ctx context.Context, tx *sql.Tx, s *Session, who *account, previousToken, newHash string) (ended []string, err error) {
	var disabled int64
	var phc string
	if err := tx.QueryRowContext(ctx, sqlAccountState, who.ID).Scan(&disabled, &phc); err != nil {
		return nil, fmt.Errorf("read account again: %w", err)
	}
	if disabled != 0 || phc != who.phc {
		return nil, ErrWrong
	}
	if s.Principal.Roles, err = readRoles(ctx, tx, who.ID); err != nil {
		return nil, err
	}
	at := store.Micros(s.Created)
	if ended, err = endBefore(ctx, tx, s, previousToken, at); err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, sqlInsertSignIn, s.ID, who.ID, string(s.Realm), int(s.Level), s.Address.String(),
		s.UserAgent, at, int64(s.idle/time.Second), store.Micros(s.Expires)); err != nil {
		return nil, fmt.Errorf("insert sign-in: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlInsertToken, hexHash(s.hash), s.ID, s.Host, at); err != nil {
		return nil, fmt.Errorf("insert session token: %w", err)
	}
	if newHash != "" {
		if _, err := tx.ExecContext(ctx, sqlRehash, newHash, who.ID, who.phc); err != nil {
			return nil, fmt.Errorf("store new password hash: %w", err)
		}
	}
	return ended, nil
}

// endBefore ends the session that the browser had, and the account's oldest ones if there are too many.
func endBefore(ctx context.Context, tx *sql.Tx, s *Session, previousToken string, at int64) (ended []string, err error) {
	end := func(id, why string) error {
		if _, err := tx.ExecContext(ctx, sqlEndSignIn, at, why, id); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		ended = append(ended, id)
		return nil
	}
	if hash, ok := hashToken(previousToken); ok {
		ids, err := readStrings(ctx, tx, sqlSignInOfToken, hexHash(hash), s.Host, string(s.Realm))
		if err != nil {
			return nil, fmt.Errorf("look up previous session: %w", err)
		}
		for _, id := range ids {
			if err := end(id, "signed-in-again"); err != nil {
				return nil, err
			}
		}
	}
	ids, err := readStrings(ctx, tx, sqlTooMany, s.Principal.ID, at, maxPerAccount-1)
	if err != nil {
		return nil, fmt.Errorf("count sessions: %w", err)
	}
	for _, id := range ids {
		if err := end(id, "too-many"); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// cut shortens text for a column or an event to at most n bytes, at a character's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
