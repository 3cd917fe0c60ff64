package fail2ban

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// savedDates is the state of Dates between two runs of the program. Its size is that of the list of templates, which
// does not grow.
type savedDates struct {
	Templates   []savedTemplate `json:"templates"`
	FirstUnused int             `json:"first_unused"`
	Last        int             `json:"last"`
	Start       savedBorder     `json:"start"`
	End         savedBorder     `json:"end"`
}

type savedTemplate struct {
	Number   int       `json:"number"`
	Hits     int       `json:"hits"`
	Tries    int       `json:"tries"`
	Used     time.Time `json:"used"`
	Distance int       `json:"distance"`
}

type savedBorder struct {
	At      int    `json:"at"`
	Outside string `json:"outside"`
	Inside  string `json:"inside"`
}

// State returns what the lines so far have taught, for Restore.
func (d *Dates) State() ([]byte, error) {
	s := savedDates{FirstUnused: d.firstUnused, Last: d.last, Start: savedBorder{d.start.at, d.start.outside, d.start.inside},
		End: savedBorder{d.end.at, d.end.outside, d.end.inside}}
	for _, c := range d.templates {
		s.Templates = append(s.Templates, savedTemplate{Number: c.number, Hits: c.hits, Tries: c.template.hits, Used: c.used, Distance: c.distance})
	}
	return json.Marshal(s)
}

var errOtherDates = errors.New("it belongs to another datepattern")

// Restore takes up a state of Dates that were made of the same patterns. After an error the Dates are as before.
func (d *Dates) Restore(state []byte) error {
	var s savedDates
	if err := json.Unmarshal(state, &s); err != nil {
		return fmt.Errorf("restore dates: %w", err)
	}
	n := len(d.templates)
	if len(s.Templates) != n || s.Last < -1 || s.Last >= n || s.FirstUnused < 0 || s.FirstUnused > n || s.Start.At < 0 || s.End.At < 0 {
		return fmt.Errorf("restore dates: %w", errOtherDates)
	}
	byNumber := make([]*candidate, n)
	for _, c := range d.templates {
		byNumber[c.number] = c
	}
	list := make([]*candidate, 0, n)
	for _, t := range s.Templates {
		if t.Number < 0 || t.Number >= n || byNumber[t.Number] == nil {
			return fmt.Errorf("restore dates: %w", errOtherDates)
		}
		list = append(list, byNumber[t.Number])
		byNumber[t.Number] = nil
	}
	for i, t := range s.Templates {
		c := list[i]
		c.hits, c.template.hits, c.used, c.distance = t.Hits, t.Tries, t.Used, t.Distance
	}
	d.templates, d.firstUnused, d.last, d.memo = list, s.FirstUnused, s.Last, memo{}
	d.beginning = d.beginning[:0]
	d.start = border{s.Start.At, s.Start.Outside, s.Start.Inside}
	d.end = border{s.End.At, s.End.Outside, s.End.Inside}
	return nil
}
