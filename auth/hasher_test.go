package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/auth"
)

// queue is a hasher whose callers hold their turn for a second each.
type queue struct {
	auth.Hasher
	all  sync.WaitGroup
	mu   sync.Mutex
	done []string // the names of those who had their turn, in order
	busy []string // and of those who were turned away
	most int      // running at once
}

func newQueue(atOnce, size int, wait time.Duration) *queue {
	return &queue{Hasher: auth.NewHasher(auth.HashConfig{AtOnce: atOnce, Queue: size, QueueWait: wait})}
}

// come joins the queue and returns when it stands in it, runs, or was turned away.
func (q *queue) come(name, address string) {
	q.all.Go(func() {
		release, err := q.Acquire(context.Background(), netip.MustParsePrefix(address))
		q.mu.Lock()
		if err != nil {
			q.busy = append(q.busy, name)
			q.mu.Unlock()
			return
		}
		running, _, _, _ := q.Load()
		q.most = max(q.most, running)
		q.done = append(q.done, name)
		q.mu.Unlock()
		time.Sleep(time.Second)
		release()
	})
	synctest.Wait()
}

func TestQueueOneAddressCannotFillIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, 8, time.Minute)
		for range 100 {
			q.come("flood", "198.51.100.1/32")
		}
		q.come("zoe", "192.0.2.1/32")
		if _, queued, _, _ := q.Load(); queued != 4 { // half of 8; zoe runs at once, beside the flood's one
			t.Errorf("%d wait, want 4", queued)
		}
		q.all.Wait()
		if len(q.busy) != 95 || slices.Contains(q.busy, "zoe") {
			t.Errorf("%d were turned away, zoe among them: %t; want 95 without zoe", len(q.busy), slices.Contains(q.busy, "zoe"))
		}
		if i := slices.Index(q.done, "zoe"); i != 1 {
			t.Errorf("zoe was number %d, want 1", i)
		}
	})
}

func TestQueueTurnsGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 64, time.Minute)
		for _, name := range []string{"a1", "a2", "a3", "a4"} {
			q.come(name, "198.51.100.1/32")
		}
		for _, name := range []string{"b1", "b2"} {
			q.come(name, "2001:db8::/64")
		}
		q.come("c1", "192.0.2.1/32")
		q.all.Wait()
		if want := []string{"a1", "a2", "b1", "c1", "a3", "b2", "a4"}; !slices.Equal(q.done, want) {
			t.Errorf("turns %v, want %v", q.done, want)
		}
	})
}

func TestQueueOneTurnAtATimeForAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, 64, time.Minute)
		for range 6 {
			q.come("a", "198.51.100.1/32")
		}
		q.all.Wait()
		if q.most != 1 || len(q.done) != 6 {
			t.Errorf("one address had %d turns at once and %d in all, want 1 and 6", q.most, len(q.done))
		}
		for _, address := range []string{"198.51.100.2/32", "198.51.100.3/32", "198.51.100.4/32"} {
			q.come(address, address)
		}
		q.all.Wait()
		if q.most != 2 {
			t.Errorf("three addresses had %d turns at once, want 2", q.most)
		}
	})
}

// Many addresses can fill the queue, but each newcomer still displaces the last of the longest line.
func TestQueueFullMakesRoomForTheShorterLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 8, time.Minute)
		for _, address := range []string{"198.51.100.1/32", "198.51.100.2/32", "198.51.100.3/32", "198.51.100.4/32", "198.51.100.5/32"} {
			for range 9 {
				q.come(address, address)
			}
		}
		if _, queued, _, _ := q.Load(); queued != 8 {
			t.Fatalf("%d wait, want 8", queued)
		}
		before := len(q.busy)
		q.come("zoe", "192.0.2.1/32")
		if slices.Contains(q.busy, "zoe") || len(q.busy) != before+1 {
			t.Errorf("turned away when zoe came: %v, want one that is not zoe", q.busy[before:])
		}
		q.all.Wait()
		if !slices.Contains(q.done, "zoe") {
			t.Errorf("zoe had no turn; turned away: %v", q.busy)
		}
	})
}

// When each of the queue's places is another stranger's, a familiar address still comes in, and a
// stranger does not.
func TestQueueFullOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 4, time.Minute)
		q.Know(netip.MustParsePrefix("192.0.2.1/32"))
		for _, address := range []string{"198.51.100.1/32", "198.51.100.2/32", "198.51.100.3/32", "198.51.100.4/32", "198.51.100.5/32"} {
			q.come(address, address)
		}
		q.come("stranger", "198.51.100.6/32")
		if !slices.Contains(q.busy, "stranger") {
			t.Errorf("a stranger found a place in a queue full of strangers")
		}
		q.come("zoe", "192.0.2.1/32")
		q.all.Wait()
		if i := slices.Index(q.done, "zoe"); i < 0 || i > 2 {
			t.Errorf("turns %v, turned away %v: want zoe after two at most", q.done, q.busy)
		}
	})
}

// Familiar addresses go first only every second time: they cannot keep newcomers out.
func TestQueueFamiliarDoNotStarveStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 64, time.Minute)
		q.come("first", "198.51.100.9/32")
		for _, address := range []string{"192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32"} {
			q.Know(netip.MustParsePrefix(address))
			for range 8 {
				q.come("familiar", address)
			}
		}
		q.come("stranger", "198.51.100.1/32")
		q.all.Wait()
		if i := slices.Index(q.done, "stranger"); i < 0 || i > 10 {
			t.Errorf("the stranger was number %d of %d, want 10 at most", i, len(q.done))
		}
	})
}

func TestQueueWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 64, 3*time.Second)
		began := time.Now()
		for i := range 9 {
			q.come("x", netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32).String())
		}
		q.all.Wait()
		if len(q.done) < 3 || len(q.done) > 4 || len(q.busy) != 9-len(q.done) {
			t.Errorf("%d had a turn and %d were turned away, want 3 or 4 of 9", len(q.done), len(q.busy))
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("it took %v, want at most the wait and one turn", d)
		}
		if running, queued, _, _ := q.Load(); running+queued != 0 {
			t.Errorf("%d run and %d wait after all left", running, queued)
		}
	})
}

func TestQueueLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 64, time.Minute)
		q.come("a", "192.0.2.1/32")
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := q.Acquire(ctx, netip.MustParsePrefix("192.0.2.2/32")); !errors.Is(err, context.Canceled) {
			t.Errorf("Acquire = %v, want the context's error", err)
		}
		if _, queued, _, _ := q.Load(); queued != 0 {
			t.Errorf("%d wait, want nobody", queued)
		}
		q.all.Wait()
	})
}
