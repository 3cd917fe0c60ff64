package decision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/store"
)

// MaxBatch is how many proposals one call of DecideAll or Import takes.
const MaxBatch = 5000

// maxAccounts caps the decisions about accounts: strangers choose the names that they try.
const maxAccounts = 10_000

// crowded is how long a ban for good lasts that no person made, once such hold half of the list. Whoever has enough addresses, a /44 of IPv6 for
// one, would otherwise fill the list for good, and nobody could be banned any more.
const crowded = 366 * 24 * time.Hour

// Outcome is what became of one proposal of a batch.
type Outcome struct {
	Decision Decision // zero where nothing was decided, and where a known key's decision has ended
	Result   Result
	Problem  string // of a refusal, in words for whoever proposed
}

// Decide is the door for what is not a person: it judges the proposal by the allow list and the caps, and makes, extends or leaves a decision.
// When it returns without an error, the outcome is committed. A refusal is a Result and no error. The errors are *InputError, and the store's:
// then nothing was decided, and the same proposal can be made again.
func (l *List) Decide(ctx context.Context, p Proposal, now time.Time) (Decision, Result, error) {
	clean, err := p.clean(now)
	if err != nil {
		l.counted.count(NotValid)
		return Decision{}, NotValid, fmt.Errorf("decide: %w", err)
	}
	out, err := l.decideAll(ctx, []Proposal{clean}, now, nil)
	if err != nil {
		return Decision{}, "", fmt.Errorf("decide: %w", err)
	}
	return out[0].Decision, out[0].Result, nil
}

// DecideAll is Decide for up to MaxBatch proposals in one transaction: either all outcomes are committed, or there is an error. A proposal
// that is not valid has the result NotValid and holds up no other.
func (l *List) DecideAll(ctx context.Context, ps []Proposal, now time.Time) ([]Outcome, error) {
	out, err := l.tryAll(ctx, ps, now, nil)
	if err != nil {
		return nil, fmt.Errorf("decide: %w", err)
	}
	return out, nil
}

// asker is a person who wants something decided, and must not lock themselves out.
type asker struct {
	address netip.Addr
	note    func(ctx context.Context, b *batch, out []Outcome) error
}

// tryAll cleans proposals, decides on those that are valid, and puts the outcomes in order.
func (l *List) tryAll(ctx context.Context, ps []Proposal, now time.Time, by *asker) ([]Outcome, error) {
	if len(ps) > MaxBatch {
		return nil, &InputError{"proposals", fmt.Sprintf("are more than %d at once", MaxBatch)}
	}
	out := make([]Outcome, len(ps))
	valid, at := make([]Proposal, 0, len(ps)), make([]int, 0, len(ps))
	for i, p := range ps {
		clean, err := p.clean(now)
		if err != nil {
			out[i] = Outcome{Result: NotValid, Problem: err.Error()}
			l.counted.count(NotValid)
			continue
		}
		valid, at = append(valid, clean), append(at, i)
	}
	if len(valid) == 0 {
		return out, nil
	}
	done, err := l.decideAll(ctx, valid, now, by)
	if err != nil {
		return nil, err
	}
	for i, o := range done {
		out[at[i]] = o
	}
	return out, nil
}

// decideAll decides on clean proposals.
func (l *List) decideAll(ctx context.Context, ps []Proposal, now time.Time, by *asker) ([]Outcome, error) {
	now = now.UTC()
	var out []Outcome
	err := l.change(ctx, now, func(b *batch) error {
		out = make([]Outcome, 0, len(ps))
		for _, p := range ps {
			o, err := l.judge(ctx, b, p, by)
			if err != nil {
				return err
			}
			out = append(out, o)
		}
		if by != nil {
			return by.note(ctx, b, out)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, o := range out {
		l.counted.count(o.Result)
		if by == nil {
			l.record(ps[i], o, now)
		}
	}
	return out, nil
}

// judge decides on one proposal.
func (l *List) judge(ctx context.Context, b *batch, p Proposal, by *asker) (Outcome, error) {
	cfg := l.cfg.Load()
	p, no := l.narrow(cfg, p, by)
	if no.Result != "" {
		return no, nil
	}
	if p.For == 0 && by == nil && l.book.forGood >= cfg.Max/2 {
		p.For = crowded
	}
	have := l.book.get(place{p.Target, p.Action})
	if have != nil && !have.Active(b.now) {
		have = nil
	}
	repeats := 0
	if p.Key != "" {
		before, known, err := b.offence(ctx, p, have == nil, cfg.Remember)
		switch {
		case err != nil:
			return Outcome{}, err
		case known && have != nil:
			return Outcome{Decision: *have, Result: Known}, nil
		case known:
			return Outcome{Result: Known}, nil
		}
		repeats = before
	}
	if have != nil {
		repeats = have.Repeats
	}
	var until time.Time
	if p.For > 0 {
		if until = p.At.Add(p.Escalate.length(p.For, repeats)); !until.After(b.now) {
			return Outcome{Result: Past, Problem: "would have ended at " + until.Format(time.RFC3339)}, nil
		}
	}
	if have != nil {
		d, result, err := b.merge(ctx, have, p, until)
		if err != nil {
			return Outcome{}, err
		}
		return Outcome{Decision: *d, Result: result}, nil
	}
	if full, err := b.makeRoom(ctx, cfg, p); err != nil || full {
		return Outcome{Result: Full, Problem: "the list is full of decisions for good"}, err
	}
	d, err := b.insert(ctx, p, until, repeats)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Decision: *d, Result: Made}, nil
}

// narrow holds a proposal about an address to the allow list and the widest network. A network that touches somebody allowed becomes the one
// address that led to the proposal, if there is one.
func (l *List) narrow(cfg *Config, p Proposal, by *asker) (Proposal, Outcome) {
	if p.Target.Kind != Address {
		return p, Outcome{}
	}
	problem := func(t netip.Prefix) (Result, string) {
		least := cfg.MinPrefix6
		if t.Addr().Is4() {
			least = cfg.MinPrefix4
		}
		if t.Bits() < least {
			return TooWide, "is wider than /" + strconv.Itoa(least) + ", the widest that a decision may be (decisions.min_prefix4, min_prefix6)"
		}
		if by != nil && by.address.IsValid() && t.Contains(by.address.Unmap().WithZone("")) {
			if t.IsSingleIP() {
				return Allowed, "is the address that you use now"
			}
			return Allowed, "holds the address that you use now, " + by.address.Unmap().String()
		}
		if at, why, touched := l.allowed.Load().touches(t); touched {
			if at.Bits() <= t.Bits() {
				return Allowed, "is always allowed: " + why
			}
			return Allowed, "holds " + Target{Kind: Address, Prefix: at}.Short() + ", which is always allowed: " + why
		}
		return "", ""
	}
	result, text := problem(p.Target.Prefix)
	if result == "" {
		return p, Outcome{}
	}
	source := single(p.Source)
	if p.Source.IsValid() && source != p.Target.Prefix && p.Target.Prefix.Contains(source.Addr()) {
		if again, _ := problem(source); again == "" {
			p.Target.Prefix = source
			return p, Outcome{}
		}
	}
	return p, Outcome{Result: result, Problem: text}
}

// offence notes that a trigger was answered, and returns how many decisions the target had before. known: it was answered already.
func (b *batch) offence(ctx context.Context, p Proposal, counts bool, remember time.Duration) (before int, known bool, err error) {
	target, at := p.Target.String(), store.Micros(p.At)
	result, err := b.exec(ctx, sqlAddOffence, p.Key, target, at, store.Micros(b.now), flag(counts))
	if err != nil {
		return 0, false, fmt.Errorf("note offence: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return 0, err == nil, err
	}
	b.l.untidy.Add(1)
	if err := b.one(ctx, sqlCountOffences, []any{target, at - remember.Microseconds(), at}, &before); err != nil {
		return 0, false, fmt.Errorf("count offences: %w", err)
	}
	return before - flag(counts), false, nil // without this one
}

// makeRoom displaces what ends soonest where a cap is reached. full: everything is for good.
func (b *batch) makeRoom(ctx context.Context, cfg *Config, p Proposal) (full bool, err error) {
	book := b.l.book
	if p.Spoofable && len(book.spoofable) >= cfg.MaxSpoofable {
		if err := b.end(ctx, book.soonest(book.spoofable), "displaced"); err != nil {
			return false, err
		}
		b.counts = append(b.counts, func() { b.l.counted.spoofableDisplaced.Add(1) })
	}
	if _, replaced := book.places[place{p.Target, p.Action}]; replaced {
		return false, nil // by what ran out there
	}
	if p.Target.Kind == Account && len(book.accounts) >= maxAccounts {
		if err := b.end(ctx, book.soonest(book.accounts), "displaced"); err != nil {
			return false, err
		}
		b.counts = append(b.counts, func() { b.l.counted.displaced.Add(1) })
	}
	for len(book.places) >= cfg.Max {
		first := book.ends[0].d
		if first.Until.IsZero() {
			return true, nil
		}
		if err := b.end(ctx, first, "displaced"); err != nil {
			return false, err
		}
		b.counts = append(b.counts, func() { b.l.counted.displaced.Add(1) })
	}
	return false, nil
}

// record makes an event of what became of a proposal that no person made. What changed nothing is none: an attacker would fill the record. What
// came too late is one: a log in another zone than its source states has nobody banned, and this alone shows why.
func (l *List) record(p Proposal, o Outcome, now time.Time) {
	if l.events == nil || o.Result == Standing || o.Result == Known {
		return
	}
	e := event.Event{Time: now, Class: event.Detection, Action: string(p.Action), Outcome: event.Success, Severity: event.Medium,
		Fields: []event.Field{{Key: "target", Value: p.Target.Short()}, {Key: "origin", Value: p.Origin}, {Key: "reason", Value: p.Reason},
			{Key: "result", Value: string(o.Result)}}}
	switch {
	case p.Target.Kind == Account:
		e.User = p.Target.Name
	case p.Source.IsValid():
		e.Source = p.Source.Unmap()
	case p.Target.Kind == Address:
		e.Source = p.Target.Prefix.Addr()
	}
	if o.Result.Refused() {
		e.Outcome, e.Severity = event.Refused, event.Low
		e.Fields = append(e.Fields, event.Field{Key: "problem", Value: o.Problem})
	} else {
		until := "for good"
		if !o.Decision.Until.IsZero() {
			until = o.Decision.Until.Format(time.RFC3339)
		}
		e.Fields = append(e.Fields, event.Field{Key: "decision", Value: o.Decision.ID}, event.Field{Key: "until", Value: until},
			event.Field{Key: "repeats", Value: strconv.Itoa(o.Decision.Repeats)})
		if len(p.Evidence) > 0 {
			e.Fields = append(e.Fields, event.Field{Key: "evidence", Value: p.Evidence[0]})
		}
	}
	l.events.Append(e)
}

var errNoWho = errors.New("nobody is answerable for the change")
