package decision

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/store"
)

// batch is the changes of one transaction. It works on the list's book directly, which the list's lock keeps others from, and remembers how
// to undo that, because a transaction may fail, or be run again.
type batch struct {
	l        *List
	tx       *sql.Tx
	now      time.Time
	revision int64
	before   map[place]*Decision // what stood there when the batch began
	order    []place
	counts   []func() // to be done once it is committed
	prepared map[string]*sql.Stmt
}

// exec runs a statement. Reading it takes the store longer than doing it, so that one which comes again is prepared; the transaction's
// end closes it.
func (b *batch) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = b.l.db.Local(ctx)
	s, err := b.statement(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case s != nil:
		return s.ExecContext(ctx, args...)
	}
	return b.tx.ExecContext(ctx, query, args...)
}

// one reads one row, like exec.
func (b *batch) one(ctx context.Context, query string, args []any, into ...any) error {
	ctx = b.l.db.Local(ctx)
	s, err := b.statement(ctx, query)
	switch {
	case err != nil:
		return err
	case s != nil:
		return s.QueryRowContext(ctx, args...).Scan(into...)
	}
	return b.tx.QueryRowContext(ctx, query, args...).Scan(into...)
}

// statement is a prepared statement from its second use on; before, nil.
func (b *batch) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	s, again := b.prepared[query]
	if !again {
		b.prepared[query] = nil
		return nil, nil
	}
	if s != nil {
		return s, nil
	}
	s, err := b.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	b.prepared[query] = s
	return s, nil
}

// change runs f in a transaction, and once that is committed puts what it changed in force. The caller must not hold l.mu.
func (l *List) change(ctx context.Context, now time.Time, f func(b *batch) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b *batch
	err := l.db.Write(ctx, func(tx *sql.Tx) error {
		if b != nil {
			b.undo()
		}
		b = &batch{l: l, tx: tx, now: now, before: make(map[place]*Decision), prepared: make(map[string]*sql.Stmt)}
		if err := b.begin(ctx); err != nil {
			return err
		}
		if err := f(b); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, sqlSetHead, b.revision)
		return err
	})
	if err != nil {
		if b != nil {
			b.undo()
		}
		return err
	}
	l.publish(b)
	return nil
}

// begin takes the head's row, and reads what other nodes changed since.
func (b *batch) begin(ctx context.Context) error {
	if err := b.tx.QueryRowContext(ctx, sqlTakeHead).Scan(&b.revision); err != nil {
		return fmt.Errorf("take head: %w", err)
	}
	if b.revision == b.l.seen {
		return nil
	}
	rows, err := b.tx.QueryContext(ctx, sqlChanged, b.l.seen, b.revision)
	if err != nil {
		return fmt.Errorf("read changes: %w", err)
	}
	return b.takeRows(rows)
}

// takeRows takes over what other nodes changed.
func (b *batch) takeRows(rows *sql.Rows) error {
	defer rows.Close()
	for rows.Next() {
		d, ended, err := scan(rows, nil)
		if err != nil {
			return err
		}
		p := place{d.Target, d.Action}
		switch held := b.l.book.get(p); {
		case ended.IsZero() && d.Active(b.now):
			b.put(d)
		case held != nil && held.ID == d.ID:
			b.remove(p)
		}
	}
	return rows.Err()
}

func (b *batch) touch(p place) {
	if _, known := b.before[p]; !known {
		b.before[p] = b.l.book.get(p)
		b.order = append(b.order, p)
	}
}

func (b *batch) put(d *Decision) {
	b.touch(place{d.Target, d.Action})
	b.l.book.put(d)
}

func (b *batch) remove(p place) {
	b.touch(p)
	b.l.book.remove(p)
}

func (b *batch) undo() {
	for p, d := range b.before {
		if d == nil {
			b.l.book.remove(p)
		} else {
			b.l.book.put(d)
		}
	}
	b.before, b.order = make(map[place]*Decision), nil
}

// next is the number of one more change.
func (b *batch) next() int64 {
	b.revision++
	return b.revision
}

// insert makes a new decision of a proposal.
func (b *batch) insert(ctx context.Context, p Proposal, until time.Time, repeats int) (*Decision, error) {
	id, err := store.NewID()
	if err != nil {
		return nil, err
	}
	n := b.next()
	d := &Decision{ID: id, Number: n, Action: p.Action, Target: p.Target, Origin: p.Origin, Reason: p.Reason,
		Created: b.now.UTC().Truncate(time.Microsecond), Until: until, Repeats: repeats, Spoofable: p.Spoofable, revision: n}
	evidence, err := json.Marshal(p.Evidence)
	if err != nil {
		return nil, err
	}
	target := d.Target.String()
	for range 2 {
		done, err := b.exec(ctx, sqlInsert, d.ID, d.Number, d.revision, target, d.Action, d.Origin, d.Reason, string(evidence),
			store.Micros(d.Created), store.Micros(d.Until), d.Repeats, flag(d.Spoofable))
		if err != nil {
			return nil, fmt.Errorf("insert decision: %w", err)
		}
		if rows, err := done.RowsAffected(); err != nil || rows > 0 {
			b.put(d)
			return d, err
		}
		if _, err := b.exec(ctx, sqlVacate, target, d.Action); err != nil {
			return nil, fmt.Errorf("vacate target: %w", err)
		}
	}
	return nil, errOccupied
}

// errOccupied is not reached: the place was vacated in the same transaction.
var errOccupied = errors.New("insert decision: the target's place is taken")

// merge adds a proposal to the decision that stands: nothing is ever shortened.
func (b *batch) merge(ctx context.Context, have *Decision, p Proposal, until time.Time) (*Decision, Result, error) {
	next, result := *have, Standing
	next.Spoofable = have.Spoofable && p.Spoofable
	if (&Decision{Until: until}).outlasts(have.Until) {
		next.Until, next.Origin, next.Reason, result = until, p.Origin, p.Reason, Extended
	}
	if result == Standing && len(p.Evidence) == 0 && next.Spoofable == have.Spoofable {
		return have, Standing, nil
	}
	evidence, err := b.evidence(ctx, have.ID)
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(addEvidence(evidence, p.Evidence))
	if err != nil {
		return nil, "", err
	}
	if result == Extended || next.Spoofable != have.Spoofable {
		next.revision = b.next()
	}
	if _, err := b.exec(ctx, sqlChange, next.revision, store.Micros(next.Until), next.Origin, next.Reason, string(text),
		flag(next.Spoofable), next.ID); err != nil {
		return nil, "", fmt.Errorf("extend decision: %w", err)
	}
	if next.revision != have.revision {
		b.put(&next)
	}
	return &next, result, nil
}

func (b *batch) evidence(ctx context.Context, id string) ([]string, error) {
	var text string
	if err := b.one(ctx, sqlEvidence, []any{id}, &text); err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	return parseEvidence(text)
}

func parseEvidence(text string) ([]string, error) {
	var lines []string
	if err := json.Unmarshal([]byte(text), &lines); err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	return lines, nil
}

// end ends a standing decision.
func (b *batch) end(ctx context.Context, d *Decision, why string) error {
	if _, err := b.exec(ctx, sqlEnd, b.next(), store.Micros(b.now), why, d.ID); err != nil {
		return fmt.Errorf("end decision: %w", err)
	}
	b.remove(place{d.Target, d.Action})
	return nil
}

func flag(set bool) int {
	if set {
		return 1
	}
	return 0
}

// publish puts a committed batch in force; the caller holds l.mu.
func (l *List) publish(b *batch) {
	l.seen = b.revision
	l.untidy.Add(int64(len(b.order)))
	draft := l.snapshot.Load().draft(len(b.order))
	var added, removed []*Decision
	changed := false
	for _, p := range b.order {
		old, now := b.before[p], l.book.get(p)
		if old == now {
			continue
		}
		changed = true
		draft.put(p.target, p.action, now)
		if now != nil {
			added = append(added, now)
		} else {
			removed = append(removed, old)
		}
	}
	if changed {
		l.snapshot.Store(draft.next)
		l.tell(added, removed)
	}
	for _, count := range b.counts {
		count()
	}
}
