package sigma

import "time"

// Field is one field of an event. Numbers are their text. A name may stand several times; a rule meets the event if it
// meets one of the values.
type Field struct{ Name, Value string }

// Event is what rules are held against.
type Event struct {
	// Time is when it happened. Correlations do not count an event whose time is zero.
	Time time.Time
	// Source is where it is from; its parts are in lower case.
	Source Logsource
	// Only the first 512 fields are looked at.
	Fields []Field
	// Text is the whole line, if there is one. Keywords are looked for in it and in every field.
	Text string
	// Ref names the event in the evidence of correlations, such as its id. Only its first 64 bytes are kept.
	Ref string
}

// Match is a rule or a correlation that was met.
type Match struct {
	// Rule or Correlation is set, not both.
	Rule        *Rule
	Correlation *Correlation
	// Time is that of the event that completed the match.
	Time time.Time
	// Group has the names in group-by and their values; of correlations only.
	Group []Field
	// Count is what the condition was held against: events, values, rules, or a sum and the like. First and Last are the
	// times of the oldest and the newest event that counted, and Refs the newest of those events.
	Count       float64
	First, Last time.Time
	Refs        []string
}

// Head is what is known of the rule or the correlation.
func (m *Match) Head() *Head {
	if m.Correlation != nil {
		return &m.Correlation.Head
	}
	return &m.Rule.Head
}

// view is the event that is looked at, with its fields by slot. It is used again for every event.
type view struct {
	event    *Event
	fields   int // how many of its fields are looked at
	slots    map[string]int
	head     []int // by slot: the first field of that name, or -1
	next     []int // by field: the next of the same name, or -1
	used     []int // slots that have a field
	lows     []span
	raws     []span
	lowBytes []byte
	rawBytes []byte
}

// span is a place in a buffer; to is -1 if nothing was written yet.
type span struct{ from, to int }

// maxBuffer is what a view keeps for the next event; a longer event is let go.
const maxBuffer = 1 << 20

// maxFields is how many fields of an event are looked at. Comparing two fields takes the product of their values.
const maxFields = 512

func newView(slots map[string]int) *view {
	v := &view{slots: slots, head: make([]int, len(slots))}
	for i := range v.head {
		v.head[i] = -1
	}
	return v
}

// set takes the next event.
func (v *view) set(e *Event) {
	for _, slot := range v.used {
		v.head[slot] = -1
	}
	v.event, v.fields, v.used = e, min(len(e.Fields), maxFields), v.used[:0]
	v.lowBytes, v.rawBytes = v.lowBytes[:0], v.rawBytes[:0]
	if cap(v.lowBytes) > maxBuffer {
		v.lowBytes = nil
	}
	if cap(v.rawBytes) > maxBuffer {
		v.rawBytes = nil
	}
	v.next, v.lows, v.raws = v.next[:0], v.lows[:0], v.raws[:0]
	for range v.fields + 1 {
		v.next = append(v.next, -1)
		v.lows = append(v.lows, span{to: -1})
		v.raws = append(v.raws, span{to: -1})
	}
	for i := v.fields - 1; i >= 0; i-- {
		slot, known := v.slots[e.Fields[i].Name]
		if !known {
			continue
		}
		if v.head[slot] < 0 {
			v.used = append(v.used, slot)
		}
		v.next[i], v.head[slot] = v.head[slot], i
	}
}

// value is the i-th value; behind the fields comes the text.
func (v *view) value(i int) string {
	if i == v.fields {
		return v.event.Text
	}
	return v.event.Fields[i].Value
}

// lower is the i-th value in lower case. What it returns holds until the next call.
func (v *view) lower(i int) []byte {
	s := &v.lows[i]
	if s.to < 0 {
		s.from = len(v.lowBytes)
		v.lowBytes = appendLower(v.lowBytes, v.value(i))
		s.to = len(v.lowBytes)
	}
	return v.lowBytes[s.from:s.to]
}

// raw is the i-th value as it is. What it returns holds until the next call.
func (v *view) raw(i int) []byte {
	s := &v.raws[i]
	if s.to < 0 {
		s.from = len(v.rawBytes)
		v.rawBytes = append(v.rawBytes, v.value(i)...)
		s.to = len(v.rawBytes)
	}
	return v.rawBytes[s.from:s.to]
}

// first is the first value of a slot.
func (v *view) first(slot int) (string, bool) {
	if i := v.head[slot]; i >= 0 {
		return v.event.Fields[i].Value, true
	}
	return "", false
}

// ask answers an atom.
func (v *view) ask(a *atom, slot, other int) bool {
	if slot < 0 { // a keyword
		for i := range v.fields + 1 {
			if a.value(v.value(i), v, i) {
				return true
			}
		}
		return false
	}
	switch a.kind {
	case isAbsent:
		return v.head[slot] < 0
	case isOtherField:
		return v.sameAs(a, slot, other)
	}
	for i := v.head[slot]; i >= 0; i = v.next[i] {
		if a.value(v.event.Fields[i].Value, v, i) {
			return true
		}
	}
	return false
}

// sameAs compares the values of two fields.
func (v *view) sameAs(a *atom, slot, other int) bool {
	form := exact
	switch a.op {
	case "contains":
		form = inside
	case "startswith":
		form = prefix
	case "endswith":
		form = suffix
	}
	text := v.lower
	if a.cased {
		text = v.raw
	}
	for j := v.head[other]; j >= 0; j = v.next[j] {
		for i := v.head[slot]; i >= 0; i = v.next[i] {
			text(i) // the buffer may move: both are written before either is looked at
			text(j)
			p := pattern{shape: form, text: text(j)}
			if p.match(text(i)) {
				return true
			}
		}
	}
	return false
}
