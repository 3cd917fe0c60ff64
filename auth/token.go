package auth

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/store"
)

// TokenPrefix begins every API token, so that scanners for leaked secrets, and the gateway, know one when they see it.
const TokenPrefix = "dw_"

const (
	// DefaultTokenLife and MaxTokenLife are how long an API token is good. There is none for ever: what nobody renews
	// is in nobody's use.
	DefaultTokenLife = 90 * 24 * time.Hour
	MaxTokenLife     = 366 * 24 * time.Hour
	// maxTokens is how many tokens of one account may be good at a time.
	maxTokens = 20
	// maxTokenParts is how many hosts, and how many networks, a token may be bound to.
	maxTokenParts = 20
)

// NewToken is an API token to be made.
type NewToken struct {
	// Name says what it is for; unique among the account's tokens.
	Name string
	// Privileges are what it may do, at least one; all must be the account's. UseSites opens the sites.
	Privileges []Privilege
	Hosts      []string       // the only hosts where it is good; none: all
	Networks   []netip.Prefix // the only networks where it is good; none: all
	// Life is how long it is good, at most MaxTokenLife. 0: DefaultTokenLife.
	Life time.Duration
}

// TokenInfo is an API token as people see it: enough to recognise it, nothing to use it with.
type TokenInfo struct {
	ID         string         `json:"id"`
	Account    string         `json:"account"`
	Name       string         `json:"name"`
	Privileges []Privilege    `json:"privileges"`
	Hosts      []string       `json:"hosts,omitempty"`
	Networks   []netip.Prefix `json:"networks,omitempty"`
	Created    time.Time      `json:"created"`
	Expires    time.Time      `json:"expires"`
	LastUsed   time.Time      `json:"last_used,omitzero"` // up to a minute old; zero: never
}

// AddToken makes an API token of an account and returns its text, which is shown this once and kept nowhere: the store has its
// SHA-256. The errors are *InputError, *DeniedError, ErrNotFound and ErrUnavailable.
func (a *Auth) AddToken(ctx context.Context, by Actor, account string, n NewToken, now time.Time) (info TokenInfo, token string, err error) {
	random, hash := newToken()
	err = a.db.Write(ctx, func(tx *sql.Tx) error {
		p, err := readPrincipal(ctx, tx, account)
		if err != nil {
			return err
		}
		if err := a.MayChange(by.As, p, Change{Kind: AddTokenOf}); err != nil {
			return err
		}
		if info, err = a.cfg.Load().checkToken(p, n, now); err != nil {
			return err
		}
		if err := insertToken(ctx, tx, p.ID, &info, hash); err != nil {
			return err
		}
		return a.note(ctx, tx, by, "token.add", p.Name, nil, info)
	})
	if err != nil {
		return TokenInfo{}, "", fmt.Errorf("add token of account %q: %w", account, a.storeError(err))
	}
	return info, TokenPrefix + random, nil
}

// checkToken judges a new token of the account.
func (s *settings) checkToken(p Principal, n NewToken, now time.Time) (TokenInfo, error) {
	setDefault(&n.Life, DefaultTokenLife)
	switch {
	case !usable(n.Name) || len(n.Name) > maxLabel:
		return TokenInfo{}, &InputError{"name", fmt.Sprintf("must be 1 to %d visible characters", maxLabel)}
	case p.Disabled:
		return TokenInfo{}, &InputError{"account", "is disabled"}
	case len(n.Privileges) == 0:
		return TokenInfo{}, &InputError{"privileges", "must name at least one: " + join(s.privileges(p.Roles), ", ")}
	case n.Life < time.Minute || n.Life > MaxTokenLife:
		return TokenInfo{}, &InputError{"expiry", "must be between a minute and 366 days from now"}
	case len(n.Hosts) > maxTokenParts || len(n.Networks) > maxTokenParts:
		return TokenInfo{}, &InputError{"hosts and networks", fmt.Sprintf("may be %d each at most", maxTokenParts)}
	}
	info := TokenInfo{Account: p.Name, Name: store.Text(n.Name), Created: now.UTC().Truncate(time.Microsecond), Networks: slices.Clone(n.Networks)}
	info.Expires = info.Created.Add(n.Life)
	have := s.privileges(p.Roles)
	for _, privilege := range Privileges() {
		if slices.Contains(n.Privileges, privilege) && slices.Contains(have, privilege) {
			info.Privileges = append(info.Privileges, privilege)
		}
	}
	for _, privilege := range n.Privileges {
		if !slices.Contains(info.Privileges, privilege) {
			return TokenInfo{}, &InputError{"privileges", fmt.Sprintf("must be the account's own, which %q is not: it has %s", privilege, join(have, ", "))}
		}
	}
	for _, host := range n.Hosts {
		name := canonicalName(host)
		if name == "" || len(name) > 253 || strings.ContainsAny(name, " /") || !usable(name) {
			return TokenInfo{}, &InputError{"hosts", fmt.Sprintf("must be names without port, which %q is not", host)}
		}
		info.Hosts = append(info.Hosts, name)
	}
	for _, network := range n.Networks {
		if !network.IsValid() {
			return TokenInfo{}, &InputError{"networks", "must be networks or addresses"}
		}
	}
	return info, nil
}

func insertToken(ctx context.Context, tx *sql.Tx, principalID string, info *TokenInfo, hash [sha256.Size]byte) (err error) {
	var live, sameName int
	if err := tx.QueryRowContext(ctx, sqlCountTokens, principalID, info.Name, store.Micros(info.Created)).Scan(&live, &sameName); err != nil {
		return fmt.Errorf("count tokens: %w", err)
	}
	if sameName > 0 {
		return &InputError{"name", "is another token's of this account: revoke that one, or take another name"}
	}
	if live >= maxTokens {
		return &InputError{"account", fmt.Sprintf("has %d API tokens already, which is the most: revoke one first", maxTokens)}
	}
	if info.ID, err = store.NewID(); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlInsertAPIToken, info.ID, principalID, info.Name, hexHash(hash), join(info.Privileges, " "),
		strings.Join(info.Hosts, " "), joinNetworks(info.Networks), store.Micros(info.Created), store.Micros(info.Expires)); err != nil {
		return fmt.Errorf("insert token: %w", err)
	}
	return nil
}

// Tokens lists the API tokens of an account that have not been revoked, or of all accounts if name is empty; at most 1000. An
// expired one stays in the list for a month. The errors are ErrNotFound and ErrUnavailable.
func (a *Auth) Tokens(ctx context.Context, name string) ([]TokenInfo, error) {
	query, args := sqlAPITokens, []any{maxListed}
	if name != "" {
		p, err := a.Principal(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("list tokens of %q: %w", name, err)
		}
		query, args = sqlAPITokensOf, append(args, p.ID)
	}
	return a.listTokens(ctx, query, args...)
}

func (a *Auth) listTokens(ctx context.Context, query string, args ...any) ([]TokenInfo, error) {
	rows, err := a.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", a.storeError(err))
	}
	defer rows.Close()
	var list []TokenInfo
	for rows.Next() {
		info, err := scanToken(rows)
		if err != nil {
			return nil, fmt.Errorf("list tokens: %w", a.storeError(err))
		}
		list = append(list, info)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list tokens: %w", a.storeError(err))
	}
	return list, nil
}

func scanToken(row interface{ Scan(dest ...any) error }) (TokenInfo, error) {
	var i TokenInfo
	var privileges, hosts, networks string
	var created, expires, used int64
	if err := row.Scan(&i.ID, &i.Account, &i.Name, &privileges, &hosts, &networks, &created, &expires, &used); err != nil {
		return i, err
	}
	i.Privileges, i.Hosts, i.Networks = splitPrivileges(privileges), strings.Fields(hosts), splitNetworks(networks)
	i.Created, i.Expires, i.LastUsed = store.FromMicros(created), store.FromMicros(expires), store.FromMicros(used)
	return i, nil
}

// RevokeToken ends an API token, here at once and at other gateways within a second. The errors are *DeniedError, ErrNotFound
// and ErrUnavailable.
func (a *Auth) RevokeToken(ctx context.Context, by Actor, id string, now time.Time) error {
	err := a.db.Write(ctx, func(tx *sql.Tx) error {
		info, err := scanToken(tx.QueryRowContext(ctx, sqlAPIToken, id))
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		owner, err := readPrincipal(ctx, tx, info.Account)
		if err != nil {
			return err
		}
		if err := a.MayChange(by.As, owner, Change{Kind: RevokeTokenOf}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlEndToken, store.Micros(now), "revoked", id); err != nil {
			return fmt.Errorf("end token: %w", err)
		}
		return a.note(ctx, tx, by, "token.revoke", info.Account, info, nil)
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", a.storeError(err))
	}
	a.tokens.forget(id)
	return nil
}

// settleTokens ends the tokens that a change of their account takes the ground from: all of a disabled one's, and after a
// change of roles those with a privilege that the roles no longer give.
func (a *Auth) settleTokens(ctx context.Context, tx *sql.Tx, p Principal, kind ChangeKind, why string, at int64) error {
	switch kind {
	case DisableAccount:
		if _, err := tx.ExecContext(ctx, sqlEndTokensOf, at, why, p.ID); err != nil {
			return fmt.Errorf("end tokens: %w", err)
		}
	case SetRolesOf:
		have := a.PrivilegesOf(p.Roles)
		lost, err := tokensBeyond(ctx, tx, p.ID, have, at)
		if err != nil {
			return err
		}
		for _, id := range lost {
			if _, err := tx.ExecContext(ctx, sqlEndToken, at, why, id); err != nil {
				return fmt.Errorf("end token: %w", err)
			}
		}
	}
	return nil
}

// tokensBeyond lists the account's tokens that are good at a time, microseconds, and have a privilege other than these. No more than
// maxTokens are good at a time; expired ones, which may be any number, open nothing.
func tokensBeyond(ctx context.Context, tx *sql.Tx, principalID string, have []Privilege, at int64) ([]string, error) {
	rows, err := tx.QueryContext(ctx, sqlGoodTokensOf, principalID, at)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	defer rows.Close()
	var lost []string
	for rows.Next() {
		var id, privileges string
		if err := rows.Scan(&id, &privileges); err != nil {
			return nil, fmt.Errorf("list tokens: %w", err)
		}
		if slices.ContainsFunc(splitPrivileges(privileges), func(p Privilege) bool { return !slices.Contains(have, p) }) {
			lost = append(lost, id)
		}
	}
	return lost, rows.Err()
}

func splitPrivileges(text string) []Privilege {
	var list []Privilege
	for _, name := range strings.Fields(text) {
		list = append(list, Privilege(name))
	}
	return list
}

func joinNetworks(list []netip.Prefix) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Masked().String()
	}
	return strings.Join(names, " ")
}

func splitNetworks(text string) []netip.Prefix {
	var list []netip.Prefix
	for _, name := range strings.Fields(text) {
		// Written by us. One that cannot be read must not turn a bound token into one for everywhere: the zero network holds nothing.
		p, _ := netip.ParsePrefix(name)
		list = append(list, p)
	}
	return list
}
