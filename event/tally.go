package event

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// Beside the events of a day stand, written in the same transaction: how many events each minute had by
// class, outcome and site; summaries of the most frequent values of each hour; and the ids of each batch in
// the order of arrival. So a page over millions of events reads a few rows, nothing has to be counted again
// after a crash, and an export knows what it has not seen, however old the time is that an event states.

const (
	minuteMicros = 60 * 1_000_000
	hourMicros   = 60 * minuteMicros
	// maxSites is how many sites of a day are counted apart; the events of all further ones are counted as
	// of OtherSites.
	maxSites = 64
	// maxListed bounds one value of a top list, in bytes. Longer ones are counted by their beginning.
	maxListed = 200
	// foldEvery is after how many batches the summaries of single batches are put together.
	foldEvery = 64
)

// OtherSites is what the events of a day's sites beyond the first 64 are counted as. No site has that name.
const OtherSites = "*"

// List names a top list.
type List string

// The top lists. A denied event is one whose outcome is Refused or Failure.
const (
	Sources       List = "source" // addresses; IPv6 ones by their /64
	Users         List = "user"
	Actions       List = "action"
	Paths         List = "path" // the field "target" without its query
	DeniedSources List = "denied-source"
	DeniedUsers   List = "denied-user"
	DeniedActions List = "denied-action"
	DeniedPaths   List = "denied-path"
)

// Lists are all top lists. The place of one is how it is stored: they may only grow at the end.
func Lists() []List {
	return []List{Sources, Users, Actions, Paths, DeniedSources, DeniedUsers, DeniedActions, DeniedPaths}
}

const (
	listKinds = 4 // source, user, action, path
	listCount = 2 * listKinds
)

// minuteKey is what events are counted by; kind is class and outcome, without the severity.
type minuteKey struct {
	minute, kind int64
	site         string
}

// lists are the summaries of one hour.
type lists [listCount]summary

// tally sums up the rows of one day that are about to be written, or are counted again.
type tally struct {
	minutes  map[minuteKey]*int64
	last     minuteKey // counted last, and its count: events come in bursts
	lastAt   *int64
	hours    map[int64]*lists
	arrivals []byte
}

func newTally() *tally { return &tally{minutes: map[minuteKey]*int64{}, hours: map[int64]*lists{}} }

func (t *tally) reset() {
	clear(t.minutes)
	t.lastAt = nil
	// The lists keep their memory for the next batch; all but one hour are those of late events.
	for hour, l := range t.hours {
		if len(t.hours) > 2 {
			delete(t.hours, hour)
			continue
		}
		for i := range l {
			l[i].reset()
		}
	}
	t.arrivals = t.arrivals[:0]
}

// count adds rows, all of one day. sites are the day's sites that are counted apart; it grows to maxSites.
func (t *tally) count(rows []row, sites map[string]bool) {
	hour := int64(-1)
	var l *lists
	for i := range rows {
		r := &rows[i]
		key := minuteKey{minute: r.at / minuteMicros, kind: r.kind / kindUnit, site: r.site}
		if t.lastAt == nil || t.last != key {
			t.last = key
			if r.site != "" && !sites[r.site] {
				if len(sites) >= maxSites {
					key.site = OtherSites
				} else {
					sites[r.site] = true
				}
			}
			t.lastAt = t.minutes[key]
			if t.lastAt == nil {
				t.lastAt = new(int64)
				t.minutes[key] = t.lastAt
			}
		}
		*t.lastAt++
		if at := r.at / hourMicros; at != hour || l == nil {
			hour = at
			if l = t.hours[hour]; l == nil {
				l = &lists{}
				t.hours[hour] = l
			}
		}
		l.count(r)
	}
	t.arrivals = appendArrivals(t.arrivals, rows)
}

func (l *lists) count(r *row) {
	denied := deniedKind(r.kind)
	for i, value := range [listKinds]string{r.source, r.user, r.action, r.path} {
		if value == "" {
			continue
		}
		if i == 0 {
			value = listedSource(value)
		} else if len(value) > maxListed {
			value = strings.ToValidUTF8(value[:maxListed], "")
		}
		l[i].add(value, 1)
		if denied {
			l[listKinds+i].add(value, 1)
		}
	}
}

// listedSource is what an address is counted as: a single person has a whole /64 of IPv6.
func listedSource(address string) string {
	if !strings.Contains(address, ":") {
		return address
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	prefix, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// deniedKind tells whether the outcome in kind is Refused or Failure.
func deniedKind(kind int64) bool {
	_, outcome, _ := splitKind(kind)
	return outcome == Refused || outcome == Failure
}

// minuteCount is a row of the counters.
type minuteCount struct {
	minuteKey
	count int64
}

// sorted are the counters in an order that is the same in all processes, so that two that write at once
// wait for each other rather than both for ever.
func (t *tally) sorted() []minuteCount {
	all := make([]minuteCount, 0, len(t.minutes))
	for key, count := range t.minutes {
		all = append(all, minuteCount{key, *count})
	}
	slices.SortFunc(all, func(a, b minuteCount) int {
		return cmp.Or(cmp.Compare(a.minute, b.minute), cmp.Compare(a.kind, b.kind), cmp.Compare(a.site, b.site))
	})
	return all
}

// encoded calls use with each hour and its summaries as they are stored.
func (t *tally) encoded(use func(hour int64, data []byte) error) error {
	for hour, l := range t.hours {
		if data := l.append(nil); data != nil {
			if err := use(hour, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// append writes each list behind its length; nothing if all are empty.
func (l *lists) append(b []byte) []byte {
	if !slices.ContainsFunc(l[:], func(s summary) bool { return !s.empty() }) {
		return b
	}
	for i := range l {
		one := l[i].append(nil)
		b = append(binary.AppendUvarint(b, uint64(len(one))), one...)
	}
	return b
}

// mergeLists adds what append wrote of one list to s.
func mergeLists(b []byte, list int, s *summary) error {
	for i := 0; ; i++ {
		n, rest, ok := readUvarint(b)
		if !ok || n > uint64(len(rest)) {
			return errSummary
		}
		if i == list {
			return s.mergeFrom(rest[:n])
		}
		b = rest[n:]
	}
}

// mergeFrom adds all lists that append wrote.
func (l *lists) mergeFrom(b []byte) error {
	for i := range l {
		if err := mergeLists(b, i, &l[i]); err != nil {
			return err
		}
	}
	return nil
}

// arrival names a stored row.
type arrival struct{ at, tail int64 }

// appendArrivals writes which rows a batch has, as differences: a few bytes each.
func appendArrivals(b []byte, rows []row) []byte {
	var last arrival
	for i := range rows {
		b = binary.AppendVarint(b, rows[i].at-last.at)
		b = binary.AppendVarint(b, rows[i].tail-last.tail)
		last = arrival{rows[i].at, rows[i].tail}
	}
	return b
}

// readArrivals reads what appendArrivals wrote.
func readArrivals(b []byte) ([]arrival, bool) {
	var all []arrival
	var last arrival
	for len(b) > 0 {
		at, n := binary.Varint(b)
		if n <= 0 {
			return nil, false
		}
		tail, m := binary.Varint(b[n:])
		if m <= 0 {
			return nil, false
		}
		b = b[n+m:]
		last = arrival{last.at + at, last.tail + tail}
		all = append(all, last)
	}
	return all, true
}
