package auth

import "time"

// stamp is one moment on two clocks: the wall clock, which survives a restart but can be set back or stand
// wrong, and the monotonic one, which cannot be set but stops while the machine sleeps.
type stamp struct {
	wall int64 // nanoseconds since 1970
	mono int64 // nanoseconds since this Auth was made
}

func (a *Auth) stamp(now time.Time) stamp {
	return stamp{wall: now.UnixNano(), mono: int64(now.Sub(a.base))}
}

// since returns how long ago the earlier moment was: whichever clock says longer, so that neither setting
// the clock back nor a sleep of the machine lengthens a session or a wait for good.
func (s stamp) since(earlier stamp) time.Duration {
	return time.Duration(max(s.wall-earlier.wall, s.mono-earlier.mono))
}

// ago is the moment d before s on both clocks.
func (s stamp) ago(d time.Duration) stamp {
	return stamp{wall: s.wall - int64(d), mono: s.mono - int64(d)}
}
