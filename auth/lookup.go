package auth

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/doorward/doorward/store"
)

// readLimit bounds the look-up of a token that is not in memory, the wait for a place included.
const readLimit = 500 * time.Millisecond

// Session returns the session that the token opens at this host, in this realm, and notes that it was
// used. A session in memory costs one hash and one map look-up; any other well-formed token costs one bounded
// read. The errors are ErrNoSession and ErrUnavailable: the store is away, and either the session is not in memory, or
// it is an owner's or administrator's, or the store has been away for more than 15 minutes.
func (a *Auth) Session(ctx context.Context, realm Realm, host, token string, now time.Time) (*Session, error) {
	s, err := a.PollSession(ctx, realm, host, token, now)
	if err != nil {
		return nil, err
	}
	s.touch(a.stamp(now))
	return s, nil
}

// PollSession is Session for a request that no person made, such as an open page's polling: it does not
// count as use, so that a page left open does not keep its session alive.
func (a *Auth) PollSession(ctx context.Context, realm Realm, host, token string, now time.Time) (*Session, error) {
	hash, ok := hashToken(token)
	if !ok {
		return nil, ErrNoSession
	}
	at := a.stamp(now)
	s := a.sessions.get(&hash)
	if s == nil {
		return a.lookUp(ctx, realm, host, hash, now)
	}
	if s.Realm != realm || s.Host != host {
		return nil, ErrNoSession
	}
	if a.closed(s, at) {
		return nil, ErrUnavailable
	}
	if a.banned(s.Principal.Name, now) {
		return nil, ErrNoSession
	}
	if !s.alive(at, a.cfg.Load()) {
		// It may have been used elsewhere, so the store has the last word.
		a.sessions.forget(s)
		return a.lookUp(ctx, realm, host, hash, now)
	}
	return s, nil
}

// HoldsSession says whether a token opens a session that is in memory, or did until a moment ago: it is no guess.
func (a *Auth) HoldsSession(token string) bool {
	hash, ok := hashToken(token)
	return ok && a.sessions.get(&hash) != nil
}

// lookUp reads a session from the store and takes it into memory.
func (a *Auth) lookUp(ctx context.Context, realm Realm, host string, hash [sha256.Size]byte, now time.Time) (*Session, error) {
	if a.health.since.Load() != nil {
		return nil, ErrUnavailable // asking would only make everybody wait
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	leave, err := a.mayRead(ctx)
	if err != nil {
		return nil, unavailable(fmt.Errorf("look up session: %w", err))
	}
	defer leave()
	for range 3 {
		generation := a.sessions.generation()
		s, err := a.readSession(ctx, realm, host, hash, now)
		if err != nil {
			a.suspect(err, now)
			return nil, unavailable(fmt.Errorf("look up session: %w", err))
		}
		if s == nil || !s.alive(a.stamp(now), a.cfg.Load()) || a.sessions.isUnstored(s.ID) || a.banned(s.Principal.Name, now) {
			return nil, ErrNoSession
		}
		if held := a.sessions.add(s, generation); held != nil {
			return held, nil
		}
	}
	// Sessions end faster than this one can be read: it is believed when that is over.
	return nil, ErrUnavailable
}

// readSession reads a session that has not ended; nil if there is none.
func (a *Auth) readSession(ctx context.Context, realm Realm, host string, hash [sha256.Size]byte, now time.Time) (*Session, error) {
	rows, err := a.db.QueryContext(ctx, sqlSession, hexHash(hash), host, string(realm))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var s *Session
	for rows.Next() { // one row for each role
		next := &Session{Realm: realm, Host: host, hash: hash, done: make(chan struct{})}
		dest, finish := principalColumns(&next.Principal)
		var role, address string
		var created, seen, idle, expires, remember int64
		if err := rows.Scan(append(dest, &role, &next.ID, &next.Level, &address, &next.UserAgent,
			&created, &seen, &idle, &expires, &next.Methods, &remember)...); err != nil {
			return nil, err
		}
		if s == nil {
			finish()
			s = next
			s.Remember = remember != 0
			s.Address, _ = netip.ParseAddr(address) // written by us; the zero address otherwise
			a.age(s, store.FromMicros(created), store.FromMicros(seen), time.Duration(idle)*time.Second,
				store.FromMicros(expires), now)
		}
		if role != "" {
			s.Principal.Roles = append(s.Principal.Roles, Role(role))
		}
	}
	if s != nil {
		s.Principal.Roles = a.cfg.Load().known(s.Principal.Roles)
		sortRoles(s.Principal.Roles)
	}
	return s, rows.Err()
}

// age sets a session's times from the store's. Only the wall clock has survived; a last request in the
// future means that the clock was set back, and counts as now.
func (a *Auth) age(s *Session, created, seen time.Time, idle time.Duration, expires, now time.Time) {
	at := a.stamp(now)
	s.Created, s.Expires = created, expires
	s.idle, s.absolute = idle, expires.Sub(created)
	s.created = at.ago(now.Sub(created))
	last := at.ago(max(0, now.Sub(seen)))
	s.seenWall.Store(last.wall)
	s.seenMono.Store(last.mono)
	s.stored.Store(seen.UnixNano())
}

// SignOut ends the session, for every host of its sign-in, at once. If the store is away it is told when
// it is back; until then this process remembers, and the error is nil.
func (a *Auth) SignOut(ctx context.Context, s *Session, now time.Time) error {
	e := ending{why: "signed-out", at: store.Micros(now)}
	a.sessions.endUnstored(s.ID, e)
	a.recordSignOut(s, now)
	// A person who leaves before the answer is signed out all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	told := map[string]ending{s.ID: e}
	if err := a.storeEndings(ctx, told); err != nil {
		a.log.Warn("sign-out is not stored yet", slog.String("session", s.ID), slog.Any("error", err))
		a.suspect(err, now)
		return nil
	}
	a.sessions.storedEndings(told)
	return nil
}

// storeEndings writes endings that were decided in memory.
func (a *Auth) storeEndings(ctx context.Context, endings map[string]ending) error {
	return a.db.Write(ctx, func(tx *sql.Tx) error {
		for id, e := range endings {
			if _, err := tx.ExecContext(ctx, sqlEndSignIn, e.at, e.why, id); err != nil {
				return fmt.Errorf("end session: %w", err)
			}
		}
		return nil
	})
}
