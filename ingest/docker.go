package ingest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/doorward/doorward/event"
)

// docker joins the parts into which Docker cuts long lines of a container, each stream by itself.
type docker struct {
	Streams map[string]*part `json:"streams"` // stdout and stderr
}

// part is the beginning of a container's line.
type part struct {
	Text []byte    `json:"text,omitempty"`
	Time time.Time `json:"time"`
	Skip bool      `json:"skip,omitempty"` // Text was given on cut, and what comes is the rest of it
}

func newDocker(held []byte) *docker {
	d := &docker{}
	if len(held) > 0 && json.Unmarshal(held, d) != nil || d.Streams == nil {
		d.Streams = map[string]*part{}
	}
	return d
}

func (d *docker) line(line []byte, cut bool, _ time.Time, add func(Record)) {
	fields, err := flatten(string(line))
	var text, stream, stated string
	var rest []event.Field
	for _, f := range fields {
		switch f.Key {
		case "log":
			text = f.Value
		case "stream":
			stream = f.Value
		case "time":
			stated = f.Value
		default:
			rest = append(rest, f)
		}
	}
	when, ok := isoTime(stated, time.UTC)
	if err != nil || !ok || stream != "stdout" && stream != "stderr" {
		add(Record{Text: string(line), Cut: cut, Malformed: true})
		return
	}
	p := d.Streams[stream]
	if p == nil {
		p = &part{Time: when}
		d.Streams[stream] = p
	}
	whole := strings.HasSuffix(text, "\n")
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	fields = append(rest, event.Field{Key: "stream", Value: stream})
	switch {
	case p.Skip:
	case len(p.Text)+len(text) > MaxLine:
		add(Record{Text: string(p.Text) + text[:MaxLine-len(p.Text)], Time: p.Time, Fields: fields, Cut: true})
		p.Text, p.Skip = nil, true
	default:
		p.Text = append(p.Text, text...)
		if whole {
			add(Record{Text: string(p.Text), Time: p.Time, Fields: fields})
		}
	}
	if whole {
		delete(d.Streams, stream)
	}
}

func (d *docker) due(time.Time, func(Record)) {} // the end of a line comes, or the container is gone

func (d *docker) missed() {} // a part whose beginning is gone is a line

func (d *docker) held() []byte {
	if len(d.Streams) == 0 {
		return nil
	}
	text, _ := json.Marshal(d) // texts and times
	return text
}
