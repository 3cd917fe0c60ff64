package helpdesk

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// sessionCookie is the helpdesk's own session. It is set the way old applications do, without Secure,
// HttpOnly or SameSite, so that the demo shows the gateway adding them.
const sessionCookie = "helpdesk_session"

// visitor is the person behind one request.
type visitor struct {
	name  string
	email string
	roles []string
	visit *visit
}

func (v *visitor) has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(v.roles, role) })
}

// isSupport tells whether the person answers other people's tickets.
func (v *visitor) isSupport() bool { return v.has("agent", "admin", "owner") }

// fromGateway compares the shared secret in constant time, all valid ones always.
func (h *Helpdesk) fromGateway(r *http.Request) bool {
	given := r.Header.Values(h.config.Headers.Secret)
	if len(given) != 1 {
		return false
	}
	sum := sha256.Sum256([]byte(given[0]))
	match := 0
	for _, secret := range h.config.Secrets {
		want := sha256.Sum256([]byte(secret))
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return match == 1
}

// identify reads the person from the headers; the secret was checked before. It is nil for nobody.
func (h *Helpdesk) identify(r *http.Request) *visitor {
	names := r.Header.Values(h.config.Headers.User)
	if len(names) != 1 || names[0] == "" {
		return nil
	}
	v := &visitor{name: names[0], email: r.Header.Get(h.config.Headers.Email)}
	for role := range strings.SplitSeq(r.Header.Get(h.config.Headers.Roles), ",") {
		if role = strings.TrimSpace(role); role != "" {
			v.roles = append(v.roles, role)
		}
	}
	return v
}

// visit is one browser's stay: it carries a message from the request that did something to the page after it.
type visit struct {
	mu     sync.Mutex
	person string
	notice string
}

func (v *visit) say(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.notice = text
}

// take returns the waiting message and forgets it.
func (v *visit) take() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	text := v.notice
	v.notice = ""
	return text
}

// maxVisits caps the remembered stays; the oldest makes room.
const maxVisits = 1000

type visits struct {
	mu    sync.Mutex
	byKey map[string]*visit
	order []string // keys, oldest first
}

func newVisits() *visits { return &visits{byKey: map[string]*visit{}} }

// find returns the stay that the request's cookie names, or begins one and sets the cookie. A cookie that
// belongs to somebody else, left in a shared browser, is never continued.
func (vs *visits) find(w http.ResponseWriter, r *http.Request, person string) *visit {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if known := vs.byKey[cookie.Value]; known != nil && known.person == person {
			return known
		}
	}
	if len(vs.order) >= maxVisits {
		delete(vs.byKey, vs.order[0])
		vs.order = slices.Delete(vs.order, 0, 1)
	}
	key, fresh := rand.Text(), &visit{person: person}
	vs.byKey[key] = fresh
	vs.order = append(vs.order, key)
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: key, Path: "/"})
	return fresh
}
