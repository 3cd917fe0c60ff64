package fail2ban

import "time"

// newDates is the finder of dates for a filter. given: the filter or the jail states a datepattern.
func newDates(pattern string, given bool, o Options) (*Dates, error) {
	var patterns []string
	if given {
		patterns = []string{pattern}
	}
	local := o.Local
	if local == nil {
		local = time.UTC
	}
	return NewDates(patterns, DateOptions{Location: local, Zone: o.LogTimezone, Now: o.Now})
}
