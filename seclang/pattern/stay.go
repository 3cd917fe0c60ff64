package pattern

import "sync/atomic"

const (
	// longText is from where on it pays to know which bytes change nothing.
	longText = 2048
	// stayAfter is how many bytes that changed nothing are looked up before that is found out.
	stayAfter = 32
	// stayGain is how many bytes must be passed over, or it is tried half as often.
	stayGain = 512
)

// stayer passes over bytes that do not lead away from a state. Most bytes of a long text are such for most expressions,
// and to pass over one does not wait for the look-up of the one before.
type stayer struct {
	on    [256]bool
	state uint32
	seen  int
	every int
	gain  int
}

// passes counts a byte that changed nothing, and says whether on is of this state.
func (k *stayer) passes(l *lazy, next []uint32, state uint32) bool {
	if k.seen++; k.seen < k.every {
		return k.state == state
	}
	if k.gain < stayGain && k.state != 0 {
		k.every *= 2
	}
	k.seen, k.gain, k.state = 0, 0, state
	for b := range k.on {
		k.on[b] = b < l.wide && atomic.LoadUint32(&next[state+uint32(l.low[b])]) == state
	}
	return true
}
