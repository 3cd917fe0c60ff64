package ingest

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
)

// Limits of a SIP message in Asterisk's log.
const (
	maxTraced   = 64 << 10        // bytes; a datagram holds no more
	tracedWait  = 2 * time.Second // for the rest of one: Asterisk writes it in one go
	maxHeadText = 50              // bytes of a date in brackets
)

// asterisk puts together what Asterisk writes on several lines while it traces SIP ("pjsip set logger on", "sip set debug on"):
// a line that says who sent a message of how many bytes, and then the message as it came. A stranger chose that message, and it
// may hold lines that look like any other of the log. PJSIP states its length, so its end is known, unless it came out shorter
// (with a NUL, or cut by the logger): then a line of the log stands where more of the message should. The older channel states
// none, and what it writes behind a message can be written in a message. So as far as a message may reach, what is read is
// marked as forgeable.
type asterisk struct {
	Open *traced `json:"open,omitempty"` // a message that has not ended
	Head []byte  `json:"head,omitempty"` // the older channel's head, with nothing behind it: the message begins on the next line
	Left int     `json:"left,omitempty"` // bytes to come that may belong to a message
}

// traced is a message that is being read.
type traced struct {
	Text  []byte    `json:"text"`
	Bytes int       `json:"bytes"`           // that it has, as stated; 0: not stated
	Read  int       `json:"read"`            // of them
	Doubt bool      `json:"doubt,omitempty"` // it may itself be part of another
	Since time.Time `json:"since"`
}

func newAsterisk(held []byte) *asterisk {
	a := &asterisk{}
	if len(held) > 0 && json.Unmarshal(held, a) != nil {
		*a = asterisk{Left: maxTraced}
	}
	return a
}

var (
	// tracedPJSIP is what PJSIP writes in front of a message, with its length.
	tracedPJSIP = regexp.MustCompile(`^\[[^\]]{8,48}\] [A-Z]+\[\d+\](?:\[C-[0-9a-f]+\])?:? res_pjsip_logger\.c(?::\d+ \w+)?: <--- (?:Received|Transmitting) SIP (?:request|response) \((\d{1,5}) bytes\) (?:from|to) [A-Za-z]{2,4}:[0-9a-fA-F.:\[\]]+ --->$`)
	// tracedHead is a head of the older channel with nothing behind it.
	tracedHead = regexp.MustCompile(`^\[[^\]]{8,48}\] VERBOSE\[\d+\](?:\[C-[0-9a-f]+\])? chan_sip\.c: ?$`)
)

const tracedEnd = "<------------->" // of the older channel

// tells says that a line says that a message comes: as one of the two channels writes it, or anything like it, since the line
// before may have lost its end.
func tells(line []byte) bool {
	return bytes.Contains(line, []byte("<--- ")) || bytes.Contains(line, []byte("ransmitting "))
}

// headed says that a line has a date in brackets in front, as each of the log's own has.
func headed(line []byte) bool {
	if len(line) == 0 || line[0] != '[' {
		return false
	}
	return bytes.Contains(line[:min(len(line), maxHeadText)], []byte("] "))
}

// line takes a line with the carriage return that it may end in: it counts.
func (a *asterisk) line(raw []byte, cut bool, now time.Time, add func(Record)) {
	line, n := trimCR(raw), len(raw)+1
	if m := a.Open; m != nil {
		if !headed(line) && !tells(line) && !cut {
			a.more(m, line, n, add)
			return
		}
		a.end(false, add) // too early
	}
	doubt := a.Left > 0
	a.pass(n)
	if cut { // how long the rest is is not known
		a.flush(doubt, add)
		a.Left = max(a.Left, maxTraced)
		add(marked(string(line), true, true))
		return
	}
	if tells(line) {
		a.begin(line, doubt, now)
		return
	}
	a.flush(doubt, add)
	if tracedHead.Match(line) {
		a.Head = bytes.Clone(line)
		return
	}
	add(marked(string(line), doubt, false))
}

// begin begins a message.
func (a *asterisk) begin(line []byte, doubt bool, now time.Time) {
	m := &traced{Doubt: doubt, Since: now}
	if found := tracedPJSIP.FindSubmatch(line); found != nil {
		m.Bytes, _ = strconv.Atoi(string(found[1])) // digits
	}
	if len(a.Head) > 0 {
		m.Text = append(a.Head, '\n')
		a.Head = nil
	}
	m.Text = append(m.Text, line...)
	a.Open = m
	if doubt {
		a.Left = max(a.Left, m.longest())
	}
}

// longest is how many bytes may be a message's: those that are stated and the end of the line behind them.
func (m *traced) longest() int {
	if m.Bytes > 0 {
		return m.Bytes + 1
	}
	return maxTraced
}

// more takes a line of a message.
func (a *asterisk) more(m *traced, line []byte, n int, add func(Record)) {
	m.Read += n
	a.pass(n)
	if len(m.Text)+len(line) < maxTraced {
		m.Text = append(append(m.Text, '\n'), line...)
	}
	switch {
	case m.Bytes > 0 && m.Read == m.longest():
		a.end(true, add)
	case m.Bytes == 0 && string(line) == tracedEnd || m.Read > m.longest():
		a.end(false, add)
	}
}

// end gives on what there is of a message. Unless its end is sure, more of it may come.
func (a *asterisk) end(sure bool, add func(Record)) {
	m := a.Open
	a.Open = nil
	switch {
	case sure:
	case m.Read > m.longest(): // its lines are not where they should be
		a.Left = maxTraced
	default:
		a.Left = max(a.Left, m.longest()-m.Read)
	}
	add(marked(string(m.Text), m.Doubt, false))
}

// pass counts bytes that have been read.
func (a *asterisk) pass(n int) { a.Left = max(0, a.Left-n) }

// flush gives on a head behind which no message came.
func (a *asterisk) flush(doubt bool, add func(Record)) {
	if len(a.Head) > 0 {
		add(marked(string(a.Head), doubt, false))
		a.Head = nil
	}
}

// marked is a record, and says so where a stranger may have written it.
func marked(text string, doubt, cut bool) Record {
	r := Record{Text: text, Cut: cut}
	if doubt {
		r.Fields = []event.Field{{Key: "forgeable", Value: "true"}}
	}
	return r
}

func (a *asterisk) due(now time.Time, add func(Record)) {
	if m := a.Open; m != nil {
		if wait := now.Sub(m.Since); wait > tracedWait || wait < 0 {
			a.end(false, add)
		}
	}
}

func (a *asterisk) held() []byte {
	if a.Open == nil && len(a.Head) == 0 && a.Left == 0 {
		return nil
	}
	text, _ := json.Marshal(a) // texts and numbers
	return text
}

// missed says that what stands before the next line is not known: it may be the beginning of a message.
func (a *asterisk) missed() { a.Left = maxTraced }

// asteriskJSON makes records of the lines of Asterisk's own JSON log (logger.conf: full.json => [json]notice,warning,verbose). A
// message in it is one line, whatever a stranger wrote, so none of it can pass for another.
type asteriskJSON struct{ plain }

func (asteriskJSON) line(line []byte, cut bool, _ time.Time, add func(Record)) {
	r := Record{Text: string(line), Cut: cut}
	fields, err := flatten(r.Text)
	get := func(key string) string {
		value, _ := firstOf(fields, key)
		return value
	}
	if level := get("logmsg.level"); err != nil || level == "" || strings.ContainsAny(level+get("logmsg.location.filename")+get("logmsg.location.function"), " \r\n[]") {
		r.Malformed = true
		add(r)
		return
	}
	r.Program = "asterisk"
	r.Message = "[" + get("timestamp") + "] " + get("logmsg.level") + "[" + get("identifiers.lwp") + "]" + get("identifiers.callid") + " " +
		get("logmsg.location.filename") + ":" + get("logmsg.location.line") + " " + get("logmsg.location.function") + ": " + get("logmsg.message")
	if host := get("hostname"); host != "" {
		r.Fields = []event.Field{{Key: "host", Value: host}}
	}
	add(r)
}
