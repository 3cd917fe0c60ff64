package event

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// day is a day in UTC, counted from 1970-01-01.
type day int64

const dayMicros = 24 * 60 * 60 * 1_000_000

func dayOf(t time.Time) day {
	m := t.UnixMicro()
	d := m / dayMicros
	if m%dayMicros < 0 {
		d--
	}
	return day(d)
}

func (d day) start() int64    { return int64(d) * dayMicros }
func (d day) time() time.Time { return time.UnixMicro(d.start()).UTC() }
func (d day) String() string  { return d.time().Format(time.DateOnly) }

func parseDay(text string) (day, bool) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, false
	}
	return dayOf(t), true
}

// row is an event as it is stored. Binding a value to a statement is what an insert costs, so everything
// that no query selects by is in one of them.
type row struct {
	at     int64 // microseconds since 1970
	tail   int64 // see id.go
	kind   int64 // class, outcome and severity, see kindOf
	action string
	source string
	user   string
	site   string
	extra  []byte // fields and raw line, see appendExtra
	path   string // what the top lists count; it is in extra, and not read back
}

// The codes that classes and outcomes are stored as are their places in these lists, which may only grow at
// the end.
func classes() []Class {
	return []Class{"", Authentication, HTTP, Detection, Compliance, Incident, Email}
}

func outcomes() []Outcome { return []Outcome{Unknown, Success, Failure, Refused} }

const kindUnit = 256

func kindOf(e *Event) int64 {
	class := max(slices.Index(classes(), e.Class), 0)
	outcome := max(slices.Index(outcomes(), e.Outcome), 0)
	severity := e.Severity
	if severity < SeverityUnknown || severity > Fatal {
		severity = SeverityUnknown
	}
	return int64(class)*kindUnit*kindUnit + int64(outcome)*kindUnit + int64(severity)
}

func splitKind(kind int64) (c Class, o Outcome, s Severity) {
	class, outcome := kind/kindUnit/kindUnit, kind/kindUnit%kindUnit
	o = Unknown
	if class >= 0 && class < int64(len(classes())) {
		c = classes()[class]
	}
	if outcome >= 0 && outcome < int64(len(outcomes())) {
		o = outcomes()[outcome]
	}
	return c, o, Severity(kind % kindUnit)
}

// encoder turns events into rows. The rows share its buffer and are good until the next reset.
type encoder struct {
	run   int64 // the random part of the tails made here
	order int64
	codes map[string]byte
	buf   []byte
	rows  []row
}

func newEncoder() *encoder {
	n := &encoder{run: rand.Int64() & tailMask &^ orderMask, order: rand.Int64() & orderMask, codes: map[string]byte{}}
	for code, key := range keys() {
		n.codes[key] = byte(code)
	}
	return n
}

func (n *encoder) reset() { n.buf, n.rows = n.buf[:0], n.rows[:0] }

// add encodes a clean event.
func (n *encoder) add(e *Event) {
	r := row{at: e.Time.UnixMicro(), kind: kindOf(e), action: e.Action, user: e.User, site: e.Site}
	if e.ID != "" {
		if at, tail, ok := parseID(e.ID); ok && at == r.at {
			r.tail = tail
		}
	}
	if r.tail == 0 {
		n.order = (n.order + 1) & orderMask
		r.tail = n.run | n.order
	}
	if e.Source.IsValid() {
		r.source = e.Source.Unmap().String()
	}
	r.path = listedPath(e)
	start := len(n.buf)
	n.buf = appendExtra(n.buf, e, n.codes)
	r.extra = n.buf[start:len(n.buf):len(n.buf)]
	n.rows = append(n.rows, r)
}

// listedPath is the field "target" without its query.
func listedPath(e *Event) string {
	for i := range e.Fields {
		if e.Fields[i].Key == "target" {
			path, _, _ := strings.Cut(e.Fields[i].Value, "?")
			return path
		}
	}
	return ""
}

// Event is the event that the row was made from.
func (r *row) event() (Event, error) {
	e := Event{ID: formatID(r.at, r.tail), Time: time.UnixMicro(r.at).UTC(), Action: r.action, User: r.user, Site: r.site}
	e.Class, e.Outcome, e.Severity = splitKind(r.kind)
	if r.source != "" {
		source, err := netip.ParseAddr(r.source)
		if err != nil {
			return e, errors.New("the source is not an address")
		}
		e.Source = source
	}
	return e, readExtra(&e, r.extra)
}

// keys are the field keys that are stored as one byte, their place in this list, which may only grow at the
// end. A key that is not here is stored as text.
func keys() []string {
	return []string{
		"", "request_id", "host", "target", "status", "bytes", "micros", "user_agent", "reason", "peer",
		"realm", "session", "method", "protocol", "referer", "upstream", "rule", "country", "stated_time",
	}
}

const extraVersion = 1

// appendExtra appends the version, the number of fields, each field as key code (0 and the key, if it has
// none) and value, and the raw line; texts stand behind their length.
func appendExtra(b []byte, e *Event, codes map[string]byte) []byte {
	if len(e.Fields) == 0 && e.Raw == "" {
		return b
	}
	b = append(b, extraVersion)
	b = binary.AppendUvarint(b, uint64(len(e.Fields)))
	for i := range e.Fields {
		code := codes[e.Fields[i].Key]
		b = append(b, code)
		if code == 0 {
			b = appendText(b, e.Fields[i].Key)
		}
		b = appendText(b, e.Fields[i].Value)
	}
	return appendText(b, e.Raw)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errExtra = errors.New("the fields are damaged")

// readExtra reads into e what appendExtra wrote.
func readExtra(e *Event, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if b[0] != extraVersion {
		return errors.New("the fields were written by a newer Doorward")
	}
	known := keys()
	count, b, ok := readUvarint(b[1:])
	if !ok || count > uint64(len(b)) {
		return errExtra
	}
	if count > 0 {
		e.Fields = make([]Field, count)
	}
	for i := range e.Fields {
		if len(b) == 0 || int(b[0]) >= len(known) {
			return errExtra
		}
		e.Fields[i].Key = known[b[0]]
		plain := b[0] == 0
		b = b[1:]
		if plain {
			if e.Fields[i].Key, b, ok = readText(b); !ok {
				return errExtra
			}
		}
		if e.Fields[i].Value, b, ok = readText(b); !ok {
			return errExtra
		}
	}
	if e.Raw, b, ok = readText(b); !ok || len(b) > 0 {
		return errExtra
	}
	return nil
}

func readUvarint(b []byte) (uint64, []byte, bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, false
	}
	return n, b[size:], true
}

func readText(b []byte) (string, []byte, bool) {
	n, b, ok := readUvarint(b)
	if !ok || n > uint64(len(b)) {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}
