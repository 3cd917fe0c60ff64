package fail2ban

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// forever is a span of fail2ban that means without end: any negative number.
const forever = time.Duration(-1)

// maxSpan is longer than anyone means and far from what a Duration can hold.
const maxSpan = 100 * 365 * 24 * time.Hour

// unit is how many seconds a word means; months and years are a leap cycle's mean. The short words are the first one or two letters.
func unit(word string) (float64, bool) {
	const day, year = 86400.0, (365*3 + 366) * 86400.0 / 4
	for _, u := range []struct {
		names   string
		seconds float64
	}{
		{"d dd da day days", day},
		{"w ww we wee week weeks", 7 * day},
		{"mo mon month months", year / 12},
		{"y yy ye yea year years", year},
		{"s ss se sec second seconds", 1},
		{"m mm mi min minute minutes", 60},
		{"h hh ho hou hour hours", 3600},
	} {
		for _, name := range strings.Fields(u.names) {
			if strings.EqualFold(word, name) {
				return u.seconds, true
			}
		}
	}
	return 0, false
}

// seconds reads a span as fail2ban writes it: "10m", "1d 2h", "1h+30min", "-1". The number of seconds.
func seconds(text string) (float64, error) {
	s := &spanReader{rest: text}
	v, err := s.sum(0)
	if err == nil && s.skip() != "" {
		err = fmt.Errorf("not understood: %.20q", s.rest)
	}
	if err != nil {
		return 0, fmt.Errorf("span %.60q: %w", text, err)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("span %.60q is no number", text)
	}
	return v, nil
}

// span is seconds as a Duration; a negative one is forever.
func span(text string) (time.Duration, error) {
	v, err := seconds(text)
	switch {
	case err != nil:
		return 0, err
	case v < 0:
		return forever, nil
	case v > maxSpan.Seconds():
		return maxSpan, nil
	}
	return time.Duration(v * float64(time.Second)), nil
}

// spanReader reads the small arithmetic of spans: numbers with units, + - * / and brackets; two terms side by side are added.
type spanReader struct{ rest string }

func (s *spanReader) skip() string {
	s.rest = strings.TrimLeftFunc(s.rest, isSpace)
	return s.rest
}

func (s *spanReader) sum(depth int) (float64, error) {
	total, err := s.product(depth)
	for err == nil {
		rest := s.skip()
		sign := 1.0
		switch {
		case rest == "" || rest[0] == ')':
			return total, nil
		case rest[0] == '+':
			s.rest = rest[1:]
		case rest[0] == '-':
			s.rest, sign = rest[1:], -1
		case !isDigit(rest[0]):
			return 0, fmt.Errorf("not understood: %.20q", rest)
		}
		var v float64
		if v, err = s.product(depth); err == nil {
			total += sign * v
		}
	}
	return 0, err
}

func (s *spanReader) product(depth int) (float64, error) {
	total, err := s.factor(depth)
	for err == nil {
		rest := s.skip()
		if rest == "" || rest[0] != '*' && rest[0] != '/' {
			return total, nil
		}
		s.rest = rest[1:]
		var v float64
		if v, err = s.factor(depth); err != nil {
			break
		}
		switch {
		case rest[0] == '*':
			total *= v
		case v == 0:
			return 0, fmt.Errorf("divided by zero")
		default:
			total /= v
		}
	}
	return 0, err
}

func (s *spanReader) factor(depth int) (float64, error) {
	rest := s.skip()
	switch {
	case depth > maxDepth:
		return 0, fmt.Errorf("more than %d brackets", maxDepth)
	case rest == "":
		return 0, fmt.Errorf("a number is missing")
	case rest[0] == '-' || rest[0] == '+':
		s.rest = rest[1:]
		v, err := s.factor(depth + 1)
		if rest[0] == '-' {
			v = -v
		}
		return v, err
	case rest[0] == '(':
		s.rest = rest[1:]
		v, err := s.sum(depth + 1)
		if err == nil && !strings.HasPrefix(s.skip(), ")") {
			err = fmt.Errorf("a bracket is not closed")
		}
		if err != nil {
			return 0, err
		}
		s.rest = s.rest[1:]
		return v, nil
	}
	n := 0
	for n < len(rest) && (isDigit(rest[n]) || rest[n] == '.') {
		n++
	}
	v, err := strconv.ParseFloat(rest[:n], 64)
	if err != nil {
		return 0, fmt.Errorf("no number: %.20q", rest)
	}
	s.rest = rest[n:]
	return s.units(v)
}

// units multiplies by the unit that follows a number, when one does.
func (s *spanReader) units(v float64) (float64, error) {
	rest := s.skip()
	n := 0
	for n < len(rest) && (rest[n]|0x20 >= 'a' && rest[n]|0x20 <= 'z') {
		n++
	}
	if n == 0 {
		return v, nil
	}
	u, ok := unit(rest[:n])
	if !ok {
		return 0, fmt.Errorf("unknown unit %.20q", rest[:n])
	}
	s.rest = rest[n:]
	return v * u, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
