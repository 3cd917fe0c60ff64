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
	var key limiterKey
	if x.session != nil {
		key.session = x.session.ID
	} else {
		key.address = limitAddress(x.client)
	}
	return l.takeKey(key, now.Sub(l.started))
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
// signed in. One stranger's address gets an eighth of it: slow bodies for the sign-in page, which everybody
// may send, could otherwise keep everybody from signing in at no cost.
type inFlight struct {
	max       atomic.Int64
	total     atomic.Int64
	strangers atomic.Int64
	leave     func() // made once: a method value for each request would be an allocation

	mu        sync.Mutex
	byAddress map[netip.Addr]int64 // strangers' requests under way; never more entries than requests
}

// leastShare is what one address gets in any case: a browser asks for a page's files all at once.
const leastShare = 16

func newInFlight(limit int) *inFlight {
	f := &inFlight{byAddress: make(map[netip.Addr]int64)}
	f.leave = func() { f.total.Add(-1) }
	f.configure(limit)
	return f
}

// configure changes the cap; requests under way stay.
func (f *inFlight) configure(limit int) { f.max.Store(int64(limit)) }

// enter takes a place, for a stranger one of its address's. The caller must call release once, when the
// request is over.
func (f *inFlight) enter(signedIn bool, client netip.Addr) (release func(), ok bool) {
	limit := f.max.Load()
	release = f.leave
	if !signedIn {
		client = limitAddress(client)
		if !f.enterStranger(client, limit) {
			return nil, false
		}
		release = func() { f.leaveStranger(client); f.total.Add(-1) }
	}
	if f.total.Add(1) > limit {
		release()
		return nil, false
	}
	return release, true
}

func (f *inFlight) enterStranger(client netip.Addr, limit int64) bool {
	if f.strangers.Add(1) > max(1, limit*3/4) {
		f.strangers.Add(-1)
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.byAddress[client]; n < max(leastShare, limit/8) {
		f.byAddress[client] = n + 1
		return true
	}
	f.strangers.Add(-1)
	return false
}

func (f *inFlight) leaveStranger(client netip.Addr) {
	f.mu.Lock()
	if n := f.byAddress[client]; n > 1 {
		f.byAddress[client] = n - 1
	} else {
		delete(f.byAddress, client)
	}
	f.mu.Unlock()
	f.strangers.Add(-1)
}
