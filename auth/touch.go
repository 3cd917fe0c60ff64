package auth

import "time"

// Touch notes that the session was used, as Session does. It is for a caller that looked the session up with
// PollSession and found out afterwards that a person made the request.
func (a *Auth) Touch(s *Session, now time.Time) { s.touch(a.stamp(now)) }
