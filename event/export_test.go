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
