package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/doorward/doorward/auth"
)

// What follows opens the request side's parsers and rules to this package's tests.

// Path is a canonicalised path as tests see it.
type Path struct {
	Decoded, Folded, Raw string
	Others               []string // decoded
	inner                canonicalPath
}

// CanonicalPath reads a path at a site that allows classes.
func CanonicalPath(path string, classes ...string) (Path, error) {
	allow, err := newPathAllow(PathConfig{Allow: classes}, &App{})
	if err != nil {
		return Path{}, err
	}
	p, err := canonicalisePath(path, allow)
	if err != nil {
		return Path{Raw: p.raw}, err
	}
	out := Path{Decoded: p.decoded, Folded: p.folded, Raw: p.raw, inner: p}
	for _, other := range p.others {
		out.Others = append(out.Others, other.decoded)
	}
	return out, nil
}

// CanonicalHost is canonicalHost.
func CanonicalHost(host string) (string, bool) { return canonicalHost(host) }

// AccessPolicy judges as a site does.
type AccessPolicy struct{ policy *accessPolicy }

// NewAccessPolicy compiles rules.
func NewAccessPolicy(rules []AccessRule, app *App) (AccessPolicy, error) {
	p, err := newAccessPolicy(rules, newZoneTable([]ZoneConfig{{Name: "office", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}), app)
	return AccessPolicy{p}, err
}

// Judge returns the verdict in words: allow, public, sign-in or the refusal's reason.
func (p AccessPolicy) Judge(path Path, s *auth.Session, client netip.Addr) string {
	switch v := p.policy.judge(path.inner, s, place{client: client, country: "DE"}); {
	case v.decision == allow && v.public:
		return "public"
	case v.decision == allow:
		return "allow"
	case v.decision == signIn:
		return "sign-in"
	case v.decision == stepUp && v.level == 0:
		return "step-up to nothing"
	default:
		return v.reason
	}
}

// ClientAddress is clientAddress.
func ClientAddress(peer netip.Addr, h http.Header, trusted []netip.Prefix) (netip.Addr, error) {
	return clientAddress(peer, h, trusted)
}

// ForwardedSecure is forwardedSecure.
func ForwardedSecure(peer netip.Addr, h http.Header, trusted []netip.Prefix) bool {
	return forwardedSecure(peer, h, trusted)
}

// SetForwarded is setForwarded for a client.
func SetForwarded(out http.Header, client netip.Addr, secure bool, host string) {
	setForwarded(out, &exchange{client: client, secure: secure}, host)
}

// SessionToken and CleanCookies are sessionToken and cleanCookies.
func SessionToken(h http.Header) string { return sessionToken(h) }

// OwnCookies is ownCookies.
func OwnCookies(lines []string) []*http.Cookie { return ownCookies(lines) }

// CleanCookies is cleanCookies.
func CleanCookies(h http.Header) { cleanCookies(h) }

// Answer applies a site's answer rules to h.
func Answer(h http.Header, cfg SiteConfig, app *App, secure, fromUpstream bool) {
	cfg.setDefaultsForTest()
	applyResponseRules(h, &site{answers: newAnswerRules(cfg, app)}, secure, fromUpstream)
}

func (s *SiteConfig) setDefaultsForTest() {
	cfg := Config{Sites: []SiteConfig{*s}}
	cfg.SetDefaults()
	*s = cfg.Sites[0]
}

// MendCookie is what becomes of one Set-Cookie line.
func MendCookie(line string, cfg SiteConfig, app *App, secure bool, now time.Time) string {
	return newAnswerRules(cfg, app).mendCookie(line, secure, now)
}

// CleanHeaders is cleanHeaders for a request of path.
func CleanHeaders(r *http.Request, app *App, path Path) (int, error) {
	return cleanHeaders(r, app, path.inner)
}

// FormHolds and PartsHold are formHolds and partsHold.
func FormHolds(form string, names ...string) bool { return formHolds(form, names) }

// PartsHold is partsHold.
func PartsHold(body []byte, names ...string) bool { return partsHold(body, names) }

// EncodeValue is encodeValue.
func EncodeValue(s string) string { return encodeValue(s) }

// MaxLimiterKeys is the limiter's cap.
const MaxLimiterKeys = maxLimiterKeys

// Limiter is the rate limiter with the time as a parameter.
type Limiter struct{ l *limiter }

// NewLimiter makes one.
func NewLimiter(cfg LimitsConfig) Limiter { return Limiter{newLimiter(cfg)} }

// Take takes a token for a session (if not empty) or an address, at a time since the start.
func (l Limiter) Take(session string, client netip.Addr, at time.Duration) time.Duration {
	x := &exchange{client: client}
	if session != "" {
		x.session = &auth.Session{ID: session}
	}
	return l.l.take(x, l.l.started.Add(at))
}

// Keys counts the buckets, and those that were forgotten to make room.
func (l Limiter) Keys() (held int, evicted uint64) {
	for i := range l.l.shards {
		held += len(l.l.shards[i].buckets)
	}
	return held, l.l.evicted.Load()
}

// InFlight is the load shedder.
type InFlight struct{ f *inFlight }

// NewInFlight makes one with room for limit requests.
func NewInFlight(limit int) InFlight { return InFlight{newInFlight(limit)} }

// Enter is enter, from one address.
func (f InFlight) Enter(signedIn bool) (func(), bool) {
	return f.EnterFrom(signedIn, netip.AddrFrom4([4]byte{192, 0, 2, 1}))
}

// EnterFrom is enter, for a stranger or for the one session of whoever is signed in at that address.
func (f InFlight) EnterFrom(signedIn bool, client netip.Addr) (func(), bool) {
	x := &exchange{client: client}
	if signedIn {
		x.session = &auth.Session{ID: client.String()}
	}
	key := keyOf(x)
	return func() { f.f.leave(key) }, f.f.enter(key) == nil
}

// Clients is how many clients have requests under way.
func (f InFlight) Clients() int {
	f.f.mu.Lock()
	defer f.f.mu.Unlock()
	return len(f.f.byClient)
}

// Turns are the turns of large bodies.
type Turns struct{ t *turns }

// NewTurns makes them for a machine.
func NewTurns(processors int) Turns { return Turns{newTurns(processors)} }

// Take is take for a session (if not empty) or an address.
func (t Turns) Take(ctx context.Context, session string, client netip.Addr) (func(), error) {
	key := limiterKey{session: session}
	if session == "" {
		key.address = client
	}
	return t.t.take(ctx, key)
}

// Clients is how many clients have or wait for one.
func (t Turns) Clients() int {
	t.t.mu.Lock()
	defer t.t.mu.Unlock()
	return len(t.t.byClient)
}
