package event

import "time"

// Stored is e after cleaning at the moment now, encoding and reading back, and how many texts were cleaned
// and cut.
func Stored(e Event, now time.Time) (Event, uint64, uint64, error) {
	var c cleaner
	c.clean(&e, now, oldestKept(now, defaultDays).time())
	n := newEncoder()
	n.add(&e)
	got, err := n.rows[0].event()
	return got, c.cleaned, c.truncated, err
}

// Reread reads fields and raw line from bytes that a damaged file may hold.
func Reread(extra []byte) (Event, error) {
	r := row{extra: extra}
	return r.event()
}

// Keys are the field keys with a code.
func Keys() []string { return keys() }

// StoredLists are the summaries of a few rows as they are stored.
func StoredLists() []byte {
	var l lists
	for _, r := range []row{{source: "203.0.113.1", user: "ada", action: "GET", path: "/a"}, {source: "2001:db8::1", kind: 2*kindUnit*kindUnit + 3*kindUnit, action: "POST"}} {
		l.count(&r)
	}
	return l.append(nil)
}

// StoredArrivals are a few rows as a batch keeps them.
func StoredArrivals() []byte {
	return appendArrivals(nil, []row{{at: 1, tail: 5}, {at: 1_000_000, tail: 3}, {at: 7, tail: tailMask}})
}

// RereadLists reads stored summaries, which may be damaged, and returns the most values that one of them holds.
func RereadLists(b []byte) (most int) {
	var l lists
	_ = l.mergeFrom(b) // what it says is another test's
	for i := range l {
		l[i].flush()
		most = max(most, len(l[i].counts))
	}
	return most
}

// RereadArrivals reads a batch's rows, which may be damaged, and returns how many there are.
func RereadArrivals(b []byte) int {
	rows, _ := readArrivals(b)
	return len(rows)
}
