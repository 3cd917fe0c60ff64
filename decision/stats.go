package decision

import "sync/atomic"

type counters struct {
	made, extended, standing, known                atomic.Uint64
	allowed, tooWide, past, full, invalid          atomic.Uint64
	displaced, spoofableDisplaced, expired, lifted atomic.Uint64
	allowEnded, namesFailed, forgotten, resynced   atomic.Uint64
}

// Stats is what a List has to say to those who watch it. All but the first three are counted since the start.
type Stats struct {
	Addresses, Accounts, Countries int // targets that have decisions

	Made, Extended, Standing, Known     uint64 // proposals by their result
	Allowed, TooWide, Past, Full, Wrong uint64 // proposals that were refused, by why

	Displaced          uint64 // decisions that ended early because the list was full
	SpoofableDisplaced uint64 // the same of those that datagrams alone led to
	Expired, Lifted    uint64 // decisions that ran out, and that somebody ended
	AllowEnded         uint64 // decisions that ended because the allow list grew
	NamesFailed        uint64 // look-ups of the allow list's names without an answer
	Forgotten          uint64 // offences and ended decisions that were forgotten before their time, because there were too many
	Resynced           uint64 // watchers that fell behind and had to read everything again
}

// Stats returns the list's numbers.
func (l *List) Stats() Stats {
	s, c := l.snapshot.Load(), &l.counted
	return Stats{Addresses: s.prefixes.Size(), Accounts: len(s.accounts), Countries: len(s.countries),
		Made: c.made.Load(), Extended: c.extended.Load(), Standing: c.standing.Load(), Known: c.known.Load(),
		Allowed: c.allowed.Load(), TooWide: c.tooWide.Load(), Past: c.past.Load(), Full: c.full.Load(), Wrong: c.invalid.Load(),
		Displaced: c.displaced.Load(), SpoofableDisplaced: c.spoofableDisplaced.Load(), Expired: c.expired.Load(), Lifted: c.lifted.Load(),
		AllowEnded: c.allowEnded.Load(), NamesFailed: c.namesFailed.Load(), Forgotten: c.forgotten.Load(), Resynced: c.resynced.Load()}
}

func (c *counters) count(r Result) {
	switch r {
	case Made:
		c.made.Add(1)
	case Extended:
		c.extended.Add(1)
	case Standing:
		c.standing.Add(1)
	case Known:
		c.known.Add(1)
	case Allowed:
		c.allowed.Add(1)
	case TooWide:
		c.tooWide.Add(1)
	case Past:
		c.past.Add(1)
	case Full:
		c.full.Add(1)
	case NotValid:
		c.invalid.Add(1)
	}
}
