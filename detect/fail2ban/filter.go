package fail2ban

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// Bounds of what a filter keeps from line to line.
const (
	connections     = 100             // open connections (F-MLFID) at a time, as many as fail2ban keeps
	connectionLife  = 5 * time.Minute // since their first line, as in fail2ban
	lastDateLife    = time.Minute     // a line without a date takes that of the line before, as in fail2ban
	maxBufferBytes  = 8 << 20         // of the lines that maxlines holds together
	maxSpare        = 4               // connections whose memory waits for others
	maxKept         = 4096            // bytes of a named part that is kept for a connection
	maxEvidence     = 20              // lines that are kept for a connection
	maxEvidenceLine = 1024            // bytes of such a line

	maxLineTime = 500 * time.Millisecond // about, for all expressions together on one line
)

// Capture is a named part of what matched: "user", "mlfid", "fid". They are the F- tags of the filter.
type Capture struct{ Name, Value string }

// Result is what a filter makes of a line.
type Result struct {
	Match   bool         // a failure counts: the filter matched, it was not ignored, and it is no <F-NOFAIL>
	Ignored bool         // an ignoreregex matched
	NoFail  bool         // a failregex matched, and it is no failure: or not yet, until another line tells the address
	Regex   int          // the failregex that matched, from 0
	Host    string       // the address as fail2ban writes it, or the name or the id as it stands in the line; never resolved
	Prefix  netip.Prefix // the address, when Host is one
	ID      string       // what fail2ban counts by: Host, or the <F-ID> that the filter found
	Time    time.Time    // of the failure; zero when the line has no date and none is known
	// Captures are the named parts, by name; parts of earlier lines of the same connection are among them.
	Captures []Capture
	Lines    []string // the lines that matched, of all lines of the connection; cut and capped
}

// Options are how a filter is run.
type Options struct {
	// Set are options of the filter or of a jail: mode, logtype, maxlines, datepattern, failregex.
	Set map[string]string
	// LogTimezone is logtimezone of the jail: the zone of dates that name none. "": Local.
	LogTimezone string
	// Local is the zone of the machine that wrote the lines. Nil: UTC.
	Local *time.Location
	// Now is when the filter is made: dates that state a year with all its digits are of no later decade. Zero: until 2029.
	Now time.Time
	// NoDateIsNow gives lines without a date the time they are read, as a running fail2ban does. Otherwise such a failure
	// has no time.
	NoDateIsNow bool
	// NoCaptures leaves Captures and Lines out of results, for those who count failures and nothing else.
	NoCaptures bool
}

// Counters are what a filter met since it was made.
type Counters struct {
	Lines     int // lines that were read
	Passed    int // lines that hold no literal of any expression
	Matched   int // failures
	Ignored   int // lines that an ignoreregex matched
	Timeouts  int // expressions that took too long; the line counts as one that does not match
	Nameless  int // matches that named neither a host nor an id
	Undated   int // failures in lines without a date
	Evicted   int // connections that were forgotten because there were too many
	Oversized int // lines that left the buffer of maxlines early, as it was too large
}

// Filter is a filter that runs. It is for one goroutine.
type Filter struct {
	name    string
	options Options
	Journal bool // logtype=journal: lines hold no date

	prefix *expression
	fail   []*expression
	ignore []*expression
	dates  *Dates

	tags     []string // the captures, in the order that they are told
	maxLines int
	budget   pyre.Budget // of the expressions, for one line
	buffer   []splitLine
	single   [1]splitLine  // the buffer when one line is all
	content  [1]splitLine  // the same, when the prefregex names the part that counts
	matches  [2]pyre.Match // memory for the matches of the prefregex, and of the others
	scratch  [4]fields     // memory for their named parts
	now      connection    // memory for what a line says
	lastText string
	lastDate time.Time
	open     *connectionCache
	gate     *gate

	// Count is what was met so far.
	Count Counters
}

// splitLine is a line with its date cut out.
type splitLine struct {
	before, date, after string
	full                string // all of it, when it is known
}

func (l splitLine) whole() string {
	if l.full != "" {
		return l.full
	}
	return l.before + l.date + l.after
}

// text is the lines without their dates, each with its line end.
func text(lines []splitLine) string {
	if len(lines) == 1 {
		return lines[0].before + lines[0].after + "\n"
	}
	var out strings.Builder
	for i, l := range lines {
		if i > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(l.before)
		out.WriteString(l.after)
	}
	out.WriteByte('\n')
	return out.String()
}

// Filter makes the named filter ready to run. The error says what of it can't be run.
func (c *Config) Filter(name string, o Options) (*Filter, error) {
	options, err := c.filterOptions(name, o.Set)
	if err != nil {
		return nil, err
	}
	return newFilter(name, options, o)
}

// newFilter compiles a filter from its options.
func newFilter(name string, options *dict, o Options) (*Filter, error) {
	f := &Filter{name: name, options: o, maxLines: 1, budget: pyre.NewBudget(maxLineTime), open: newConnectionCache()}
	names := true // <HOST> may be a name
	if v, ok := options.get("usedns"); ok {
		names = slices.Contains([]string{"yes", "warn", "raw"}, strings.ToLower(v)) // anything else is "no", as in fail2ban
	}
	if v, ok := options.get("maxlines"); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("filter %s: maxlines %q is no number above 0", name, v)
		}
		f.maxLines = n
	}
	if v, _ := options.get("logtype"); v == "journal" {
		f.Journal = true
	}
	var err error
	if v, _ := options.get("prefregex"); v != "" {
		if f.prefix, err = compileExpression(v, names, false); err != nil {
			return nil, fmt.Errorf("filter %s: prefregex: %w", name, err)
		}
	}
	ids := []string{"fid", "ip4", "ip6", "dns", "mlfid"}
	for _, kind := range []string{"failregex", "ignoreregex"} {
		lines, _ := options.get(kind)
		for _, line := range strings.Split(lines, "\n") {
			if line == "" {
				continue
			}
			e, err := compileExpression(line, names, kind == "failregex" && f.maxLines > 1)
			if err != nil {
				return nil, fmt.Errorf("filter %s: %s: %w", name, kind, err)
			}
			if kind == "ignoreregex" {
				f.ignore = append(f.ignore, e)
				continue
			}
			if !e.has(ids...) && !f.prefix.has(ids...) {
				return nil, fmt.Errorf("filter %s: failregex %.80q finds no host and no id", name, line)
			}
			f.fail = append(f.fail, e)
		}
	}
	pattern, given := options.get("datepattern")
	if f.dates, err = newDates(pattern, given, o); err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	f.tags = captureNames(append([]*expression{f.prefix}, f.fail...))
	f.gate = newGate(f)
	return f, nil
}

// Line runs the filter on one line of a log, without its line end. now is the time it is read: dates without a year are the latest
// ones not after it. An expression that takes too long is an error after which the filter goes on.
func (f *Filter) Line(text string, now time.Time) (Result, error) {
	if f.Journal {
		return f.Entry(text, now, now)
	}
	m, found, err := f.dates.Find(text, now)
	if err != nil { // with the wrong date, or with the date still in it, it could match wrongly
		f.Count.Lines++
		f.Count.Timeouts++
		return Result{}, fmt.Errorf("filter %s: find the date: %w", f.name, err)
	}
	line, at, dated := f.date(text, m, found, now)
	return f.find(line, at, dated, now)
}

// date cuts the date that was found out of a line. Without one, that of the last line counts for a minute.
func (f *Filter) date(text string, m DateMatch, found bool, now time.Time) (splitLine, time.Time, bool) {
	line := splitLine{after: text, full: text}
	if found {
		line = splitLine{before: text[:m.Start], date: text[m.Start:m.End], after: text[m.End:], full: text}
		if m.Start < m.End && !m.Time.IsZero() {
			f.lastText, f.lastDate = line.date, m.Time
			return line, m.Time, true
		}
	}
	recent := !f.lastDate.IsZero() && f.lastDate.After(now.Add(-lastDateLife))
	if found && m.Start == m.End { // the pattern says that there is no date
		if recent {
			return splitLine{date: f.lastText, after: text}, f.lastDate, true
		}
		return line, now, true
	}
	switch {
	case recent:
		return splitLine{date: f.lastText, after: text}, f.lastDate, false
	case f.options.NoDateIsNow:
		return line, now, false
	}
	return line, time.Time{}, false
}

// Entry runs the filter on an entry of the journal or on any line whose time is known.
func (f *Filter) Entry(text string, at, now time.Time) (Result, error) {
	f.lastText, f.lastDate = "", at
	return f.find(splitLine{after: text, full: text}, at, true, now)
}

// run is the search of one line.
type run struct {
	f     *Filter
	lines []splitLine // all lines that are searched, as they came
	text  string      // what is searched
	fresh bool        // text is that of f.buffer
	long  bool        // text is too long to be held by what is kept of it
	date  time.Time
	now   time.Time
	err   error
}

// find looks for a failure in a line and those that are kept with it.
func (f *Filter) find(line splitLine, at time.Time, dated bool, now time.Time) (Result, error) {
	f.Count.Lines++
	f.budget.Renew()
	worth := f.gate.seen(line)
	if worth == 0 && !f.gate.tells {
		f.Count.Passed++
		return Result{}, nil
	}
	f.keep(line)
	r := run{f: f, lines: f.buffer, text: text(f.buffer), fresh: true, date: at, now: now}
	r.long = len(r.text) > maxKept
	if f.gate.tells && r.ignored(nil) {
		f.Count.Ignored++
		return Result{Ignored: true}, r.err
	}
	var before fields
	if f.prefix != nil {
		m, ok := r.search(f.prefix, &f.matches[0])
		if !ok {
			return Result{}, r.err
		}
		f.scratch[0] = f.prefix.fields(m.match, f.scratch[0])
		before = f.scratch[0]
		r.narrow(before.take("content"), m.match)
	}
	for i, e := range f.fail {
		if i < 64 && worth&(1<<i) == 0 {
			continue
		}
		if !r.fresh {
			r.text, r.fresh = text(f.buffer), true
		}
		m, ok := r.search(e, &f.matches[1])
		if !ok {
			continue
		}
		if len(f.ignore) > 0 && r.ignored(&m) {
			f.Count.Ignored++
			return Result{Ignored: true, Regex: i}, r.err
		}
		f.buffer, r.fresh = m.unmatched, false
		done, found := r.judge(i, e, &m, before)
		if !done {
			continue // it names nobody: the next expression may
		}
		if found.Match {
			f.Count.Matched++
			if !dated {
				f.Count.Undated++
			}
		}
		return found, r.err
	}
	return Result{}, r.err
}

// narrow makes what the prefregex found as <F-CONTENT> all that the failregexes see.
func (r *run) narrow(content string, m *pyre.Match) {
	if content == "" {
		return
	}
	f := r.f
	f.content[0] = splitLine{after: content}
	f.buffer = f.content[:]
	if f.maxLines > 1 {
		f.buffer = []splitLine{f.content[0]} // it is kept
	}
	start, end := m.Span(f.prefix.content)
	if end < len(r.text) && r.text[end] == '\n' {
		r.text = r.text[start : end+1]
		return
	}
	r.fresh = false
}

// keep adds a line to those that are searched together.
func (f *Filter) keep(line splitLine) {
	if f.maxLines == 1 {
		f.single[0] = line
		f.buffer = f.single[:]
		return
	}
	f.buffer = append(f.buffer, line)
	if n := len(f.buffer) - f.maxLines; n > 0 {
		f.buffer = append([]splitLine(nil), f.buffer[n:]...)
	}
	size := 0
	for i := len(f.buffer) - 1; i >= 0; i-- {
		if size += len(f.buffer[i].before) + len(f.buffer[i].after); size > maxBufferBytes && i < len(f.buffer)-1 {
			f.Count.Oversized += i + 1
			f.buffer = append([]splitLine(nil), f.buffer[i+1:]...)
			return
		}
	}
}
