package fail2ban

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// DateOptions are what dates depend on besides the lines.
type DateOptions struct {
	Location *time.Location // of dates that name no zone, and of the clock that "today" is read from; nil: time.Local
	Zone     string         // logtimezone of a jail: a zone for dates that name none, by a fixed offset; "": Location
	Now      time.Time      // which decades an exact year (%ExY) may have; zero: until 2029
}

// DateMatch is where a line holds its date.
type DateMatch struct {
	Start, End int       // bytes of the line that are the date and are cut out; equal: the pattern says that there is none
	Time       time.Time // zero if the text is no time that exists
}

// Dates finds the dates of one log, as fail2ban 1.0.2 does: it tries many forms, and what it has found before decides
// which it prefers. It must see the lines in their order and serves one goroutine.
type Dates struct {
	templates   []*candidate // in the order in which they are tried
	firstUnused int
	last        int // index of the template that matched last; -1: none
	start, end  border
	single      bool

	location *time.Location
	zone     int
	zones    map[string]int
	months   []string
	weekdays []string

	budget       pyre.Budget // of one line
	match, spare pyre.Match
	beginning    []byte // of the last line, as far as it decided the match; empty: search
	memo         memo
}

// candidate is a template in the list of one log.
type candidate struct {
	*template
	number   int // in the order of the beginning
	hits     int
	used     time.Time
	distance int // where it matched last, in characters
}

// maxDateTime is about how long the forms of a date may look at one line, all together. Without it a line of a megabyte without a
// date takes seconds; one of 64 KB never comes near.
const maxDateTime = 250 * time.Millisecond

const farAway = 1<<31 - 1 // the distance of a template that never matched

// NewDates reads the lines of a datepattern; none means fail2ban's default forms.
func NewDates(patterns []string, o DateOptions) (*Dates, error) {
	d := &Dates{last: -1, start: border{at: 1}, end: border{at: farAway}, location: o.Location, zone: unknown, zones: zones(),
		months: months(0), weekdays: weekdays(0), budget: pyre.NewBudget(maxDateTime)}
	if d.location == nil {
		d.location = time.Local
	}
	if o.Zone != "" {
		var err error
		if d.zone, err = parseZone(d.zones, o.Zone); err != nil {
			return nil, fmt.Errorf("read logtimezone: %w", err)
		}
	}
	b := &templateBook{fields: dateFields(o.Now), known: make(map[string]*template)}
	for _, pattern := range patterns {
		for _, pattern := range strings.Split(pattern, "\n") {
			if pattern = strings.TrimSpace(pattern); pattern == "" {
				continue
			}
			if err := b.addPattern(pattern); err != nil {
				return nil, err
			}
		}
	}
	if len(b.list) == 0 {
		if err := b.addDefaults(b.everyDefault, func(t *template) (*template, error) { return t, nil }); err != nil {
			return nil, err
		}
	}
	for i, t := range b.list {
		d.templates = append(d.templates, &candidate{template: t, number: i, distance: farAway})
	}
	d.single = len(d.templates) == 1
	return d, nil
}

// Find looks for the date of a line. now is the time at which the line is read: a date without a year is taken from the
// year that ends with now and a day more, as fail2ban does. It returns false if no form matches. The error is
// pyre.ErrTimeout, and the line has then no date.
func (d *Dates) Find(line string, now time.Time) (DateMatch, bool, error) {
	d.budget.Renew()
	found, err := d.find(line, now)
	if found == nil || err != nil {
		return DateMatch{}, false, err
	}
	start, end := d.match.Span(1)
	if start < 0 || start == end {
		start = max(start, 0)
		return DateMatch{Start: start, End: start}, true, nil
	}
	at, ok := d.remembered(found.template, line[start:end], now)
	if !ok {
		return DateMatch{Start: start, End: end}, true, nil
	}
	return DateMatch{Start: start, End: end, Time: at}, true, nil
}

// memo is the last time that was read: most lines of a log have the date of the line before.
type memo struct {
	template *template
	text     string
	now      time.Time
	at       time.Time
	assumed  stated
	ok       bool
}

// remembered is time with a memory of one text.
func (d *Dates) remembered(t *template, text string, now time.Time) (time.Time, bool) {
	m := &d.memo
	if m.template == t && m.text == text && t.kind == fieldsTemplate && m.holds(now, d.location) {
		return m.at, m.ok
	}
	at, assumed, ok := d.time(t, &d.match, now)
	*m = memo{template: t, text: text, now: now, at: at, assumed: assumed, ok: ok}
	return at, ok
}

// holds says whether the same text means the same time now: if nothing was assumed, and if only the year was, until
// the next one.
func (m *memo) holds(now time.Time, location *time.Location) bool {
	switch a := m.assumed; {
	case m.now.Equal(now), !a.thisYear && !a.today:
		return true
	case a.today, a.wrap, !m.ok, now.Before(m.now):
		return false
	}
	return now.Sub(m.now) < 24*time.Hour && now.In(location).Year() == m.now.In(location).Year()
}

// templateBook makes the templates of one log. A pattern that stands twice is one template.
type templateBook struct {
	fields   map[string][2]string
	known    map[string]*template // by pattern
	list     []*template
	defaults []*template
}

var errTwice = errors.New("the form stands twice in the datepattern")

func (b *templateBook) add(t *template, twice bool) error {
	for _, other := range b.list {
		if other.name == t.name {
			if twice {
				return nil
			}
			return fmt.Errorf("datepattern %q: %w", t.name, errTwice)
		}
	}
	b.list = append(b.list, t)
	return nil
}

// addPattern takes one line of a datepattern in.
func (b *templateBook) addPattern(pattern string) error {
	key := patternKey(pattern)
	t := b.known[key]
	switch {
	case t != nil:
	case key == anchorBegin:
		return b.addDefaults(b.everyDefault, func(t *template) (*template, error) {
			if t.flags&lineBegin == 0 {
				return nil, nil
			}
			return t, nil
		})
	case key == "{DEFAULT}": // it adds nothing; the defaults count if nothing else is there
		return nil
	case strings.Contains(key, "{DATE}"):
		return b.addDefaults(b.plainDefaults, func(t *template) (*template, error) {
			return b.wrapped(t, func(s string) string { return replaceTag(pattern, "{DATE}", unboundPattern(s)) })
		})
	default:
		text := pattern
		if key == "{NONE}" {
			text = unbound + "^"
		}
		var err error
		if t, err = b.make(text, key); err != nil {
			return err
		}
	}
	return b.add(t, false)
}

// patternKey is by what a pattern is known: without fields, its case does not count.
func patternKey(pattern string) string {
	if strings.Contains(pattern, "%") {
		return pattern
	}
	return strings.ToUpper(pattern)
}

// make returns the template of a pattern, always the same for the same key.
func (b *templateBook) make(pattern, key string) (*template, error) {
	if t := b.known[key]; t != nil {
		return t, nil
	}
	var t *template
	var err error
	bare, line := key, false
	for _, start := range []string{anchorBegin, "^"} {
		if rest, ok := strings.CutPrefix(key, start); ok && !line {
			bare, line = rest, true
		}
	}
	switch {
	case strings.Contains(key, "EPOCH") && hasEpoch(pattern):
		t, err = newEpoch(pattern, strings.Contains(key, "LEPOCH"), false)
	case bare == "EPOCH", bare == "LEPOCH":
		t, err = newEpoch("", bare == "LEPOCH", line)
	case bare == "TAI64N":
		t, err = newTAI64N(line)
	default:
		t, err = newFields(b.fields, pattern)
	}
	if err != nil {
		return nil, err
	}
	b.known[key] = t
	return t, nil
}

// wrapped returns the template whose pattern is wrap of another one's.
func (b *templateBook) wrapped(t *template, wrap func(string) string) (*template, error) {
	if other := b.known[wrap(t.name)]; other != nil {
		return other, nil
	}
	pattern := wrap(t.name)
	if t.kind == fieldsTemplate {
		pattern = wrap(t.pattern)
		if other := b.known[pattern]; other != nil {
			return other, nil
		}
	}
	return b.make(pattern, patternKey(pattern))
}

func (b *templateBook) addDefaults(from func() ([]*template, error), choose func(*template) (*template, error)) error {
	twice := len(b.list) > 0
	all, err := from()
	if err != nil {
		return err
	}
	for _, t := range all {
		if t, err = choose(t); err != nil {
			return err
		}
		if t == nil {
			continue
		}
		if err := b.add(t, twice); err != nil {
			return err
		}
	}
	return nil
}

func (b *templateBook) plainDefaults() ([]*template, error) {
	for _, pattern := range defaultForms() {
		if len(b.defaults) == len(defaultForms()) {
			break
		}
		t, err := b.make(pattern, patternKey(pattern))
		if err != nil {
			return nil, err
		}
		b.defaults = append(b.defaults, t)
	}
	return b.defaults, nil
}

// everyDefault are the default forms: first each one at the start of a line, which is preferred, then anywhere.
func (b *templateBook) everyDefault() ([]*template, error) {
	plain, err := b.plainDefaults()
	if err != nil {
		return nil, err
	}
	var all []*template
	for _, t := range plain {
		if strings.HasPrefix(t.name, anchorBegin) || strings.HasPrefix(t.name, "^") {
			continue
		}
		anchored, err := b.wrapped(t, func(s string) string { return anchorBegin + s })
		if err != nil {
			return nil, err
		}
		if anchored.name != t.name {
			anchored.weight = 100
			all = append(all, anchored)
		}
	}
	return append(all, plain...), nil
}

// defaultForms are the dates that fail2ban knows by itself, in its order, which decides where two fit.
func defaultForms() []string {
	const (
		clock, spaced = `%H:%M:%S`, `%k:%M:%S`
		sep, same     = `(?P<_sep>[-/])`, `(?P=_sep)`
		fraction      = `(?:\.%f)?`
		exactFraction = `(?:[.,]%f)?`
		offset        = `(?:\s*%z)?`
		weekday       = `(?:%a )?`
		asctime       = weekday + `%b %d ` + spaced + fraction + `(?: %ExY)?`
	)
	return []string{
		`%ExY(?P<_sep>[-/.])%m` + same + `%d(?:T|  ?)` + clock + exactFraction + offset, // ISO 8601 and relatives
		asctime,
		weekday + `%b %d %ExY ` + spaced + fraction,
		`%d` + sep + `%m` + same + `(?:%ExY|%Exy) ` + spaced,
		`%d` + sep + `%b` + same + `%ExY[ :]?` + clock + fraction + `(?: %z)?`, // web servers, named
		`%m/%d/%ExY:` + clock,
		`%m-%d-%ExY ` + spaced + fraction,
		`EPOCH`,
		anchorBegin + clock,
		`^<%m/%d/%Exy@` + clock + `>`,
		`%Exy%Exm%Exd  ?` + clock, // MySQL
		`%b %d, %ExY %I:%M:%S %p`, // Tomcat
		`^%b-%d-%Exy ` + spaced,
		`%ExY%Exm%Exd(?:T|  ?)%ExH%ExM%ExS` + exactFraction + offset,
		`(?:%Z )?` + asctime,
		`(?:%z )?` + asctime,
		`TAI64N`,
	}
}
