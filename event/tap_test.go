package event_test

import (
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
	"github.com/doorward/doorward/store/storetest"
)

// TestSerial: who reads a tap and the store knows of each event in the store whether the tap has told it, by its number; the numbers are in
// the order of the tap, whoever appends, and what stands before an end of the store was told before.
func TestSerial(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := start(t, db, event.Config{Dir: t.TempDir()})
		now := time.Now()
		day := now.UTC().Format(time.DateOnly)
		l.Append(request(now, 0)) // before there is a tap
		tap := l.Tap(10_000)
		if s := l.Serial(); s.Number != 0 {
			t.Errorf("before the first event the serial is %+v, want number 0", s)
		}
		flush(t, l)
		end, err := l.End(t.Context(), day)
		if err != nil || end.Batch == 0 {
			t.Errorf("the day ends at %+v, %v", end, err)
		}
		const writers, each = 8, 500
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for i := range each {
					l.Append(request(now, i))
				}
			})
		}
		all.Wait()
		flush(t, l)
		run := l.Serial().Run
		told := map[string]bool{}
		for want := uint32(1); want <= writers*each; want++ {
			e := *<-tap.Events()
			if s, ok := event.SerialOf(e.ID); !ok || s != (event.Serial{Run: run, Number: want}) {
				t.Fatalf("the tap tells %+v, %v, want number %d of %d", s, ok, want, run)
			}
			told[e.ID] = true
		}
		if s := l.Serial(); s.Number != writers*each {
			t.Errorf("the newest is %+v, want %d", s, writers*each)
		}
		for position, found := end, 0; ; {
			events, next, err := l.Feed(t.Context(), day, position, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if !told[e.ID] {
					t.Fatalf("%s is stored and was not told", e.ID)
				}
				found++
			}
			if position = next; len(events) == 0 {
				if found != writers*each {
					t.Errorf("%d events stand behind the end, want %d", found, writers*each)
				}
				break
			}
		}
		if end, err := l.End(t.Context(), "1999-12-31"); err != nil || end != (event.Position{}) {
			t.Errorf("a day that is not there ends at %+v, %v, want at the beginning", end, err)
		}
	})
}

// TestSerialAfter: numbers begin again.
func TestSerialAfter(t *testing.T) {
	const last = 1<<20 - 1
	for _, c := range []struct {
		a, b uint32
		want bool
	}{{1, 0, true}, {0, 1, false}, {5, 5, false}, {0, last, true}, {last, 0, false}, {3, last - 7, true}, {1 << 18, 1, true}} {
		if got := (event.Serial{Number: c.a}).After(c.b); got != c.want {
			t.Errorf("%d after %d: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
