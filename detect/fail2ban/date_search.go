package fail2ban

import (
	"time"
	"unicode"
	"unicode/utf8"
)

// How fail2ban prefers one form of a date to another. It tries the form of the last line first, at the same place of
// the line; what matches elsewhere is suspected to be a date in a message, so others are tried too and the one nearest
// to the start wins. Forms that match often move up in the list. All this decides what is found, so it is done here in
// the same way; and it is why most lines cost one match.

// unusedTime is after how long a form makes room for another.
const unusedTime = 300 * time.Second

// border is a place in the last line where its date began or ended, with the characters on both sides; "" where the
// line ends.
type border struct {
	at      int // in characters
	outside string
	inside  string
}

// found is a match that may still lose to a better one.
type found struct {
	index      int // -1: none
	start, end int
}

// find finds the template of a line's date and leaves its match in d.match.
func (d *Dates) find(line string, now time.Time) (*candidate, error) {
	if c := d.sameBeginning(line); c != nil {
		c.hits++
		c.template.hits++
		c.used = now
		return c, nil
	}
	c, err := d.search(line, now)
	if c == nil && err == nil {
		return nil, nil // the last match is still in place
	}
	d.beginning = d.beginning[:0]
	if c != nil && c.flags&lineBegin != 0 && d.match.Seen() >= d.endByte()+utf8.UTFMax {
		d.beginning = append(d.beginning, line[:d.match.Seen()]...)
	}
	return c, err
}

// search is find without a memory of the last line.
func (d *Dates) search(line string, now time.Time) (*candidate, error) {
	best, skip := found{index: -1, start: farAway}, -1
	winner := -1
	var at found
	if d.last >= 0 {
		c := d.templates[d.last]
		var err error
		if at, skip, err = d.again(c, line); err != nil {
			return nil, err
		}
		if at.index >= 0 {
			if d.single || c.flags&(lineBegin|lineEnd) != 0 || at.start == d.start.at && at.end == d.end.at {
				winner = d.last
			} else {
				best = at
				d.match, d.spare = d.spare, d.match
			}
		}
	}
	if winner < 0 {
		var err error
		if at, err = d.among(line, best, skip); at.index < 0 || err != nil {
			return nil, err
		}
		winner = at.index
	}
	return d.won(winner, at, line, now), nil
}

func (d *Dates) endByte() int {
	_, end := d.match.Span(0)
	return end
}

// sameBeginning returns the template that matched last, if the line begins with the bytes that decided its match. It is
// bound to the start of the line, so it is tried first and wins: the match in d.match, its borders and its place in
// the list are what a search would find again.
func (d *Dates) sameBeginning(line string) *candidate {
	if n := len(d.beginning); n > 0 && len(line) >= n && line[:n] == string(d.beginning) {
		return d.templates[d.last]
	}
	return nil
}

// again tries the template of the last line. If it looked at the whole line, skip is its index.
func (d *Dates) again(c *candidate, line string) (at found, skip int, err error) {
	skip = -1
	switch {
	case c.flags&(lineBegin|lineEnd) != 0:
		skip = d.last
		at, err = d.try(c, d.last, line, line, 0)
	case d.sameBorders(line):
		start, end := byteOf(line, d.start.at), byteOf(line, d.end.at)
		at, err = d.try(c, d.last, line, line[:max(end, start)], start)
	default:
		skip = d.last
		at, err = d.try(c, d.last, line, line, 0)
	}
	return at, skip, err
}

// try matches a template and counts it. Positions are in characters.
func (d *Dates) try(c *candidate, index int, line, part string, from int) (found, error) {
	ok, err := c.re.SearchWithin(&d.budget, &d.match, part, from)
	if !ok {
		return found{index: -1}, err
	}
	c.template.hits++
	start, end := d.match.Span(0)
	return found{index: index, start: charsBefore(line, start), end: charsBefore(line, end)}, nil
}

// among tries all templates but skip; best is what the last one offers.
func (d *Dates) among(line string, best found, skip int) (found, error) {
	for i, c := range d.templates {
		if i == skip {
			continue
		}
		at, err := d.try(c, i, line, line, 0)
		if err != nil {
			return found{index: -1}, err
		}
		if at.index < 0 {
			continue
		}
		switch {
		case i+1 == len(d.templates), c.flags&(lineBegin|lineEnd) != 0:
			return at, nil
		case at.start == 0 && c.hits > 0 && d.templates[i+1].template.hits == 0:
			return at, nil
		case at.start <= c.distance && at.start <= d.start.at:
			return at, nil
		}
		if at.start < best.start { // farther than before: maybe a date in a message
			best = at
			d.match, d.spare = d.spare, d.match
		}
	}
	if best.index >= 0 {
		d.match, d.spare = d.spare, d.match
	}
	return best, nil
}

// sameBorders says whether the line has the same characters as the last one where its date began and ended: outside
// the same, or inside the same and no letter or digit.
func (d *Dates) sameBorders(line string) bool {
	outside, inside := around(line, d.start.at)
	if outside != d.start.outside && (inside != d.start.inside || alphanumeric(inside)) {
		return false
	}
	inside, outside = around(line, d.end.at)
	return outside == d.end.outside || inside == d.end.inside && !alphanumeric(inside)
}

// around returns the characters before and after a place.
func around(line string, at int) (before, after string) {
	if at > 0 {
		before = charAt(line, byteOf(line, at-1))
	}
	return before, charAt(line, byteOf(line, at))
}

func charAt(line string, i int) string {
	_, n := utf8.DecodeRuneInString(line[i:])
	return line[i : i+n]
}

func alphanumeric(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && unicode.In(r, unicode.L, unicode.N)
}

// byteOf returns where character at begins, the end of the line if it is shorter.
func byteOf(line string, at int) int {
	i := 0
	for ; i < at; i++ {
		if i >= len(line) {
			return len(line)
		}
		if line[i] >= utf8.RuneSelf {
			break
		}
	}
	for n := i; n < at && i < len(line); n++ {
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
	}
	return i
}

// charsBefore returns how many characters stand before byte i.
func charsBefore(line string, i int) int { return utf8.RuneCountInString(line[:i]) }

// won notes the match for the next line and moves its template up.
func (d *Dates) won(i int, at found, line string, now time.Time) *candidate {
	c := d.templates[i]
	c.hits++
	c.used, c.distance = now, at.start
	if d.firstUnused == i {
		d.firstUnused++
	}
	d.start.at, d.end.at = at.start, at.end
	d.start.outside, d.start.inside = around(line, at.start)
	d.end.inside, d.end.outside = around(line, at.end)
	if i > 0 && i != d.last {
		i = d.moveUp(i)
	}
	d.last = i
	return c
}

func (c *candidate) rank() float64 { return float64(c.hits) * c.weight / float64(max(1, c.distance)) }

// moveUp moves a template up in the list if it matches more, or the one in its place is out of use.
func (d *Dates) moveUp(i int) int {
	c := d.templates[i]
	gives := func(to int) bool {
		other := d.templates[to]
		return c.rank() > other.rank() || c.used.Add(-unusedTime).After(other.used)
	}
	to := i / 2
	if d.firstUnused < i {
		to = d.firstUnused
	}
	if !gives(to) {
		if to == i-1 {
			return i
		}
		if to = i - 1; !gives(to) {
			return i
		}
	}
	copy(d.templates[to+1:i+1], d.templates[to:i])
	d.templates[to] = c
	for d.firstUnused < len(d.templates) && d.templates[d.firstUnused].hits > 0 {
		d.firstUnused++
	}
	return to
}
