package decision

import (
	"net/netip"
	"time"

	"github.com/gaissmai/bart"
)

// snapshot is the list as those who enforce read it: nothing in it ever changes, so that reading takes no lock.
type snapshot struct {
	prefixes   *bart.Table[*slot]
	accounts   map[string]*slot
	countries  map[string]*slot
	generation uint64
}

// slot holds the decisions about one target, by the rank of their action.
type slot [3]*Decision

func emptySnapshot() *snapshot { return &snapshot{prefixes: &bart.Table[*slot]{}} }

// strongest is the slot's strongest active decision; nil for none.
func (s *slot) strongest(now time.Time) *Decision {
	if s == nil {
		return nil
	}
	for _, d := range s {
		if d != nil && d.Active(now) {
			return d
		}
	}
	return nil
}

// with returns the slot with d in its place, or without it; nil when nothing is left. The slot itself stays as it is.
func (s *slot) with(rank int, d *Decision) *slot {
	var next slot
	if s != nil {
		next = *s
	}
	next[rank] = d
	if next == (slot{}) {
		return nil
	}
	return &next
}

// lookup returns the strongest active decision of all networks that the address is in; nil for none.
func (s *snapshot) lookup(addr netip.Addr, now time.Time) *Decision {
	if !s.prefixes.Contains(addr) { // nearly everybody
		return nil
	}
	var found *Decision
	for _, held := range s.prefixes.Supernets(netip.PrefixFrom(addr, addr.BitLen())) {
		if d := held.strongest(now); d != nil && (found == nil || d.Action.rank() < found.Action.rank()) {
			found = d
		}
	}
	return found
}

// draft is a snapshot that is being changed.
type draft struct {
	next              *snapshot
	accounts, country bool // own copies were made
	fresh             bool // prefixes are this draft's own, so that they can be changed in place
}

// few is up to how many changes a table is cheaper to change by copying what they touch than as a whole. What one of them copies holds about as
// many entries.
const few = 256

func (s *snapshot) draft(changes int) *draft {
	next := *s
	next.generation++
	d := &draft{next: &next}
	if changes > few || changes*few > s.prefixes.Size() {
		next.prefixes, d.fresh = s.prefixes.Clone(), true
	}
	return d
}

// put sets the decision of a target and action; nil takes it out.
func (d *draft) put(t Target, a Action, to *Decision) {
	switch t.Kind {
	case Account:
		if !d.accounts {
			d.next.accounts, d.accounts = copied(d.next.accounts), true
		}
		putName(d.next.accounts, t.Name, a, to)
	case Country:
		if !d.country {
			d.next.countries, d.country = copied(d.next.countries), true
		}
		putName(d.next.countries, t.Name, a, to)
	default:
		d.putPrefix(t.Prefix, a, to)
	}
}

func (d *draft) putPrefix(p netip.Prefix, a Action, to *Decision) {
	old, _ := d.next.prefixes.Get(p)
	next := old.with(a.rank(), to)
	switch {
	case next == nil && d.fresh:
		d.next.prefixes.Delete(p)
	case next == nil:
		d.next.prefixes = d.next.prefixes.DeletePersist(p)
	case d.fresh:
		d.next.prefixes.Insert(p, next)
	default:
		d.next.prefixes = d.next.prefixes.InsertPersist(p, next)
	}
}

func putName(m map[string]*slot, name string, a Action, to *Decision) {
	if next := m[name].with(a.rank(), to); next != nil {
		m[name] = next
	} else {
		delete(m, name)
	}
}

func copied(m map[string]*slot) map[string]*slot {
	next := make(map[string]*slot, len(m)+1)
	for name, held := range m {
		next[name] = held
	}
	return next
}
