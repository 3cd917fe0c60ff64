package auth

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// tokensUsedEvery is how often the store is told when tokens were used.
const tokensUsedEvery = time.Minute

// IsAPIToken tells whether the text is meant as an API token: it begins with TokenPrefix. The gateway takes an Authorization
// header with such a Bearer away from every request, whether the token is good or not.
func IsAPIToken(text string) bool { return strings.HasPrefix(text, TokenPrefix) }

// TokenSession returns the session that an API token opens at a site, for a request with
//
//	Authorization: Bearer dw_…
//
// from the client's address after trusted proxies. The token must have the privilege UseSites, and be good at the host and in
// the network; the networks of the person's roles bind it as they bind the person (F-44, M-19). The session's level is
// PasswordLevel: what asks for a factor stays closed. Its IsToken is true, its cookie does not exist, and nobody may be let to
// /.doorward/account or the console's pages with it. Done is closed when the token ends, here at once and elsewhere within a second.
//
// The errors are ErrNoSession (401: unknown, expired or revoked), *DeniedError (403: not for sites), ErrNetwork (403), *WaitError
// (429: unknown tokens count like wrong sign-ins, M-40) and ErrUnavailable (503). Each leaves an event but the last two.
//
// A gateway does this where it looks for the session cookie, and before it: a request with both is the token's.
//
//	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") && auth.IsAPIToken(token) {
//		r.Header.Del("Authorization") // the application must never see it, not even where Authorization passes
//		x.session, err = g.auth.TokenSession(r.Context(), x.host, token, x.client, now)
//	}
func (a *Auth) TokenSession(ctx context.Context, host, token string, client netip.Addr, now time.Time) (*Session, error) {
	s, err := a.tokenSession(ctx, SiteRealm, host, token, client, now)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(s.limited, UseSites) || !a.May(s.Principal, UseSites) {
		a.recordToken(s.Principal.Name, host, client, "token-privilege", now)
		return nil, denied("this API token is not for the sites: it lacks the privilege %s", UseSites)
	}
	return s, nil
}

// AdminToken returns who administers by an API token at the console's host. What the token may do is in its Privileges; the
// errors are TokenSession's but *DeniedError.
func (a *Auth) AdminToken(ctx context.Context, host, token string, client netip.Addr, now time.Time) (*Administrator, error) {
	s, err := a.tokenSession(ctx, ConsoleRealm, host, token, client, now)
	if err != nil {
		return nil, err
	}
	return a.Administrator(s), nil
}

func (a *Auth) tokenSession(ctx context.Context, realm Realm, host, token string, client netip.Addr, now time.Time) (*Session, error) {
	random, prefixed := strings.CutPrefix(token, TokenPrefix)
	hash, wellFormed := hashToken(random)
	key := heldKey{hash, realm, host}
	var held *heldToken
	if prefixed && wellFormed {
		held = a.tokens.get(key)
	}
	if held == nil {
		// A token that is held is no guess, so that nobody else's guesses stop it.
		if left := a.Waiting(client, now); left > 0 {
			return nil, &WaitError{left}
		}
		if !prefixed || !wellFormed {
			return nil, a.wrongToken(host, client, now)
		}
		var err error
		if held, err = a.lookUpToken(ctx, key, client, now); err != nil {
			return nil, err
		}
	}
	s := held.session
	if a.closed(s, a.stamp(now)) {
		return nil, ErrUnavailable
	}
	switch {
	case !now.Before(s.Expires):
		a.tokens.forgetWhere(func(h *heldToken) bool { return h == held }, false)
		a.recordToken(s.Principal.Name, host, client, "token-expired", now)
		return nil, ErrNoSession
	case a.banned(s.Principal.Name, now):
		a.recordToken(s.Principal.Name, host, client, "banned-account", now)
		return nil, ErrNoSession
	case len(held.networks) > 0 && !holds(held.networks, client):
		a.recordToken(s.Principal.Name, host, client, "token-network", now)
		return nil, ErrNetwork
	case !a.cfg.Load().allowedFrom(s.Principal.Roles, client):
		a.recordToken(s.Principal.Name, host, client, "role-network", now)
		return nil, ErrNetwork
	}
	a.tokens.use(held, now)
	return s, nil
}

// wrongToken counts a token that nobody has like a wrong sign-in.
func (a *Auth) wrongToken(host string, client netip.Addr, now time.Time) error {
	a.waits.failed(addressKey(client), nobody, now, a.cfg.Load().SignIn)
	a.counted.tokensWrong.Add(1)
	a.recordToken("", host, client, "token-unknown", now)
	return ErrNoSession
}

// lookUpToken reads a token from the store and takes it into memory.
func (a *Auth) lookUpToken(ctx context.Context, key heldKey, client netip.Addr, now time.Time) (*heldToken, error) {
	if a.health.since.Load() != nil {
		return nil, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	leave, err := a.mayRead(ctx)
	if err != nil {
		return nil, unavailable(fmt.Errorf("look up token: %w", err))
	}
	defer leave()
	for range 3 {
		generation := a.tokens.generation()
		row, err := a.readToken(ctx, key)
		if err != nil {
			a.suspect(err, now)
			return nil, unavailable(fmt.Errorf("look up token: %w", err))
		}
		if row == nil {
			return nil, a.wrongToken(key.host, client, now)
		}
		if reason := row.refusal(key.host, now); reason != "" {
			a.recordToken(row.session.Principal.Name, key.host, client, reason, now)
			return nil, ErrNoSession
		}
		row.session.Address = client.Unmap()
		if held := a.tokens.add(&heldToken{key: key, session: row.session, networks: row.networks, changed: row.changed}, generation); held != nil {
			return held, nil
		}
	}
	return nil, ErrUnavailable
}

// tokenRow is a token as the store has it.
type tokenRow struct {
	session  *Session
	hosts    []string
	networks []netip.Prefix
	ended    bool
	changed  int64 // microseconds
}

// refusal is why the token is not good at the host now; empty when it is.
func (r *tokenRow) refusal(host string, now time.Time) string {
	switch {
	case r.ended:
		return "token-revoked"
	case r.session.Principal.Disabled:
		return "disabled-account"
	case !now.Before(r.session.Expires):
		return "token-expired"
	case len(r.hosts) > 0 && !slices.Contains(r.hosts, canonicalName(host)):
		return "token-host"
	}
	return ""
}

// readToken reads a token and its account; nil if there is none.
func (a *Auth) readToken(ctx context.Context, key heldKey) (*tokenRow, error) {
	rows, err := a.db.QueryContext(ctx, sqlTokenByHash, hexHash(key.hash))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found *tokenRow
	for rows.Next() { // one row for each role
		s := &Session{Realm: key.realm, Host: key.host, Level: PasswordLevel, Methods: methodToken, token: true, hash: key.hash, done: make(chan struct{})}
		dest, finish := principalColumns(&s.Principal)
		var role, privileges, hosts, networks string
		var created, expires, used, endedAt, changed int64
		if err := rows.Scan(append(dest, &role, &s.ID, &privileges, &hosts, &networks, &created, &expires, &used, &endedAt, &changed)...); err != nil {
			return nil, err
		}
		if found == nil {
			finish()
			s.Created, s.Expires, s.limited = store.FromMicros(created), store.FromMicros(expires), splitPrivileges(privileges)
			found = &tokenRow{session: s, hosts: strings.Fields(hosts), networks: splitNetworks(networks), ended: endedAt > 0, changed: changed}
		}
		if role != "" {
			found.session.Principal.Roles = append(found.session.Principal.Roles, Role(role))
		}
	}
	if found != nil {
		p := &found.session.Principal
		p.Roles = a.cfg.Load().known(p.Roles)
		sortRoles(p.Roles)
	}
	return found, rows.Err()
}

// learnTokens drops the tokens from memory that another process has ended, or whose account it has changed.
func (a *Auth) learnTokens(ctx context.Context, from time.Time) error {
	rows, err := a.db.QueryContext(ctx, sqlTokensChanged, store.Micros(from.Add(-overlap)))
	if err != nil {
		return err
	}
	defer rows.Close()
	changes := make(map[string]int64)
	for rows.Next() {
		var id string
		var at int64
		if err := rows.Scan(&id, &at); err != nil {
			return err
		}
		changes[id] = at
	}
	if err := rows.Err(); err != nil {
		return err
	}
	a.tokens.forgetChanged(changes)
	return nil
}

// storeTokensUsed tells the store when tokens were last used.
func (a *Auth) storeTokensUsed(ctx context.Context) error {
	used := a.tokens.takeUsed()
	if len(used) == 0 {
		return nil
	}
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		for id, at := range used {
			if _, err := tx.ExecContext(ctx, sqlTokenUsed, store.Micros(at), id); err != nil {
				return fmt.Errorf("store last use of a token: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		a.tokens.putBack(used)
	}
	return err
}

// recordToken leaves the event of a token that was refused.
func (a *Auth) recordToken(user, host string, client netip.Addr, reason string, now time.Time) {
	a.append(event.Event{Time: now, Class: event.Authentication, Action: "token-use", Outcome: event.Refused, User: user,
		Source: client.Unmap(), Severity: event.Low, Fields: []event.Field{{Key: "host", Value: host}, {Key: "reason", Value: reason}}})
}
