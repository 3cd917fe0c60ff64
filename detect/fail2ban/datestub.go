package fail2ban

import "time"

type Dates struct{}

func newDates(pattern string, given bool, o Options) (*Dates, error) { return &Dates{}, nil }

func (d *Dates) find(text string, now time.Time) (found bool, start, end int, at time.Time, ok bool) {
	return false, 0, 0, time.Time{}, false
}

func (d *Dates) state() ([]byte, error)     { return nil, nil }
func (d *Dates) restore(state []byte) error { return nil }
