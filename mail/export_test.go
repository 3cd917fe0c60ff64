package mail

import "time"

// Compose is what goes to the server, for tests that look at the bytes.
func Compose(cfg Config, m Message, id string, now time.Time) (from, to string, text []byte, err error) {
	if m, err = m.check(now); err != nil {
		return "", "", nil, err
	}
	e, err := compose(cfg, m, id, now)
	return e.from, e.to, e.bytes, err
}
