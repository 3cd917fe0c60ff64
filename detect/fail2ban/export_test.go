package fail2ban

import (
	"maps"
	"time"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// RawJail is a jail as text, for the comparison with fail2ban's own readers.
type RawJail struct {
	Options map[string]string `json:"options"`
	Filter  map[string]string `json:"filter"`
	Actions []RawAction       `json:"actions"`
	Error   string            `json:"error"`
}

// RawAction is an action as text.
type RawAction struct {
	File    string            `json:"file"`
	Options map[string]string `json:"options"`
}

func plain(d *dict) map[string]string {
	if d == nil {
		return nil
	}
	return maps.Clone(d.values)
}

// RawJails reads every jail, also those that are off.
func (c *Config) RawJails() (map[string]RawJail, error) {
	p, names, err := c.jails()
	if err != nil {
		return nil, err
	}
	all := map[string]RawJail{}
	for _, name := range names {
		j, err := c.readJail(p, name, true)
		if err != nil {
			all[name] = RawJail{Error: err.Error()}
			continue
		}
		raw := RawJail{Options: plain(j.options), Filter: plain(j.fopts), Actions: []RawAction{}}
		for _, a := range j.actions {
			raw.Actions = append(raw.Actions, RawAction{File: a.file, Options: plain(a.options)})
		}
		all[name] = raw
	}
	return all, nil
}

// RawFilter is a filter's options without a jail.
func (c *Config) RawFilter(name string) (map[string]string, error) {
	d, err := c.filterOptions(name, nil)
	return plain(d), err
}

// Seconds reads a span.
func Seconds(text string) (float64, error) { return seconds(text) }

// Tags are the names that captures can have.
func (f *Filter) Tags() []string { return f.tags }

// Steps are what the last line took, of its date and of the expressions, and the most that each may take.
func (f *Filter) Steps() (date, rest, maxDate, maxRest int) {
	most := func(d time.Duration) int { b := pyre.NewBudget(d); n := b.Left(); return n }
	return f.dates.budget.Spent(), f.budget.Spent(), most(maxDateTime), most(maxLineTime)
}

// Gate is a gate by itself.
type Gate struct{ g *gate }

// NewGate is a gate of texts, each with the bits that it stands for.
func NewGate(texts map[string]uint64, fold bool) Gate {
	g := &gate{}
	g.build(texts, fold)
	return Gate{g}
}

// Seen are the bits of the texts in a line whose date was cut out.
func (g Gate) Seen(before, after string) uint64 {
	return g.g.seen(splitLine{before: before, after: after})
}

// Sieved tells whether most bytes are passed over.
func (g Gate) Sieved() bool { return g.g.sieve.step > 0 }
