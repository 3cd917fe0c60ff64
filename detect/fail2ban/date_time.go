package fail2ban

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

const unknown = math.MinInt // a part of a date that the line does not state

// stated holds what a line states of its time.
type stated struct {
	year, month, day      int
	hour, minute, second  int
	weekday, yearday      int // Monday is 0
	week                  int
	weekMonday            bool // weeks begin on Monday
	zone                  int  // minutes
	today, thisYear, wrap bool // what was assumed, and whether the assumption went a year or a day back
}

// time reads the time from a match; false if it states none that exists, such as 30 February or a second 60.
func (d *Dates) time(t *template, m *pyre.Match, now time.Time) (at time.Time, assumed stated, ok bool) {
	switch t.kind {
	case epochTemplate, longEpochTemplate:
		text, _ := m.Group(t.group)
		at, ok = epoch(text, t.kind == longEpochTemplate)
		return at, assumed, ok
	case tai64nTemplate:
		text, _ := m.Group(1)
		if len(text) < 17 {
			return at, assumed, false
		}
		seconds, err := strconv.ParseInt(text[2:17], 16, 64)
		return time.Unix(seconds, 0).In(d.location), assumed, err == nil
	}
	s := stated{year: unknown, month: unknown, day: unknown, weekday: unknown, yearday: unknown, week: unknown, zone: unknown}
	for g := 1; g < len(t.fields); g++ {
		if t.fields[g] == "" {
			continue
		}
		if text, ok := m.Group(g); ok && !d.field(&s, t, m, t.fields[g], text) {
			return at, s, false
		}
	}
	at, ok = d.complete(&s, now)
	return at, s, ok
}

// epoch reads seconds since 1970; a long one may be milliseconds or microseconds.
func epoch(text string, long bool) (time.Time, bool) {
	ascii := strings.Map(func(r rune) rune {
		if v, ok := digit(r); ok {
			return '0' + rune(v)
		}
		return r
	}, text)
	v, err := strconv.ParseFloat(ascii, 64)
	if err != nil || math.Abs(v) > 1e17 {
		return time.Time{}, false
	}
	if long && len(ascii) >= 13 {
		if len(ascii) >= 16 && !strings.Contains(ascii, ".") {
			v /= 1e6
		} else {
			v /= 1e3
		}
	}
	whole := math.Floor(v)
	return time.Unix(int64(whole), int64(math.Round((v-whole)*1e6))*1000), true
}

// field takes one field of a date into s; false if its text means nothing.
func (d *Dates) field(s *stated, t *template, m *pyre.Match, name, text string) (ok bool) {
	ok = true
	switch name {
	case "y":
		if s.year, ok = number(text); s.year <= 2000 {
			s.year += 2000
		}
	case "Y":
		s.year, ok = number(text)
	case "m":
		s.month, ok = number(text)
	case "b", "B":
		s.month, ok = position(d.months, text, name == "b")
		s.month++
	case "d":
		s.day, ok = number(text)
	case "H":
		s.hour, ok = number(text)
	case "I":
		s.hour, ok = hour12(t, m, text)
	case "M":
		s.minute, ok = number(text)
	case "S":
		s.second, ok = number(text)
	case "a", "A":
		s.weekday, ok = position(d.weekdays, text, name == "a")
	case "w":
		s.weekday, ok = number(text)
		s.weekday = (s.weekday + 6) % 7
	case "j":
		s.yearday, ok = number(text)
	case "U", "W":
		s.week, ok = number(text)
		s.weekMonday = name == "W"
	case "z", "Z":
		var err error
		s.zone, err = parseZone(d.zones, text)
		ok = err == nil
	}
	return ok
}

// hour12 is the hour of a clock of 12 hours; without am or pm it is taken as am.
func hour12(t *template, m *pyre.Match, text string) (int, bool) {
	hour, ok := number(text)
	half := ""
	if t.re.Index("p") >= 0 {
		var stated bool
		if half, stated = m.Named("p"); !stated {
			return 0, false
		}
	}
	switch half = strings.ToLower(half); {
	case hour == 12 && half != "pm":
		hour = 0
	case hour != 12 && half == "pm":
		hour += 12
	}
	return hour, ok
}

// position returns the place of a name in a list, whose names are cut to three letters if short is true.
func position(names []string, text string, short bool) (int, bool) {
	for i, name := range names {
		if short {
			name = name[:3]
		}
		if len(text) == len(name) && strings.ToLower(text) == name {
			return i, true
		}
	}
	return 0, false
}

// number reads digits of any script, as Python's int does, with spaces around.
func number(text string) (int, bool) {
	v := 0
	for _, r := range strings.TrimSpace(text) {
		d, ok := digit(r)
		if !ok || v > 1e6 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, strings.TrimSpace(text) != ""
}

func digit(r rune) (int, bool) {
	if r >= '0' && r <= '9' {
		return int(r - '0'), true
	}
	if r < 0x80 || !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	for _, part := range unicode.Nd.R16 {
		if rune(part.Lo) <= r && r <= rune(part.Hi) {
			return int(r-rune(part.Lo)) % 10, true
		}
	}
	for _, part := range unicode.Nd.R32 {
		if rune(part.Lo) <= r && r <= rune(part.Hi) {
			return int(r-rune(part.Lo)) % 10, true
		}
	}
	return 0, false
}

// complete makes a time of what a line states. As fail2ban does it, the clock on the wall counts in comparisons with
// now, even when the line names another zone: a date of tomorrow is accepted if the year is not stated, a later one is
// of last year; a time without a date that is still to come is of yesterday.
func (d *Dates) complete(s *stated, now time.Time) (time.Time, bool) {
	wall := now.In(d.location)
	wall = time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
	if s.year == unknown {
		s.year, s.thisYear = wall.Year(), true
	}
	if s.month == unknown || s.day == unknown {
		s.dayOfYear()
	}
	if s.month == unknown && s.day == unknown {
		s.month, s.day, s.today = int(wall.Month()), wall.Day(), true
	}
	if !exists(s.year, s.month, s.day) || s.hour > 23 || s.minute > 59 || s.second > 59 {
		return time.Time{}, false
	}
	at := time.Date(s.year, time.Month(s.month), s.day, s.hour, s.minute, s.second, 0, time.UTC)
	zone := s.zone
	if zone == unknown {
		zone = d.zone
	}
	if zone != unknown {
		at = at.Add(-time.Duration(zone) * time.Minute)
	}
	if s.today && at.After(wall) {
		at, s.wrap = at.AddDate(0, 0, -1), true
	}
	if s.thisYear && at.After(wall.Add(24*time.Hour)) {
		if !exists(s.year-1, s.month, s.day) {
			return time.Time{}, false
		}
		at, s.wrap = time.Date(s.year-1, time.Month(s.month), s.day, at.Hour(), at.Minute(), at.Second(), 0, time.UTC), true
	}
	if zone != unknown {
		return at, true
	}
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, d.location), true
}

// dayOfYear finds month and day from the day of the year, or from the week and the weekday.
func (s *stated) dayOfYear() {
	if s.yearday == unknown && s.week != unknown && s.weekday != unknown {
		first, weekday := (int(time.Date(s.year, 1, 1, 0, 0, 0, 0, time.UTC).Weekday())+6)%7, s.weekday
		if !s.weekMonday {
			first, weekday = (first+1)%7, (weekday+1)%7
		}
		if s.week == 0 {
			s.yearday = 1 + weekday - first
		} else {
			s.yearday = 1 + (7-first)%7 + 7*(s.week-1) + weekday
		}
	}
	if s.yearday != unknown && s.year > 0 {
		at := time.Date(s.year, 1, s.yearday, 0, 0, 0, 0, time.UTC)
		s.year, s.month, s.day = at.Year(), int(at.Month()), at.Day()
	}
}

func exists(year, month, day int) bool {
	if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 {
		return false
	}
	return day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
