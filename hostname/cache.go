package hostname

import (
	"container/list"
	"net/netip"
	"time"
)

// entry is what is known of one address. Its fields are guarded by the Resolver's lock, but for addr and done.
type entry struct {
	addr    netip.Addr
	name    string
	state   State
	until   time.Time     // from when on it is to be looked up again
	started bool          // a worker has it
	done    chan struct{} // closed when state is no longer Pending
}

// cache holds entries by address; the one that was not asked for longest goes first when it is full, because strangers
// choose the keys. It knows no lock.
type cache struct {
	max     int
	entries map[netip.Addr]*list.Element
	order   *list.List // of *entry, the last used in front
	evicted uint64
}

func newCache(size int) cache {
	return cache{max: size, entries: make(map[netip.Addr]*list.Element), order: list.New()}
}

// get returns the entry of addr that is still good at now, or nil.
func (c *cache) get(addr netip.Addr, now time.Time) *entry {
	element, ok := c.entries[addr]
	if !ok {
		return nil
	}
	e, _ := element.Value.(*entry) // the list holds nothing else
	if e.state != Pending && !now.Before(e.until) {
		c.remove(element)
		return nil
	}
	c.order.MoveToFront(element)
	return e
}

// add takes e in, in the place of others if there is no room.
func (c *cache) add(e *entry) {
	for c.order.Len() >= c.max {
		c.remove(c.order.Back())
		c.evicted++
	}
	c.entries[e.addr] = c.order.PushFront(e)
}

func (c *cache) remove(element *list.Element) {
	if e, ok := c.order.Remove(element).(*entry); ok {
		delete(c.entries, e.addr)
	}
}

// clear forgets everything. Who waits for an entry still gets it.
func (c *cache) clear() {
	clear(c.entries)
	c.order.Init()
}
