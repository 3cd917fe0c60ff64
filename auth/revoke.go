package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/doorward/doorward/store"
)

// maxListed is how many sessions ListSessions returns at most.
const maxListed = 1000

// SessionInfo is a session as an administrator sees it: enough to recognise it, nothing to use it with.
type SessionInfo struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"` // the account's
	Realm     Realm      `json:"realm"`
	Host      string     `json:"host"`
	Address   netip.Addr `json:"address"`
	UserAgent string     `json:"user_agent"`
	Created   time.Time  `json:"created"`
	LastSeen  time.Time  `json:"last_seen"` // up to 15 seconds old
	Expires   time.Time  `json:"expires"`
	Level     Level      `json:"level"`
	Methods   string     `json:"methods"`             // by what the person was recognised, separated by spaces
	HostName  string     `json:"host_name,omitempty"` // the address's confirmed name, if it is known by now
	Country   string     `json:"country,omitempty"`   // ISO 3166-1 code, if it is known
}

// ListSessions returns the live sessions of an account, newest first, or of all if name is empty; at most
// 1000. The errors are ErrNotFound and ErrUnavailable.
func (a *Auth) ListSessions(ctx context.Context, name string) ([]SessionInfo, error) {
	query, args := sqlSessionInfos, []any{store.Micros(time.Now()), maxListed}
	if name != "" {
		key, email, ok := loginKey(name)
		var who *account
		var err error
		if ok {
			who, err = a.findAccount(ctx, key, email)
		}
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", a.storeError(err))
		}
		if who == nil {
			return nil, fmt.Errorf("list sessions of %q: %w", name, ErrNotFound)
		}
		query, args = sqlSessionInfosOf, append(args, who.ID)
	}
	rows, err := a.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", a.storeError(err))
	}
	defer rows.Close()
	var list []SessionInfo
	for rows.Next() {
		info, err := scanInfo(rows)
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", a.storeError(err))
		}
		list = append(list, info)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list sessions: %w", a.storeError(err))
	}
	a.addPlaces(ctx, list)
	return list, nil
}

func scanInfo(row interface{ Scan(dest ...any) error }) (SessionInfo, error) {
	var i SessionInfo
	var address string
	var created, seen, expires int64
	if err := row.Scan(&i.ID, &i.Name, &i.Realm, &address, &i.UserAgent, &created, &seen, &expires, &i.Host, &i.Level, &i.Methods); err != nil {
		return i, err
	}
	i.Address, _ = netip.ParseAddr(address) // written by us; the zero address otherwise
	i.Created, i.LastSeen, i.Expires = store.FromMicros(created), store.FromMicros(seen), store.FromMicros(expires)
	return i, nil
}

// RevokeSession ends one session by its id. The errors are ErrNotFound and ErrUnavailable.
func (a *Auth) RevokeSession(ctx context.Context, by Actor, id string) error {
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		now := store.Micros(time.Now())
		info, err := scanInfo(tx.QueryRowContext(ctx, sqlSessionInfo, now, id))
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		owner, err := readPrincipal(ctx, tx, info.Name)
		if err != nil {
			return err
		}
		if err := a.MayChange(by.As, owner, Change{Kind: EndSessionsOf}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlEndSignIn, now, "revoked", id); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		return a.note(ctx, tx, by, "session.revoke", info.Name, info, nil)
	})
	if err != nil {
		return fmt.Errorf("revoke session: %w", a.storeError(err))
	}
	a.sessions.end(id)
	return nil
}

// RevokeAll ends every session of an account, or of all accounts if name is empty, and returns how many. The errors
// are ErrNotFound and ErrUnavailable.
func (a *Auth) RevokeAll(ctx context.Context, by Actor, name string) (int, error) {
	var ended []string
	err := a.db.Write(ctx, func(tx *sql.Tx) (err error) {
		now := store.Micros(time.Now())
		target := "all accounts"
		if name == "" {
			if by.As != nil {
				return denied("only root may end everybody's sessions at once")
			}
			ended, err = endEverything(ctx, tx, now)
		} else {
			var p Principal
			if p, err = readPrincipal(ctx, tx, name); err != nil {
				return err
			}
			if err := a.MayChange(by.As, p, Change{Kind: EndSessionsOf}); err != nil {
				return err
			}
			target = p.Name
			ended, err = endAll(ctx, tx, p.ID, "revoked", now)
		}
		if err != nil {
			return err
		}
		return a.note(ctx, tx, by, "session.revoke-all", target, struct {
			Sessions int `json:"sessions"`
		}{len(ended)}, nil)
	})
	if err != nil {
		return 0, fmt.Errorf("revoke sessions: %w", a.storeError(err))
	}
	if len(ended) > 0 {
		a.sessions.end(ended...)
	}
	return len(ended), nil
}

func endEverything(ctx context.Context, tx *sql.Tx, at int64) ([]string, error) {
	if _, err := tx.ExecContext(ctx, sqlDeleteAllPending); err != nil {
		return nil, fmt.Errorf("end pending sign-ins: %w", err)
	}
	ids, err := readStrings(ctx, tx, sqlLive)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return ids, endSignIns(ctx, tx, ids, "revoked", at)
}

// endAll ends the account's sessions in the store and returns which. Sign-ins that lack a step end too: what they have proved
// already, such as a factor that is being taken away, must not become a session afterwards.
func endAll(ctx context.Context, tx *sql.Tx, id, why string, at int64) ([]string, error) {
	if _, err := tx.ExecContext(ctx, sqlDeletePendingOf, id); err != nil {
		return nil, fmt.Errorf("end pending sign-ins: %w", err)
	}
	return endOthers(ctx, tx, id, "", why, at)
}

// endOthers ends the account's sessions but one, and returns which.
func endOthers(ctx context.Context, tx *sql.Tx, id, keep, why string, at int64) ([]string, error) {
	ids, err := readStrings(ctx, tx, sqlLiveOf, id)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	ids = slices.DeleteFunc(ids, func(session string) bool { return session == keep })
	return ids, endSignIns(ctx, tx, ids, why, at)
}

// endSignIns ends these sessions in the store.
func endSignIns(ctx context.Context, tx *sql.Tx, ids []string, why string, at int64) error {
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, sqlEndSignIn, at, why, id); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
	}
	return nil
}
