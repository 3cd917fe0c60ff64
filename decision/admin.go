package decision

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/doorward/doorward/journal"
	"github.com/doorward/doorward/store"
)

// Actor is a person who changes the list.
type Actor struct {
	Name   string // an account's name, or cli:USER
	Origin string // the address the change comes from, or local
	// Address is the address that the person uses now, if it is known: a decision that would hit it is refused.
	Address netip.Addr
}

// RefusedError is why a person's proposal was refused. It is written for that person.
type RefusedError struct {
	Result  Result
	Problem string // the rest of a sentence that begins with the target
	Target  Target
}

// Error is the sentence.
func (e *RefusedError) Error() string { return e.Target.Short() + " " + e.Problem }

// note appends a journal row in the batch's transaction.
func (b *batch) note(ctx context.Context, by Actor, action, target string, before, after any) error {
	if by.Name == "" {
		return errNoWho // fails closed
	}
	e := journal.Entry{Actor: by.Name, Origin: by.Origin, Action: action, Target: target}
	for _, part := range []struct {
		to   *string
		what any
	}{{&e.Before, before}, {&e.After, after}} {
		if part.what == nil {
			continue
		}
		text, err := json.Marshal(part.what)
		if err != nil {
			return err
		}
		*part.to = string(text)
	}
	return b.l.journal.Append(ctx, b.tx, e)
}

// entry is a decision as the journal keeps it.
type entry struct {
	ID     string `json:"id,omitempty"`
	Action Action `json:"action"`
	Target string `json:"target"`
	Origin string `json:"origin"`
	Reason string `json:"reason,omitempty"`
	Until  string `json:"until"`
	Result Result `json:"result,omitempty"`
}

func entryOf(d *Decision, r Result) entry {
	e := entry{ID: d.ID, Action: d.Action, Target: d.Target.String(), Origin: d.Origin, Reason: d.Reason, Until: "for good", Result: r}
	if !d.Until.IsZero() {
		e.Until = d.Until.Format(time.RFC3339)
	}
	return e
}

// Add is Decide for a person: it is journalled in its own transaction, and a refusal is a *RefusedError.
func (l *List) Add(ctx context.Context, by Actor, p Proposal, now time.Time) (Decision, Result, error) {
	clean, err := p.clean(now)
	if err != nil {
		return Decision{}, NotValid, fmt.Errorf("add decision: %w", err)
	}
	out, err := l.decideAll(ctx, []Proposal{clean}, now, &asker{by.Address, func(ctx context.Context, b *batch, out []Outcome) error {
		o := out[0]
		if o.Result.Refused() {
			return nil
		}
		return b.note(ctx, by, "decision.add", o.Decision.Target.Short(), nil, entryOf(&o.Decision, o.Result))
	}})
	if err != nil {
		return Decision{}, "", fmt.Errorf("add decision: %w", err)
	}
	if o := out[0]; o.Result.Refused() {
		return Decision{}, o.Result, &RefusedError{o.Result, o.Problem, clean.Target}
	}
	return out[0].Decision, out[0].Result, nil
}

// tally is what the journal keeps of an import: how many there were, and a hash by which the list can be recognised.
type tally struct {
	Results map[Result]int `json:"results"`
	SHA256  string         `json:"sha256"`
}

// Import is Add for up to MaxBatch proposals in one transaction, with one row of the journal. Those that are refused hold up no other.
func (l *List) Import(ctx context.Context, by Actor, name string, ps []Proposal, now time.Time) ([]Outcome, error) {
	sum := sha256.New()
	for _, p := range ps {
		fmt.Fprintf(sum, "%s %s %d\n", p.Action, p.Target, p.For)
	}
	out, err := l.tryAll(ctx, ps, now, &asker{by.Address, func(ctx context.Context, b *batch, out []Outcome) error {
		t := tally{Results: make(map[Result]int), SHA256: hex.EncodeToString(sum.Sum(nil))}
		for _, o := range out {
			t.Results[o.Result]++
		}
		return b.note(ctx, by, "decision.import", line(name, maxOrigin), nil, t)
	}})
	if err != nil {
		return nil, fmt.Errorf("import decisions: %w", err)
	}
	return out, nil
}

// Delete lifts a decision by its id, or every decision about a target in its text form. What led to it does not count for escalation any more.
// It returns what was lifted. The errors are ErrNotFound and *InputError.
func (l *List) Delete(ctx context.Context, by Actor, which, reason string, now time.Time) ([]Decision, error) {
	var lifted []Decision
	err := l.change(ctx, now, func(b *batch) error {
		lifted = nil
		list, err := l.pick(which, now)
		if err != nil {
			return err
		}
		for _, d := range list {
			if err := b.lift(ctx, by, d, reason); err != nil {
				return err
			}
			lifted = append(lifted, *d)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("delete decision: %w", err)
	}
	return lifted, nil
}

// pick finds standing decisions by id or target; the caller holds l.mu.
func (l *List) pick(which string, now time.Time) ([]*Decision, error) {
	if h := l.book.ids[which]; h != nil && h.d.Active(now) {
		return []*Decision{h.d}, nil
	}
	target, err := ParseTarget(which)
	if err != nil {
		if len(which) == 36 {
			return nil, ErrNotFound // an id's length
		}
		return nil, err
	}
	var list []*Decision
	for _, a := range Actions() {
		if d := l.book.get(place{target, a}); d != nil && d.Active(now) {
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		return nil, ErrNotFound
	}
	return list, nil
}

// lift ends a decision at a person's word.
func (b *batch) lift(ctx context.Context, by Actor, d *Decision, reason string) error {
	if err := b.end(ctx, d, "deleted"); err != nil {
		return err
	}
	if _, err := b.tx.ExecContext(ctx, sqlForgive, d.Target.String()); err != nil {
		return fmt.Errorf("forgive offences: %w", err)
	}
	b.counts = append(b.counts, func() { b.l.counted.lifted.Add(1) })
	why := struct {
		Reason string `json:"reason"`
	}{line(reason, maxReason)}
	return b.note(ctx, by, "decision.delete", d.Target.Short(), entryOf(d, ""), why)
}

// deleteBatch is how many decisions of an origin one transaction lifts.
const deleteBatch = 2000

// DeleteOrigin lifts every decision of an origin, such as import:list.txt, in transactions of 2,000 with one row of the journal each, and returns
// how many there were. ErrNotFound: there was none.
func (l *List) DeleteOrigin(ctx context.Context, by Actor, origin, reason string, now time.Time) (int, error) {
	total := 0
	for {
		n := 0
		err := l.change(ctx, now, func(b *batch) error {
			var err error
			n, err = b.liftOrigin(ctx, by, origin, reason)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("delete decisions of %s: %w", origin, err)
		}
		if total += n; n < deleteBatch {
			break
		}
	}
	if total == 0 {
		return 0, fmt.Errorf("delete decisions of %s: %w", origin, ErrNotFound)
	}
	return total, nil
}

func (b *batch) liftOrigin(ctx context.Context, by Actor, origin, reason string) (int, error) {
	ids, err := b.ofOrigin(ctx, origin)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	n := 0
	for _, id := range ids {
		h := b.l.book.ids[id]
		if h == nil {
			continue // it has run out meanwhile
		}
		if err := b.end(ctx, h.d, "deleted"); err != nil {
			return 0, err
		}
		n++
	}
	b.counts = append(b.counts, func() { b.l.counted.lifted.Add(uint64(n)) })
	return len(ids), b.note(ctx, by, "decision.delete-origin", line(origin, maxOrigin), nil, struct {
		Decisions int    `json:"decisions"`
		Reason    string `json:"reason"`
	}{n, line(reason, maxReason)})
}

func (b *batch) ofOrigin(ctx context.Context, origin string) ([]string, error) {
	rows, err := b.tx.QueryContext(ctx, sqlOfOrigin, store.Micros(b.now), origin, deleteBatch)
	if err != nil {
		return nil, fmt.Errorf("find decisions: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Filter picks decisions. Zero fields pick all.
type Filter struct {
	Address netip.Addr // in the decision's network
	Target  Target     // exactly
	Origin  string     // the origin's beginning
	Action  Action
	After   int64 // only numbers beyond it: the last one of the page before
	Limit   int   // at most 1000, which is the default
}

const maxPage = 1000

// Find returns the standing decisions that f picks, with their evidence, in the order of their numbers.
func (l *List) Find(ctx context.Context, f Filter, now time.Time) ([]Decision, error) {
	out := []Decision{}
	if f.Address.IsValid() || f.Target.Kind != "" {
		for _, d := range l.about(f, now) {
			row := l.db.QueryRowContext(ctx, sqlOne, d.ID)
			full, _, err := scanFull(row)
			switch {
			case errors.Is(err, sql.ErrNoRows):
			case err != nil:
				return nil, fmt.Errorf("find decisions: %w", err)
			default:
				out = append(out, *full)
			}
		}
		return out, nil
	}
	if f.Limit <= 0 || f.Limit > maxPage {
		f.Limit = maxPage
	}
	rows, err := l.db.QueryContext(ctx, sqlPage, store.Micros(now), f.After, string(f.Action), f.Origin, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("find decisions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		d, _, err := scanFull(rows)
		if err != nil {
			return nil, fmt.Errorf("find decisions: %w", err)
		}
		out = append(out, *d)
	}
	return out, rows.Err()
}

func scanFull(row interface{ Scan(dest ...any) error }) (*Decision, time.Time, error) {
	var evidence string
	d, ended, err := scan(row, nil, &evidence)
	if err != nil {
		return nil, ended, err
	}
	d.Evidence, err = parseEvidence(evidence)
	return d, ended, err
}
