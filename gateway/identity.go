package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/auth"
)

const (
	assertionLife  = 60 * time.Second
	assertionRenew = 20 * time.Second // a cached assertion is made anew when this little of its life is left

	// maxIdentities caps the cached identities of a site; more sessions only mean more signatures.
	maxIdentities = 1 << 14
)

// identity tells one site's application who is signed in (I-83, security.md 10): by headers under the names
// that its folder gives, with a shared secret by which it knows that Doorward speaks, and with a signed
// assertion that needs no secret to check. Values are percent-encoded where they hold anything but printable
// ASCII, a percent sign, or a space at either end (see encodeValue).
type identity struct {
	off    bool
	names  IdentityNames // in Go's canonical form
	secret []string
	issuer string
	host   string
	keys   *assertionKeys

	mu      sync.RWMutex
	entries map[string]*identityEntry // by session id
}

// identityEntry holds the header values of one session. The slices have room for one value only.
type identityEntry struct {
	session                            *auth.Session
	principal                          auth.Principal
	user, email, name, roles, asserted []string
	until                              time.Time // when to make the next
}

// newIdentity prepares the identity of the site host. Without a secret file one is generated in dataDir.
func newIdentity(cfg IdentityConfig, app *App, host string, keys *assertionKeys, dataDir string) (*identity, error) {
	id := &identity{off: cfg.Off, host: host, issuer: "https://" + host, keys: keys, entries: make(map[string]*identityEntry)}
	for _, name := range []struct {
		to   *string
		from string
	}{{&id.names.User, app.Identity.User}, {&id.names.Email, app.Identity.Email}, {&id.names.Name, app.Identity.Name},
		{&id.names.Roles, app.Identity.Roles}, {&id.names.Secret, app.Identity.Secret}, {&id.names.Assertion, app.Identity.Assertion}} {
		*name.to = textproto.CanonicalMIMEHeaderKey(name.from)
	}
	if cfg.Off || app.Identity.Secret == "" {
		return id, nil
	}
	secret, err := readSecret(cfg.SecretFile, host, dataDir)
	if err != nil {
		return nil, err
	}
	id.secret = []string{secret}
	return id, nil
}

// readSecret returns the first line of the secret file. The second line, if any, is the secret before, which
// the application accepts while it changes over; it is not sent.
func readSecret(file, host, dataDir string) (string, error) {
	var text []byte
	var err error
	if file == "" {
		file = filepath.Join(dataDir, "identity", host+".secret")
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return "", fmt.Errorf("make folder of identity secrets: %w", err)
		}
		// 0640, so that the application's group can be given the file.
		text, err = readOrCreate(file, 0o640, func() ([]byte, error) { return []byte(rand.Text() + rand.Text() + "\n"), nil })
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("read identity secret: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSpace(line)
	if len(line) < 16 {
		return "", fmt.Errorf("identity secret %s: the first line has fewer than 16 characters", file)
	}
	for _, c := range []byte(line) {
		if c <= ' ' || c >= 0x7f {
			return "", fmt.Errorf("identity secret %s: the first line holds a space or a character outside ASCII", file)
		}
	}
	return line, nil
}

// identify finds the identity of the exchange's session, if there is one, for set. An error means that the
// assertion could not be signed: then nothing may be sent.
func (id *identity) identify(x *exchange) (err error) {
	if x.session == nil || id.off {
		return nil
	}
	x.identity, err = id.entry(x.session, x.started)
	return err
}

// set writes the identity of the exchange's session into an outgoing request. It must run after the
// hop-by-hop headers are gone (security.md 4). On public paths without a session only the secret is sent.
func (id *identity) set(out http.Header, x *exchange) {
	for _, name := range [...]string{id.names.User, id.names.Email, id.names.Name, id.names.Roles, id.names.Secret, id.names.Assertion} {
		if name != "" {
			delete(out, name)
		}
	}
	if id.off {
		return
	}
	if id.secret != nil {
		out[id.names.Secret] = id.secret
	}
	id.tell(out, x)
}

// tell writes who is signed in, if somebody is, into headers that hold nothing of the kind yet.
func (id *identity) tell(out http.Header, x *exchange) {
	entry := x.identity
	if entry == nil {
		return
	}
	put(out, id.names.User, entry.user)
	put(out, id.names.Email, entry.email)
	put(out, id.names.Name, entry.name)
	put(out, id.names.Roles, entry.roles)
	put(out, id.names.Assertion, entry.asserted)
}

func put(out http.Header, name string, value []string) {
	if name != "" && value != nil {
		out[name] = value
	}
}

// entry returns the session's header values, made at most once in assertionLife - assertionRenew: signing
// costs more than the rest of a request.
func (id *identity) entry(s *auth.Session, now time.Time) (*identityEntry, error) {
	id.mu.RLock()
	entry := id.entries[s.ID]
	id.mu.RUnlock()
	if entry != nil && now.Before(entry.until) && (entry.session == s || samePerson(entry.principal, s.Principal)) {
		return entry, nil
	}
	entry, err := id.newEntry(s, now)
	if err != nil {
		return nil, err
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	if _, found := id.entries[s.ID]; !found && len(id.entries) >= maxIdentities {
		id.makeRoom(now)
	}
	id.entries[s.ID] = entry
	return entry, nil
}

// makeRoom drops what is out of date, and if that is nothing, any entry: it costs its session a signature.
func (id *identity) makeRoom(now time.Time) {
	for session, entry := range id.entries {
		if !now.Before(entry.until) {
			delete(id.entries, session)
		}
	}
	for session := range id.entries {
		if len(id.entries) < maxIdentities {
			return
		}
		delete(id.entries, session)
	}
}

func samePerson(a, b auth.Principal) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Email == b.Email && a.DisplayName == b.DisplayName && slices.Equal(a.Roles, b.Roles)
}

// assertionClaims are the assertion's claims (RFC 7519 4.1, OpenID Connect Core 5.1).
type assertionClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"` // the principal's id, which outlives a change of name
	Audience string   `json:"aud"` // the site's first host
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Username string   `json:"preferred_username"`
	Name     string   `json:"name,omitempty"`
	Email    string   `json:"email,omitempty"`
	Roles    []string `json:"roles"`
	Session  string   `json:"sid"` // a hash: the same for one sign-in, and of no use as anything else
}

func (id *identity) newEntry(s *auth.Session, now time.Time) (*identityEntry, error) {
	p := s.Principal
	entry := &identityEntry{session: s, principal: p, until: now.Add(assertionLife - assertionRenew),
		user: oneValue(p.Name), email: oneValue(p.Email), name: oneValue(p.DisplayName)}
	entry.principal.Roles = slices.Clone(p.Roles)
	roles := make([]string, len(p.Roles))
	for i, role := range p.Roles {
		roles[i] = string(role)
	}
	entry.roles = oneValue(strings.Join(roles, ","))
	if id.names.Assertion == "" {
		return entry, nil
	}
	sid := sha256.Sum256([]byte("doorward sid\x00" + s.ID))
	signed, err := id.keys.sign(assertionClaims{
		Issuer: id.issuer, Subject: p.ID, Audience: id.host, IssuedAt: now.Unix(), Expires: now.Add(assertionLife).Unix(),
		ID: rand.Text(), Username: p.Name, Name: p.DisplayName, Email: p.Email, Roles: roles,
		Session: base64.RawURLEncoding.EncodeToString(sid[:16]),
	})
	if err != nil {
		return nil, fmt.Errorf("sign assertion: %w", err)
	}
	entry.asserted = []string{signed}
	return entry, nil
}

func oneValue(s string) []string {
	if s == "" {
		return nil
	}
	return []string{encodeValue(s)}
}

// encodeValue makes a header value of a person's data. Everything but printable ASCII is percent-encoded as
// UTF-8 (RFC 3986 2.1), so that no name can carry a line break or be cut by a server's own idea of a
// character set; so are the percent sign, to make decoding certain, and spaces at the ends, which receivers
// strip: "root " must not become "root".
func encodeValue(s string) string {
	plain := s != "" && s[0] != ' ' && s[len(s)-1] != ' '
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f && s[i] != '%'
	}
	if plain {
		return s
	}
	out := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '%' || c == ' ' && (i == 0 || i == len(s)-1) {
			out = appendEscaped(out, c)
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}
