package fail2ban

import (
	"encoding/json"
	"fmt"
	"time"
)

// savedFilter is what a filter knows from line to line.
type savedFilter struct {
	Version     int               `json:"version"`
	LastText    string            `json:"last_text"`
	LastDate    time.Time         `json:"last_date"`
	Buffer      [][3]string       `json:"buffer"`
	Connections []savedConnection `json:"connections"`
	Dates       json.RawMessage   `json:"dates,omitempty"`
}

type savedConnection struct {
	ID      string       `json:"id"`
	Fields  []savedField `json:"fields"`
	User    string       `json:"user,omitempty"`
	Several bool         `json:"several,omitempty"`
	Lines   []string     `json:"lines,omitempty"`
	Waiting []string     `json:"waiting,omitempty"`
	Pending bool         `json:"pending,omitempty"`
	First   time.Time    `json:"first"`
}

type savedField struct {
	Name  string   `json:"name"`
	Value string   `json:"value"`
	Parts []string `json:"parts,omitempty"`
}

// savedVersion is the layout of what State writes.
const savedVersion = 1

// State is what the filter knows from line to line, to be kept with the place in the log up to which it was read. It is at most some
// megabytes: the lines of maxlines, and the open connections.
func (f *Filter) State() ([]byte, error) {
	s := savedFilter{Version: savedVersion, LastText: f.lastText, LastDate: f.lastDate}
	if f.maxLines > 1 {
		for _, l := range f.buffer {
			s.Buffer = append(s.Buffer, [3]string{l.before, l.date, l.after})
		}
	}
	for _, id := range f.open.order {
		c := f.open.byID[id]
		saved := savedConnection{ID: id, User: c.name, Several: c.several, Lines: c.lines, Waiting: c.waiting, Pending: c.pending, First: c.first}
		for _, v := range c.fields {
			if v.set {
				saved.Fields = append(saved.Fields, savedField{Name: v.name, Value: v.value, Parts: v.parts})
			}
		}
		s.Connections = append(s.Connections, saved)
	}
	var err error
	if s.Dates, err = f.dates.State(); err != nil {
		return nil, fmt.Errorf("filter %s: state of the dates: %w", f.name, err)
	}
	return json.Marshal(s)
}

// Restore takes what State gave, of the same filter with the same options. After an error the filter is as it was.
func (f *Filter) Restore(state []byte) error {
	var s savedFilter
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("filter %s: saved state: %w", f.name, err)
	}
	if s.Version != savedVersion {
		return fmt.Errorf("filter %s: saved state is of version %d, not %d", f.name, s.Version, savedVersion)
	}
	if len(s.Connections) > connections || len(s.Buffer) > f.maxLines {
		return fmt.Errorf("filter %s: saved state holds more than the filter keeps", f.name)
	}
	open := newConnectionCache()
	for _, saved := range s.Connections {
		c := &connection{name: saved.User, several: saved.Several, lines: saved.Lines, waiting: saved.Waiting, pending: saved.Pending, first: saved.First}
		for _, v := range saved.Fields {
			c.fields.place(field{name: v.Name, value: v.Value, set: true, parts: v.Parts})
		}
		open.set(saved.ID, c, saved.First)
	}
	if err := f.dates.Restore(s.Dates); err != nil {
		return fmt.Errorf("filter %s: saved state of the dates: %w", f.name, err)
	}
	f.open, f.lastText, f.lastDate, f.buffer = open, s.LastText, s.LastDate, nil
	for _, l := range s.Buffer {
		f.buffer = append(f.buffer, splitLine{before: l[0], date: l[1], after: l[2]})
	}
	return nil
}
