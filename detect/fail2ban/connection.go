package fail2ban

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// connection is what is known of a failure, or of all lines with the same F-MLFID.
type connection struct {
	fields  fields
	name    string   // of the first user
	several bool     // there was another one
	lines   evidence // that were failures
	waiting evidence // of no failure yet
	pending bool     // a failure without an address so far
	first   time.Time
}

// named tells whether an address or a name was found.
func (c *connection) named() bool {
	for _, name := range []string{"ip4", "ip6", "dns"} {
		if _, ok := c.fields.get(name); ok {
			return true
		}
	}
	return false
}

// host is the address or the name that was found; raw when it is no address.
func (c *connection) host() (text string, v6, raw bool) {
	if v, ok := c.fields.get("ip4"); ok {
		return v, false, false
	}
	if v, ok := c.fields.get("ip6"); ok {
		return v, true, false
	}
	v, _ := c.fields.get("dns")
	return v, false, true
}

// user notes a user; own: the name is copied.
func (c *connection) user(name string, own bool) {
	switch {
	case name == "":
	case c.name != "":
		c.several = c.several || c.name != name
	case own:
		c.name = strings.Clone(name)
	default:
		c.name = name
	}
}

// connect joins what a line says to what is known of its connection. A line can be no failure by itself (nofail) and yet tell the
// address; it can say that the connection ends (mlfforget), and that the person got in (mlfgained), which clears what was pending,
// unless it took several users to get there.
func (r *run) connect(id string, now *connection, m *hit) *connection {
	gained, noFail, cleared := false, false, false
	if v, _ := now.fields.get("mlfgained"); v != "" {
		gained, noFail = true, true
		if old, _ := now.fields.get("nofail"); old == "" {
			now.fields.put("nofail", v)
		}
	} else if v, _ := now.fields.get("nofail"); v != "" {
		noFail = true
	}
	forget := now.fields.take("mlfforget") != ""
	user, _ := now.fields.get("user")
	if len(user) > maxKept {
		user = strings.ToValidUTF8(user[:maxKept], "") // what is compared is what is kept
	}
	if len(id) > maxKept {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	own := r.long // else what is kept would hold a long line
	users := false
	c, known := r.f.open.get(id, r.now)
	switch {
	case known:
		c.user(user, own)
		if c.fields.take("nofail") != "" {
			cleared = true
		}
		if c.fields.take("mlfgained") != "" {
			cleared = true
		}
		if gained {
			c.pending = false
		}
		if !cleared && !c.pending {
			c.lines = nil
		}
		r.f.scratch[3] = now.fields.kept(r.f.scratch[3], own)
		c.fields.join(r.f.scratch[3])
		users = c.several
		if forget {
			r.f.open.remove(id)
		}
	case !forget:
		c = r.f.open.fresh(now)
		c.fields = now.fields.kept(c.fields, own)
		if own {
			id = strings.Clone(id)
		}
		c.user(user, own)
		users = c.several
		c.first = r.now
		r.f.Count.Evicted += r.f.open.set(id, c, r.now)
	default:
		c = now
	}
	if c.pending || users {
		c.pending = false
		c.fields.take("nofail")
		c.fields.take("mlfgained")
		gained, noFail = false, false
	}
	r.gather(c, m, gained, noFail, forget)
	return c
}

// gather keeps the lines, if they are told: those of a failure, and those that wait for one.
func (r *run) gather(c *connection, m *hit, gained, noFail, forget bool) {
	switch {
	case r.f.options.NoCaptures:
	case !noFail:
		lines := c.waiting
		c.waiting = nil
		lines.join(c.lines)
		if !gained {
			lines.add(m.matched)
		}
		c.lines = lines
	case !forget:
		c.waiting.add(m.matched)
	}
}

// connectionCache keeps connections by their id, first in first out, as fail2ban's cache does.
type connectionCache struct {
	byID  map[string]*connection
	order []string // in the memory, which they go through again and again

	memory []string
	spare  []*connection // that were let go: memory for others
}

func newConnectionCache() *connectionCache {
	memory := make([]string, 0, 2*connections)
	return &connectionCache{byID: map[string]*connection{}, memory: memory, order: memory}
}

// fresh is a copy of a connection that can be kept, but for its fields: they are memory to be overwritten.
func (c *connectionCache) fresh(of *connection) *connection {
	n := len(c.spare)
	if n == 0 {
		kept := *of
		kept.fields = nil
		return &kept
	}
	kept := c.spare[n-1]
	c.spare = c.spare[:n-1]
	memory := kept.fields
	*kept = *of
	kept.fields = memory
	return kept
}

// letGo keeps a connection's memory. It may be looked at until the next one is made.
func (c *connectionCache) letGo(old *connection) {
	if len(c.spare) < maxSpare {
		c.spare = append(c.spare, old)
	}
}

func (c *connectionCache) get(id string, now time.Time) (*connection, bool) {
	v, ok := c.byID[id]
	if !ok {
		return nil, false
	}
	if expired(v.first, now) {
		c.remove(id)
		return nil, false
	}
	return v, true
}

func (c *connectionCache) remove(id string) {
	old, ok := c.byID[id]
	if !ok {
		return
	}
	c.letGo(old)
	delete(c.byID, id)
	if i := slices.Index(c.order, id); i >= 0 {
		c.order = slices.Delete(c.order, i, i+1)
	}
}

// set adds a connection. When the cache is full, the eldest are forgotten: all that expired, and one that did not. How many of those
// were still alive is returned.
func (c *connectionCache) set(id string, v *connection, now time.Time) (evicted int) {
	if len(c.order) >= connections {
		for len(c.order) > 0 {
			eldest := c.byID[c.order[0]]
			c.letGo(eldest)
			delete(c.byID, c.order[0])
			c.order = c.order[1:]
			if !expired(eldest.first, now) {
				evicted++
				break
			}
		}
	}
	if _, ok := c.byID[id]; !ok {
		if len(c.order) == cap(c.order) {
			c.order = append(c.memory[:0], c.order...)
		}
		c.order = append(c.order, id)
	}
	c.byID[id] = v
	return evicted
}
