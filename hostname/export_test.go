package hostname

import "time"

// CleanName is what is done to every name from outside.
var CleanName = cleanName

// Caps of a Resolver.
const (
	MaxQueue  = maxQueue
	MaxUrgent = maxUrgent
	MaxNames  = maxNames
)

// SetClock makes the Resolver ask now for the time.
func (r *Resolver) SetClock(now func() time.Time) { r.now = now }

// ShrinkCache makes the cache's cap reachable.
func (r *Resolver) ShrinkCache(size int) { r.cache.max = size }

// Pace spreads look-ups.
type Pace struct{ pace }

// NewPace makes one.
func NewPace(every time.Duration) *Pace { return &Pace{pace{every: every}} }

// Reserve takes the next turn and returns how long from now it is.
func (p *Pace) Reserve(now time.Time) time.Duration { return p.reserve(now) }
