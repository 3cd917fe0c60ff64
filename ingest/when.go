package ingest

import (
	"strings"
	"time"
)

// ahead is how far a date without a year may lie ahead of now, where clocks differ or were set back, before it is one of last year.
const ahead = 24 * time.Hour

// readTime reads a date as logs write it, in one of these ways: RFC 3339 and ISO 8601 (with a blank or T, a comma or a point
// before the fraction, with a zone or in local), 2026/11/25 18:57:50, 25/Nov/2026:18:57:50 +0100, 25-Nov-2026 18:57:50 Europe/Rome, Nov 25 18:57:50 and
// Wed Nov 25 18:57:50.123 2026. Without a year it is the latest that is not after now (and a day, see ahead).
func readTime(s string, local *time.Location, now time.Time) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	if s[0] < '0' || s[0] > '9' {
		return namedTime(s, local, now)
	}
	if len(s) > 6 && s[2] == '/' && s[6] == '/' {
		return clfTime(s)
	}
	if len(s) > 6 && s[2] == '-' && s[6] == '-' {
		return phpTime(s, local)
	}
	return isoTime(s, local)
}

// digits reads n digits.
func digits(s string, n int) (int, bool) {
	if len(s) < n {
		return 0, false
	}
	v := 0
	for i := range n {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		v = v*10 + int(c)
	}
	return v, true
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

func month(s string) (time.Month, bool) {
	if len(s) < 3 {
		return 0, false
	}
	i := strings.Index(months, s[:3])
	return time.Month(i/3 + 1), i >= 0 && i%3 == 0
}

// clock reads 18:57:50 with an optional fraction, and returns what follows.
func clock(s string) (hour, minute, second, nanos int, rest string, ok bool) {
	var a, b, c bool
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, 0, 0, 0, "", false
	}
	hour, a = digits(s, 2)
	minute, b = digits(s[3:], 2)
	second, c = digits(s[6:], 2)
	rest = s[8:]
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
		i, unit := 1, int(time.Second)/10
		for ; i < len(rest) && rest[i] >= '0' && rest[i] <= '9'; i++ {
			nanos += int(rest[i]-'0') * unit
			unit /= 10
		}
		rest = rest[i:]
	}
	return hour, minute, second, nanos, rest, a && b && c && hour < 24 && minute < 60 && second < 61
}

// zone reads what says the zone: nothing, Z, UTC, GMT, +01, +0100 or +01:00. Other names say nothing that can be relied on.
func zone(s string, local *time.Location) (*time.Location, bool) {
	s = strings.TrimPrefix(s, " ")
	switch s {
	case "":
		return local, true
	case "Z", "UTC", "GMT", "+0000", "+00:00":
		return time.UTC, true
	}
	if s[0] != '+' && s[0] != '-' {
		return local, len(s) <= 5 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" // CET and the like: the server's own
	}
	h, ok := digits(s[1:], 2)
	m, both := 0, true
	if rest := strings.TrimPrefix(s[min(3, len(s)):], ":"); rest != "" {
		m, both = digits(rest, 2)
		both = both && len(rest) == 2
	}
	if !ok || !both || h > 14 || m > 59 {
		return nil, false
	}
	offset := h*3600 + m*60
	if s[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset), true
}

// isoTime reads 2026-11-25T18:57:50.123+01:00 and its relatives.
func isoTime(s string, local *time.Location) (time.Time, bool) {
	if len(s) < 19 || s[4] != s[7] || s[4] != '-' && s[4] != '/' || s[10] != 'T' && s[10] != ' ' {
		return time.Time{}, false
	}
	year, a := digits(s, 4)
	mon, b := digits(s[5:], 2)
	day, c := digits(s[8:], 2)
	h, m, sec, ns, rest, d := clock(s[11:])
	loc, e := zone(rest, local)
	if !(a && b && c && d && e) || mon < 1 || mon > 12 || !inMonth(year, time.Month(mon), day) {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(mon), day, h, m, sec, ns, loc), true
}

func clfTime(s string) (time.Time, bool) {
	if len(s) < 26 || s[11] != ':' {
		return time.Time{}, false
	}
	day, a := digits(s, 2)
	mon, b := month(s[3:])
	year, c := digits(s[7:], 4)
	h, m, sec, ns, rest, d := clock(s[12:])
	loc, e := zone(rest, time.UTC)
	if !(a && b && c && d && e) || !inMonth(year, mon, day) {
		return time.Time{}, false
	}
	return time.Date(year, mon, day, h, m, sec, ns, loc), true
}

// phpTime reads 25-Nov-2026 18:57:50, with the name of a zone or without.
func phpTime(s string, local *time.Location) (time.Time, bool) {
	if len(s) < 20 || s[11] != ' ' {
		return time.Time{}, false
	}
	day, a := digits(s, 2)
	mon, b := month(s[3:])
	year, c := digits(s[7:], 4)
	h, m, sec, ns, rest, d := clock(s[12:])
	loc, e := zone(rest, local)
	if !e && strings.Contains(rest, "/") {
		var err error
		loc, err = time.LoadLocation(strings.TrimSpace(rest)) // it takes no path out of its folder
		e = err == nil
	}
	if !(a && b && c && d && e) || !inMonth(year, mon, day) {
		return time.Time{}, false
	}
	return time.Date(year, mon, day, h, m, sec, ns, loc), true
}

// namedTime reads Nov 25 18:57:50 and Wed Nov 25 18:57:50 2026.
func namedTime(s string, local *time.Location, now time.Time) (time.Time, bool) {
	mon, ok := month(s)
	if !ok || len(s) < 4 || s[3] != ' ' {
		if len(s) < 8 || s[3] != ' ' || !strings.Contains("MonTueWedThuFriSatSun", s[:3]) {
			return time.Time{}, false
		}
		s = s[4:]
		if mon, ok = month(s); !ok || s[3] != ' ' {
			return time.Time{}, false
		}
	}
	s = strings.TrimLeft(s[4:], " ")
	n := strings.IndexByte(s, ' ')
	if n < 1 || n > 2 {
		return time.Time{}, false
	}
	day, ok := digits(s, n)
	h, m, sec, ns, rest, ok2 := clock(s[n+1:])
	if !ok || !ok2 {
		return time.Time{}, false
	}
	if rest != "" {
		year, ok := digits(strings.TrimPrefix(rest, " "), 4)
		if !ok || len(rest) != 5 || !inMonth(year, mon, day) {
			return time.Time{}, false
		}
		return time.Date(year, mon, day, h, m, sec, ns, local), true
	}
	limit := now.Add(ahead)
	for year := limit.In(local).Year(); year > limit.Year()-9; year-- { // nine: until a 29 February
		if !inMonth(year, mon, day) {
			continue
		}
		if t := time.Date(year, mon, day, h, m, sec, ns, local); !t.After(limit) {
			return t, true
		}
	}
	return time.Time{}, false
}

func inMonth(year int, mon time.Month, day int) bool {
	switch {
	case day < 1 || day > 31:
		return false
	case day <= 28:
		return true
	case mon == time.February:
		return day == 29 && (year%4 == 0 && year%100 != 0 || year%400 == 0)
	}
	return day < 31 || mon != time.April && mon != time.June && mon != time.September && mon != time.November
}
