package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/text/language"

	"github.com/doorward/doorward/store"
)

// What people do with their own account, from a session of theirs at an address.

// By is the session's person as the one who changes something, from the attempt's address.
func (s *Session) By(at Attempt) Actor {
	return Actor{Name: s.Principal.Name, Origin: at.Address.Unmap().WithZone("").String()}
}

// RevokeOwn ends one session of the same person's as s; another's is not found. The errors are ErrNotFound and ErrUnavailable.
func (a *Auth) RevokeOwn(ctx context.Context, by Actor, s *Session, id string, now time.Time) error {
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		at := store.Micros(now)
		info, err := scanInfo(tx.QueryRowContext(ctx, sqlOwnSession, at, id, s.Principal.ID))
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		if _, err := tx.ExecContext(ctx, sqlEndSignIn, at, "revoked", id); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		return a.note(ctx, tx, by, "session.revoke", info.Name, info, nil)
	})
	if err != nil {
		return fmt.Errorf("revoke own session: %w", a.storeError(err))
	}
	a.sessions.end(id)
	return nil
}

// RevokeOthers ends every session of the same person's but s, and returns how many (ASVS 7.4.3). The error is ErrUnavailable.
func (a *Auth) RevokeOthers(ctx context.Context, by Actor, s *Session, now time.Time) (int, error) {
	var ended []string
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if ended, err = endOthers(ctx, tx, s.Principal.ID, s.ID, "revoked", store.Micros(now)); err != nil || len(ended) == 0 {
			return err
		}
		return a.note(ctx, tx, by, "session.revoke-all", s.Principal.Name, struct {
			Sessions int `json:"sessions"`
		}{len(ended)}, nil)
	})
	if err != nil {
		return 0, fmt.Errorf("revoke other sessions: %w", a.storeError(err))
	}
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	return len(ended), nil
}

// SetLanguage chooses the language of the person's pages and mails, a BCP 47 tag; empty: the browser's. Their sessions go on and
// are read anew, so that they know of it; on other nodes that takes until a session is next read. The errors are *InputError,
// ErrNotFound and ErrUnavailable.
func (a *Auth) SetLanguage(ctx context.Context, by Actor, principalID, tag string, now time.Time) error {
	if _, err := language.Parse(tag); tag != "" && (err != nil || len(tag) > 35) {
		return fmt.Errorf("set language: %w", &InputError{"language", "must be a language's tag"})
	}
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		who, err := readAccountByID(ctx, tx, principalID)
		if err != nil {
			return err
		}
		if who == nil || who.Disabled {
			return ErrNotFound
		}
		if who.Language == tag {
			return nil
		}
		if _, err := tx.ExecContext(ctx, sqlSetLanguage, tag, store.Micros(now), principalID); err != nil {
			return fmt.Errorf("store language: %w", err)
		}
		return a.note(ctx, tx, by, "account.language", who.Name, map[string]string{"language": who.Language}, map[string]string{"language": tag})
	})
	if err != nil {
		return fmt.Errorf("set language: %w", a.storeError(err))
	}
	a.sessions.forgetWhere(func(s *Session) bool { return s.Principal.ID == principalID })
	return nil
}
