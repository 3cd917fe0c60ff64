package fail2ban

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// newDates is the finder of dates for a filter. given: the filter or the jail states a datepattern.
func newDates(pattern string, given bool, o Options) (*Dates, error) {
	var patterns []string
	if given {
		patterns = []string{pattern}
	}
	local := o.Local
	if local == nil {
		local = time.UTC
	}
	return NewDates(patterns, DateOptions{Location: local, Zone: o.LogTimezone})
}

// savedDates is which forms of a date were met, as that decides which one is tried first.
type savedDates struct {
	Forms       []savedForm `json:"forms"` // in the order in which they are tried
	FirstUnused int         `json:"first_unused"`
	Last        int         `json:"last"`
	Start       savedBorder `json:"start"`
	End         savedBorder `json:"end"`
}

type savedForm struct {
	Number   int       `json:"number"`
	Hits     int       `json:"hits"`
	Used     time.Time `json:"used"`
	Distance int       `json:"distance"`
}

type savedBorder struct {
	At      int    `json:"at"`
	Outside string `json:"outside"`
	Inside  string `json:"inside"`
}

func (d *Dates) state() ([]byte, error) {
	s := savedDates{FirstUnused: d.firstUnused, Last: d.last,
		Start: savedBorder{At: d.start.at, Outside: d.start.outside, Inside: d.start.inside},
		End:   savedBorder{At: d.end.at, Outside: d.end.outside, Inside: d.end.inside}}
	for _, c := range d.templates {
		s.Forms = append(s.Forms, savedForm{Number: c.number, Hits: c.hits, Used: c.used, Distance: c.distance})
	}
	return json.Marshal(s)
}

func (d *Dates) restore(state []byte) error {
	var s savedDates
	if err := json.Unmarshal(state, &s); err != nil {
		return err
	}
	if len(s.Forms) != len(d.templates) || s.Last < -1 || s.Last >= len(s.Forms) || s.FirstUnused < 0 || s.FirstUnused > len(s.Forms) {
		return fmt.Errorf("it is of another datepattern")
	}
	byNumber := slices.Clone(d.templates)
	slices.SortFunc(byNumber, func(a, b *candidate) int { return a.number - b.number })
	seen := make([]bool, len(s.Forms))
	ordered := make([]*candidate, len(s.Forms))
	for i, f := range s.Forms {
		if f.Number < 0 || f.Number >= len(seen) || seen[f.Number] {
			return fmt.Errorf("it names a form that is not there")
		}
		seen[f.Number] = true
		c := *byNumber[f.Number]
		c.hits, c.used, c.distance = f.Hits, f.Used, f.Distance
		ordered[i] = &c
	}
	d.templates, d.firstUnused, d.last = ordered, s.FirstUnused, s.Last
	d.start = border{at: s.Start.At, outside: s.Start.Outside, inside: s.Start.Inside}
	d.end = border{at: s.End.At, outside: s.End.Outside, inside: s.End.Inside}
	return nil
}
