package ingest

import (
	"fmt"
	"time"
)

// Format says what a line of a file is.
type Format string

// The formats.
const (
	Plain  Format = ""       // a line is a record
	JSON   Format = "json"   // a line is a JSON object; its members are the fields
	EVE    Format = "eve"    // Suricata's eve.json: JSON whose member timestamp is the time
	Docker Format = "docker" // Docker's json-file: the text is the member log, joined up to its line end
	Auditd Format = "auditd" // the kernel's audit records; those of one event are one record

	Asterisk     Format = "asterisk"      // Asterisk's log; a SIP message in it is one record
	AsteriskJSON Format = "asterisk-json" // Asterisk's log in JSON

	formats = "json, eve, docker, auditd, asterisk and asterisk-json"
)

// reader makes records of the lines of one log, in order.
type reader interface {
	// line takes a line, without the carriage return that it may end in (Asterisk: with it); add gets the records that are whole.
	line(line []byte, cut bool, now time.Time, add func(Record))
	// due gives on what has been waited for long enough.
	due(now time.Time, add func(Record))
	// held is what is held back at the moment, to be saved with the position; nil: nothing is.
	held() []byte
	// missed says that what stood before the next line is not known.
	missed()
}

// check says whether the format is known.
func (f Format) check() error {
	switch f {
	case Plain, JSON, EVE, Docker, Auditd, Asterisk, AsteriskJSON:
		return nil
	}
	return fmt.Errorf("format %q is not known; there are %s, and none for plain lines", string(f), formats)
}

// reader makes the reader of one log. held is what an earlier one held back.
func (f Format) reader(held []byte) reader {
	switch f {
	case JSON, EVE:
		return jsonLines{timeKey: map[Format]string{JSON: "time", EVE: "timestamp"}[f]}
	case Docker:
		return newDocker(held)
	case Auditd:
		return newAuditd(held)
	case Asterisk:
		return newAsterisk(held)
	case AsteriskJSON:
		return asteriskJSON{}
	}
	return plain{}
}

// JSONRecord is the record of one line of a log of JSON, as the formats json and eve read it. What is no object has no fields.
func JSONRecord(source, line string) Record {
	var r Record
	jsonLines{timeKey: "time"}.line([]byte(line), false, time.Time{}, func(read Record) { r = read })
	r.Source = source
	return r
}

// plain makes a record of each line.
type plain struct{}

func (plain) line(line []byte, cut bool, _ time.Time, add func(Record)) {
	add(Record{Text: string(line), Cut: cut})
}
func (plain) due(time.Time, func(Record)) {}
func (plain) held() []byte                { return nil }
func (plain) missed()                     {}

// jsonLines makes a record of each object. What is no object is a record without fields, and marked.
type jsonLines struct{ timeKey string }

func (j jsonLines) line(line []byte, cut bool, _ time.Time, add func(Record)) {
	r := Record{Text: string(line), Cut: cut}
	fields, err := flatten(r.Text)
	if err != nil {
		r.Malformed = true
		add(r)
		return
	}
	r.Fields = fields
	for _, f := range fields {
		if f.Key == j.timeKey || j.timeKey == "time" && (f.Key == "timestamp" || f.Key == "@timestamp") {
			if t, ok := isoTime(f.Value, time.UTC); ok && r.Time.IsZero() {
				r.Time = t
			}
		}
	}
	add(r)
}
func (jsonLines) due(time.Time, func(Record)) {}
func (jsonLines) held() []byte                { return nil }
func (jsonLines) missed()                     {}
