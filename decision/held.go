package decision

import (
	"container/heap"
	"time"
)

// place is what one decision stands for: there is at most one of an action for a target.
type place struct {
	target Target
	action Action
}

// held is a decision in memory, with its place in the order of ends.
type held struct {
	d     *Decision // never changed; a change puts another here
	index int
}

// book is all standing decisions in memory. The owner locks.
type book struct {
	places    map[place]*held
	ids       map[string]*held
	ends      endings
	spoofable map[place]struct{} // their number is capped
	accounts  map[place]struct{} // theirs too: a change copies the names
	forGood   int                // decisions without an end: only a person takes them away
}

func newBook(size int) *book {
	return &book{places: make(map[place]*held, size), ids: make(map[string]*held, size), ends: make(endings, 0, size), spoofable: make(map[place]struct{}), accounts: make(map[place]struct{})}
}

func (b *book) get(p place) *Decision {
	if h := b.places[p]; h != nil {
		return h.d
	}
	return nil
}

// put takes d in, in the place of what stood there.
func (b *book) put(d *Decision) {
	p := place{d.Target, d.Action}
	h := b.places[p]
	if h == nil {
		h = &held{d: d}
		b.places[p] = h
		heap.Push(&b.ends, h)
	} else {
		delete(b.ids, h.d.ID)
		if h.d.Until.IsZero() {
			b.forGood--
		}
		h.d = d
		heap.Fix(&b.ends, h.index)
	}
	if d.Until.IsZero() {
		b.forGood++
	}
	b.ids[d.ID] = h
	if d.Spoofable {
		b.spoofable[p] = struct{}{}
	} else {
		delete(b.spoofable, p)
	}
	if d.Target.Kind == Account {
		b.accounts[p] = struct{}{}
	}
}

// soonest is the one of a set that ends first.
func (b *book) soonest(set map[place]struct{}) *Decision {
	var first *Decision
	for p := range set {
		if d := b.get(p); first == nil || endsBefore(d, first) {
			first = d
		}
	}
	return first
}

// remove takes out what stands at p.
func (b *book) remove(p place) {
	h := b.places[p]
	if h == nil {
		return
	}
	heap.Remove(&b.ends, h.index)
	if h.d.Until.IsZero() {
		b.forGood--
	}
	delete(b.places, p)
	delete(b.ids, h.d.ID)
	delete(b.spoofable, p)
	delete(b.accounts, p)
}

// expired returns up to n decisions that have ended by now.
func (b *book) expired(now time.Time, n int) []*Decision {
	var out []*Decision
	for len(b.ends) > 0 && len(out) < n && !b.ends[0].d.Active(now) {
		d := b.ends[0].d
		b.remove(place{d.Target, d.Action})
		out = append(out, d)
	}
	return out
}

// endings orders decisions by their end; those for good are last, the oldest first.
type endings []*held

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return endsBefore(e[i].d, e[j].d) }
func (e endings) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].index, e[j].index = i, j
}

// Push is heap.Interface's.
func (e *endings) Push(x any) {
	h, ok := x.(*held)
	if !ok {
		return // not reached: only put calls it
	}
	h.index = len(*e)
	*e = append(*e, h)
}

// Pop is heap.Interface's.
func (e *endings) Pop() any {
	last := len(*e) - 1
	h := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	return h
}

func endsBefore(a, b *Decision) bool {
	switch {
	case a.Until.Equal(b.Until):
		return a.Number < b.Number
	case a.Until.IsZero():
		return false
	case b.Until.IsZero():
		return true
	}
	return a.Until.Before(b.Until)
}
