package event_test

import (
	"testing"

	"github.com/doorward/doorward/event"
)

// FuzzStoredLists: a damaged day file gives an error, and neither a crash nor endless memory.
func FuzzStoredLists(f *testing.F) {
	f.Add(event.StoredLists(), event.StoredArrivals())
	f.Add([]byte{5, 0, 255, 255, 255, 255, 15}, []byte{1})
	f.Add([]byte{}, []byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, lists, arrivals []byte) {
		if values := event.RereadLists(lists); values > 1024 {
			t.Errorf("got %d values of one list, want 1024 at most", values)
		}
		if n := event.RereadArrivals(arrivals); n > len(arrivals) {
			t.Errorf("got %d rows of %d bytes", n, len(arrivals))
		}
	})
}
