package facts

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	timePart  = regexp.MustCompile(`(?i)^\s*([+-]?)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)`)
	timeUnits = []struct {
		names   []string
		seconds float64
	}{
		{[]string{"", "s", "ss", "sec", "secs", "second", "seconds"}, 1},
		{[]string{"m", "mm", "min", "mins", "minute", "minutes"}, 60},
		{[]string{"h", "hh", "hour", "hours"}, 3600},
		{[]string{"d", "dd", "da", "day", "days"}, 86400},
		{[]string{"w", "ww", "wee", "week", "weeks"}, 7 * 86400},
		{[]string{"mo", "mon", "month", "months"}, 2629800},
		{[]string{"y", "yy", "yea", "year", "years"}, 31557600},
	}
)

// fail2banSeconds reads a time as fail2ban does: seconds, or sums such as "1d 12h" and "1hour+30min". Its server would take any
// expression of Python; others than sums are an error here.
func fail2banSeconds(text string) (int64, error) {
	rest, sum := strings.TrimSpace(text), 0.0
	if rest == "" || len(rest) > 200 {
		return 0, fmt.Errorf("%q is no time", text)
	}
	for rest != "" {
		m := timePart.FindStringSubmatch(rest)
		if m == nil {
			return 0, fmt.Errorf("%q is no time", text)
		}
		n, err := strconv.ParseFloat(m[2], 64)
		unit := slices.IndexFunc(timeUnits, func(u struct {
			names   []string
			seconds float64
		}) bool {
			return slices.Contains(u.names, strings.ToLower(m[3]))
		})
		if err != nil || unit < 0 {
			return 0, fmt.Errorf("%q is no time", text)
		}
		n *= timeUnits[unit].seconds
		if m[1] == "-" {
			n = -n
		}
		sum += n
		rest = strings.TrimSpace(rest[len(m[0]):])
	}
	if sum > 1e15 || sum < -1e15 {
		return 0, fmt.Errorf("%q is no time", text)
	}
	return int64(sum), nil
}
