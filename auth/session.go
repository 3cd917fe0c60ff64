package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"sync/atomic"
	"time"
)

// Session is a sign-in as one host sees it. The exported fields never change; a change of the account's
// roles ends the session. All methods are safe for concurrent use.
type Session struct {
	ID        string // of the sign-in, UUIDv7; the same for all hosts it reaches
	Principal Principal
	Realm     Realm
	Level     Level
	Address   netip.Addr // where the sign-in came from
	UserAgent string
	Host      string // the only host the session's token is good for
	Created   time.Time
	Expires   time.Time // the end in any case
	Methods   string    // by what the person was recognised, separated by spaces: password totp
	Remember  bool      // outlives the browser: the person asked for it and the role allows it

	hash     [sha256.Size]byte
	limited  []Privilege // of a token: what it may use of its person's privileges
	token    bool
	idle     time.Duration
	absolute time.Duration
	created  stamp

	seenWall, seenMono atomic.Int64 // the last request's stamp; a torn pair does no harm, both are recent
	stored             atomic.Int64 // the wall time of the last request that the store knows

	done chan struct{}
}

// Done is closed when the session ends: by sign-out, revocation or expiry, when the account is disabled or
// changed, or when the store has been away too long to know better. Open streams must end with it.
func (s *Session) Done() <-chan struct{} { return s.done }

// HasRole tells whether the session's principal has at least one of the roles.
func (s *Session) HasRole(roles ...Role) bool { return s.Principal.HasRole(roles...) }

// IsToken tells whether an API token opens the session, and no person is there: such a session is none for the
// account's own pages, nor for the console's.
func (s *Session) IsToken() bool { return s.token }

// LastSeen is the time of the last request, in steps of a second.
func (s *Session) LastSeen() time.Time { return time.Unix(0, s.seenWall.Load()) }

// clockSlack is how far in the future a session may have been made. More means that the clock was set
// back, and then nobody knows how old the session is.
const clockSlack = time.Minute

// alive judges the session's age and level. A shorter lifetime, or the demand for a factor, in the configuration binds sessions
// that exist too.
func (s *Session) alive(now stamp, cfg *settings) bool {
	if s.Level < cfg.factor(s.Principal.Roles) {
		return false
	}
	idle, absolute := cfg.lifetimes(s.Principal.Roles)
	if s.Remember {
		idle = cfg.remember(s.Principal.Roles)
		absolute = idle
	}
	age := now.since(s.created)
	if age < -clockSlack || age >= min(s.absolute, absolute) {
		return false
	}
	return now.since(s.seen()) < min(s.idle, idle)
}

func (s *Session) seen() stamp { return stamp{s.seenWall.Load(), s.seenMono.Load()} }

// touch notes a request. Most requests come within the same second as one before, and then only read, so
// that the cores do not fight for the cache line.
func (s *Session) touch(now stamp) {
	if d := now.since(s.seen()); d > -time.Second && d < time.Second {
		return
	}
	s.seenWall.Store(now.wall)
	s.seenMono.Store(now.mono)
}

// A token is 32 random bytes in base64url, of which the store knows only the SHA-256.
const (
	tokenBytes  = 32
	tokenLength = 43
)

func newToken() (token string, hash [sha256.Size]byte) {
	var b [tokenBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	token = base64.RawURLEncoding.EncodeToString(b[:])
	hash, _ = hashToken(token)
	return token, hash
}

// hashToken returns the SHA-256 of the token's text; ok is false for what cannot be a token, which then
// costs no look-up.
func hashToken(token string) (hash [sha256.Size]byte, ok bool) {
	if len(token) != tokenLength {
		return hash, false
	}
	var text [tokenLength]byte
	for i := range tokenLength {
		c := token[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return hash, false
		}
		text[i] = c
	}
	return sha256.Sum256(text[:]), true
}

func hexHash(hash [sha256.Size]byte) string { return hex.EncodeToString(hash[:]) }
