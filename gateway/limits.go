package gateway

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	limiterShards   = 64
	maxLimiterKeys  = 1 << 17 // 131,072 clients; more only means that the least active are forgotten
	keysPerShard    = maxLimiterKeys / limiterShards
	evictionSamples = 8
)

// limiter is a token bucket for each client: its session, or else its address (IPv6 by /64, which is what one
// customer gets). The number of buckets is capped, because strangers choose the keys.
type limiter struct {
	rate    atomic.Pointer[bucketRate]
	seed    maphash.Seed
	started time.Time
	evicted atomic.Uint64
	shards  [limiterShards]limiterShard
}

type bucketRate struct{ perSecond, burst float64 }

// limiterKey has a session's id or an address.
type limiterKey struct {
	session string
	address netip.Addr
}

type limiterShard struct {
	mu      sync.Mutex
	buckets map[limiterKey]bucket
	_       [40]byte // a cache line of its own
}

// bucket holds tokens as of a moment since the limiter's start.
type bucket struct {
	tokens float64
	at     time.Duration
}

func newLimiter(cfg LimitsConfig) *limiter {
	l := &limiter{seed: maphash.MakeSeed(), started: time.Now()}
	for i := range l.shards {
		l.shards[i].buckets = make(map[limiterKey]bucket)
	}
	l.configure(cfg)
	return l
}

// configure changes the rate; buckets keep what they have, up to the new burst.
func (l *limiter) configure(cfg LimitsConfig) {
	l.rate.Store(&bucketRate{perSecond: cfg.RequestsPerSecond, burst: max(1, float64(cfg.Burst))})
}

// take takes a token for the exchange's client, or returns how long to wait for the next one.
func (l *limiter) take(x *exchange, now time.Time) time.Duration {
	return l.takeKey(keyOf(x), now.Sub(l.started))
}

// keyOf is whom the exchange counts for.
func keyOf(x *exchange) limiterKey {
	if x.session != nil {
		return limiterKey{session: x.session.ID}
	}
	return limiterKey{address: limitAddress(x.client)}
}

// spent says whether a client has no token left, and takes none.
func (l *limiter) spent(key limiterKey, now time.Time) bool {
	rate, at := l.rate.Load(), now.Sub(l.started)
	shard := &l.shards[maphash.Comparable(l.seed, key)%limiterShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	b, found := shard.buckets[key]
	return found && b.refilled(rate, at) < 1
}

func limitAddress(address netip.Addr) netip.Addr {
	if !address.Is6() {
		return address
	}
	prefix, err := address.WithZone("").Prefix(64)
	if err != nil {
		return address // not reached: 64 bits fit IPv6
	}
	return prefix.Addr()
}

// takeKey works with the time since the start, which does not run backwards when the clock is set.
func (l *limiter) takeKey(key limiterKey, at time.Duration) time.Duration {
	rate := l.rate.Load()
	shard := &l.shards[maphash.Comparable(l.seed, key)%limiterShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	b, found := shard.buckets[key]
	if !found {
		if len(shard.buckets) >= keysPerShard {
			shard.evict(rate, at)
			l.evicted.Add(1)
		}
		b = bucket{tokens: rate.burst, at: at}
	}
	b.tokens = b.refilled(rate, at)
	b.at = max(b.at, at)
	if b.tokens < 1 {
		shard.buckets[key] = b
		return time.Duration((1 - b.tokens) / rate.perSecond * float64(time.Second))
	}
	b.tokens--
	shard.buckets[key] = b
	return 0
}

func (b bucket) refilled(rate *bucketRate, at time.Duration) float64 {
	return min(rate.burst, b.tokens+max(0, (at-b.at).Seconds())*rate.perSecond)
}

// evict forgets the fullest of a few buckets: a full one is the same as none, and whoever is being limited
// is remembered longest. Map iteration begins at a random place.
func (s *limiterShard) evict(rate *bucketRate, at time.Duration) {
	var fullest limiterKey
	most, seen := -1.0, 0
	for key, b := range s.buckets {
		if tokens := b.refilled(rate, at); tokens > most {
			fullest, most = key, tokens
		}
		if seen++; seen == evictionSamples {
			break
		}
	}
	delete(s.buckets, fullest)
}

// inFlight sheds load: it caps the requests under way, and leaves a quarter of the room to those who are
// signed in. One client, a session or a stranger's address, gets an eighth of it: slow bodies for the sign-in
// page, which everybody may send, could otherwise keep everybody from signing in at no cost, and one account
// could keep everybody else from working.
type inFlight struct {
	max       atomic.Int64
	total     atomic.Int64
	strangers atomic.Int64

	mu       sync.Mutex
	byClient map[limiterKey]int64 // requests under way; never more entries than requests
}

// leastShare is what one client gets in any case: a browser asks for a page's files all at once.
const leastShare = 16

// shareOf is what one client gets of a cap on what all have together.
func shareOf(limit int64) int64 { return max(leastShare, limit/8) }

func newInFlight(limit int) *inFlight {
	f := &inFlight{byClient: make(map[limiterKey]int64)}
	f.configure(limit)
	return f
}

// configure changes the cap; requests under way stay.
func (f *inFlight) configure(limit int) { f.max.Store(int64(limit)) }

// enter takes a place for the client's request, or says why there is none. The caller must call leave once, when
// the request is over.
func (f *inFlight) enter(client limiterKey) *refusal {
	limit := f.max.Load()
	if !f.takeShare(client, shareOf(limit)) {
		return ownLoad()
	}
	if client.session == "" && f.strangers.Add(1) > max(1, limit*3/4) {
		f.strangers.Add(-1)
		f.giveShare(client)
		return overload("overload")
	}
	if f.total.Add(1) > limit {
		f.leave(client)
		return overload("overload")
	}
	return nil
}

// leave gives a place back.
func (f *inFlight) leave(client limiterKey) {
	f.total.Add(-1)
	if client.session == "" {
		f.strangers.Add(-1)
	}
	f.giveShare(client)
}

func (f *inFlight) takeShare(client limiterKey, share int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.byClient[client]
	if n >= share {
		return false
	}
	f.byClient[client] = n + 1
	return true
}

func (f *inFlight) giveShare(client limiterKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.byClient[client]; n > 1 {
		f.byClient[client] = n - 1
	} else {
		delete(f.byClient, client)
	}
}
