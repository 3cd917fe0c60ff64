package ingest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/event"
)

// Parsed is an event that was read from a record.
type Parsed struct {
	event.Event
	// Logsource says what wrote it; empty where no parser knew the record.
	Logsource Logsource
	// Parser and Pattern name what knew the record; "" where nothing did.
	Parser, Pattern string
	// Repeated is how many more times the same happened, which rsyslog says in the place of writing the line again. At most 100.
	Repeated int
}

// Counts are numbers of records since the start.
type Counts struct {
	// Parsed became events of a pattern, Unknown were known by none.
	Parsed, Unknown uint64
	// Ambiguous could be read as naming more than one source, so their events name none.
	Ambiguous uint64
	// Undated state no time that can be read; their events have the time of reading.
	Undated uint64
}

// Parser makes events of the records of one source. It is for one goroutine, but for Counts.
type Parser struct {
	byProgram map[string][]*parser
	others    []*parser
	local     *time.Location
	keep      bool

	values   [maxLayoutFields]string
	gathered []event.Field // memory for the fields of the next event
	stamp    string        // the last date read, which the next line mostly has too
	when     time.Time
	day      int64
	torn     int // lines behind a torn one that may be part of it, and so name nobody

	parsed, unknown, ambiguous, undated atomic.Uint64
}

// For makes a parser of those that are named, tried in that order; without names, of all that go by the program's name. local is the
// zone of dates that state none. With keepUnknown a record that no parser knows is an event too, without class and outcome.
func (p *Parsers) For(names []string, local *time.Location, keepUnknown bool) (*Parser, error) {
	use := &Parser{byProgram: map[string][]*parser{}, local: local, keep: keepUnknown}
	for _, name := range names {
		if !slices.ContainsFunc(p.all, func(o *parser) bool { return o.name == name }) {
			return nil, fmt.Errorf("parser %q is not known; there are %s", name, strings.Join(p.Names(), ", "))
		}
	}
	add := func(one *parser) {
		for _, program := range one.programs {
			use.byProgram[program] = append(use.byProgram[program], one)
		}
		if len(one.programs) == 0 || len(names) > 0 && len(one.head) > 0 { // named, and it can do without a program
			use.others = append(use.others, one)
		}
	}
	for _, name := range names {
		add(p.all[slices.IndexFunc(p.all, func(o *parser) bool { return o.name == name })])
	}
	if len(names) == 0 {
		for _, one := range p.all {
			if len(one.programs) > 0 {
				add(one)
			}
		}
	}
	return use, nil
}

// Counts are safe to read at any time.
func (p *Parser) Counts() Counts {
	return Counts{p.parsed.Load(), p.unknown.Load(), p.ambiguous.Load(), p.undated.Load()}
}

// maxTorn is how many lines behind a torn one name nobody, where its end does not come.
const maxTorn = 8

// line is a record on its way through the parsers.
type line struct {
	record             *Record
	now                time.Time
	host, program, pid string
	message            string
	time               time.Time
	headFields         []layoutField
	headValues         []string
}

// Parse makes an event of a record; false: no parser knows it, and such are not kept.
func (p *Parser) Parse(r *Record, now time.Time) (Parsed, bool) {
	l := line{record: r, now: now, time: r.Time, program: r.Program, message: strings.TrimLeft(r.Message, " ")}
	inside := r.Program != ""
	if !inside && len(p.byProgram) > 0 {
		inside = p.readHead(&l)
	}
	if inside {
		message, times := repeated(l.message)
		l.message = message
		for _, one := range p.byProgram[l.program] {
			if e, ok := p.try(one, &l); ok {
				e.Repeated = max(0, times-1)
				return e, true
			}
		}
	}
	for _, one := range p.others {
		if !inside {
			l.message = r.Text
		}
		if e, ok := p.try(one, &l); ok {
			return e, true
		}
	}
	p.torn = 0 // what is no line by itself ends a torn one
	p.unknown.Add(1)
	if !p.keep {
		return Parsed{}, false
	}
	e := Parsed{Event: event.Event{Time: l.time, Outcome: event.Unknown, Raw: r.Text, Fields: p.origin(&l, slices.Clone(r.Fields))}}
	p.date(&e, now)
	return e, true
}

// date sees to it that an event has a time.
func (p *Parser) date(e *Parsed, now time.Time) {
	if e.Time.IsZero() {
		p.undated.Add(1)
		e.Time = now
	}
}

// origin adds who wrote the line.
func (p *Parser) origin(l *line, fields []event.Field) []event.Field {
	for _, f := range [...]event.Field{{Key: "host", Value: l.host}, {Key: "program", Value: l.program}, {Key: "pid", Value: l.pid}} {
		if f.Value != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

// try has one parser read a line.
func (p *Parser) try(one *parser, l *line) (Parsed, bool) {
	message, used := l.message, 0
	l.headFields, l.headValues = nil, nil
	if len(one.head) > 0 {
		found := false
		for i := range one.head {
			h := &one.head[i]
			if n := len(h.fields); h.match(message, p.values[:n]) && addressed(h, p.values[:n]) {
				l.headFields, l.headValues, used = h.fields[:n-1], p.values[:n-1], n
				message, found = p.values[n-1], true
				break
			}
		}
		if !found {
			return Parsed{}, false
		}
	}
	for i := range one.patterns {
		t := &one.patterns[i]
		if t.literal != "" && !strings.Contains(message, t.literal) || len(t.in) > 0 && !t.within(l) || t.byFields && (len(l.record.Fields) == 0 || !t.applies(l.record.Fields)) {
			continue
		}
		if t.byFields {
			return p.fromFields(one, t, l)
		}
		for j := range t.layouts {
			lay := &t.layouts[j]
			values := p.values[used : used+len(lay.fields)]
			if !lay.match(message, values) {
				continue
			}
			if e, ok := p.event(one, t, l, message, lay.fields, values); ok {
				return e, true
			}
		}
		if t.re != nil {
			if e, ok := p.fromRegexp(one, t, l, message); ok {
				return e, true
			}
		}
	}
	return Parsed{}, false
}

// addressed says that what a head takes for an address is one; else the next head is tried.
func addressed(h *layout, values []string) bool {
	for i := range h.fields {
		if h.fields[i].name == "source" {
			_, _, ok := readEndpoint(values[i])
			return ok
		}
	}
	return true
}

func (p *Parser) fromRegexp(one *parser, t *pattern, l *line, message string) (Parsed, bool) {
	m := t.re.FindStringSubmatchIndex(message)
	if m == nil {
		return Parsed{}, false
	}
	var fields []layoutField
	var values []string
	for i, name := range t.groups {
		if name != "" && m[2*i] >= 0 {
			fields, values = append(fields, layoutField{name: name}), append(values, message[m[2*i]:m[2*i+1]])
		}
	}
	return p.event(one, t, l, message, fields, values)
}

// event makes the event of a pattern that matched.
func (p *Parser) event(one *parser, t *pattern, l *line, message string, fields []layoutField, values []string) (Parsed, bool) {
	e := Parsed{Logsource: one.logsource, Parser: one.name, Pattern: t.name,
		Event: event.Event{Time: l.time, Class: t.class, Outcome: t.outcome, Action: t.action, Severity: t.severity, Raw: l.record.Text}}
	e.Fields = append(p.gathered[:0], l.record.Fields...)
	if !p.fill(one, t, &e, l, l.headFields, l.headValues) || !p.fill(one, t, &e, l, fields, values) {
		return Parsed{}, false
	}
	for _, once := range t.once {
		if e.Source.IsValid() && strings.Count(message, once) != 1 {
			e.Source = netip.Addr{}
			p.ambiguous.Add(1)
		}
	}
	if t.torn {
		p.torn = maxTorn
	} else if p.torn > 0 {
		p.torn--
		if e.Source.IsValid() {
			e.Source = netip.Addr{}
			p.ambiguous.Add(1)
		}
	}
	p.finish(one, t, &e, l)
	p.gathered = e.Fields[:0]
	e.Fields = slices.Clone(e.Fields) // no longer than it has to be
	return e, true
}

// fill puts values into an event; false: one is not what it must be.
func (p *Parser) fill(one *parser, t *pattern, e *Parsed, l *line, fields []layoutField, values []string) bool {
	for i := range fields {
		v := values[i]
		switch f := &fields[i]; {
		case f.name == "_":
		case f.name == "source":
			a, port, ok := readEndpoint(v)
			if !ok || port != "" && f.kind == address {
				return false
			}
			e.Source = a
			if port != "" {
				e.Fields = append(e.Fields, event.Field{Key: "src_port", Value: port})
			}
		case f.kind == moment:
			when, ok := p.readTime(v, l.now)
			if !ok {
				return false
			}
			if e.Time.IsZero() {
				e.Time = when
			}
		case f.name == "user":
			if v != "-" && v != "" && v != `""` {
				e.User = v
			}
		case f.name == "site":
			e.Site = v
		case f.name == "headers":
			e.Fields = headers(e.Fields, v, t.headers)
		case f.kind == request:
			e.Fields = requestLine(e.Fields, v)
			if t.action == "" && len(e.Fields) > 0 {
				e.Action = method(v)
			}
		default:
			e.Fields = append(e.Fields, event.Field{Key: f.name, Value: v})
			if t.byStatus && f.name == "sc-status" && v != "" {
				e.Outcome = event.Success
				if v[0] > '3' {
					e.Outcome = event.Failure
				}
			}
		}
	}
	return true
}

// finish adds what every event of a parser has.
func (p *Parser) finish(one *parser, t *pattern, e *Parsed, l *line) {
	e.Fields = append(e.Fields, t.fields...)
	if one.addressField != "" && e.Source.IsValid() {
		e.Fields = append(e.Fields, event.Field{Key: one.addressField, Value: e.Source.String()})
	}
	if one.userField != "" && e.User != "" {
		e.Fields = append(e.Fields, event.Field{Key: one.userField, Value: e.User})
	}
	if one.forgeable && !(one.escaped && l.record.Program != "") {
		e.Fields = append(e.Fields, event.Field{Key: "forgeable", Value: "true"})
	}
	e.Fields = p.origin(l, e.Fields)
	p.date(e, l.now)
	p.parsed.Add(1)
}

// within says whether the head of a line is what a pattern asks for: which part of a program wrote it.
func (t *pattern) within(l *line) bool {
	for _, want := range t.in {
		i := slices.IndexFunc(l.headFields, func(f layoutField) bool { return f.name == want.Key })
		if i < 0 {
			return false
		}
		found := false
		for one := range strings.SplitSeq(want.Value, "|") {
			found = found || one == l.headValues[i]
		}
		if !found {
			return false
		}
	}
	return true
}

// applies says whether a record has the fields that a pattern asks for.
func (t *pattern) applies(fields []event.Field) bool {
	for _, w := range t.when {
		if !slices.ContainsFunc(fields, func(f event.Field) bool { return f.Key == w.Key && (w.Value == "*" || f.Value == w.Value) }) {
			return false
		}
	}
	return true
}

// fromFields makes an event of what the source stated in fields.
func (p *Parser) fromFields(one *parser, t *pattern, l *line) (Parsed, bool) {
	r := l.record
	e := Parsed{Logsource: one.logsource, Parser: one.name, Pattern: t.name,
		Event: event.Event{Time: l.time, Class: t.class, Outcome: t.outcome, Action: t.action, Severity: t.severity, Raw: r.Text}}
	e.Fields = append(make([]event.Field, 0, len(r.Fields)+8), r.Fields...)
	for _, take := range t.take {
		value, found := firstOf(r.Fields, take.Value)
		if !found {
			continue
		}
		switch take.Key {
		case "source":
			e.Source, _ = readAddress(value) // "?" and the like: none
		case "user":
			e.User = value
		case "site":
			e.Site = value
		case "action":
			e.Action = value
		case "outcome":
			e.Outcome = outcome(value)
		case "time":
			if when, ok := p.readTime(value, l.now); ok {
				e.Time = when
			}
		default:
			e.Fields = append(e.Fields, event.Field{Key: take.Key, Value: value})
		}
	}
	p.finish(one, t, &e, l)
	return e, true
}
