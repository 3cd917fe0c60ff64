package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

func (d day) minute() int64 { return d.start() / minuteMicros }
func (d day) hour() int64   { return d.start() / hourMicros }

// querier is a connection, a transaction or a pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tallied is what a writer remembers of a day whose counters it writes.
type tallied struct {
	sites  map[string]bool // those that are counted apart
	folded int             // batches since the summaries were put together
	tally  *tally
}

// newTallied begins with putting together what a process before may have left.
func newTallied() tallied {
	return tallied{sites: map[string]bool{}, folded: foldEvery, tally: newTally()}
}

// load reads which sites are counted apart.
func (c *tallied) load(ctx context.Context, q querier, d day) error {
	rows, err := q.QueryContext(ctx, sqlSites, d.minute(), (d + 1).minute())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var site string
		if err := rows.Scan(&site); err != nil {
			return err
		}
		if site != OtherSites {
			c.sites[site] = true
		}
	}
	return rows.Err()
}

// add counts rows in the transaction that stores them.
func (c *tallied) add(ctx context.Context, tx *sql.Tx, d day, rows []row) error {
	c.tally.reset()
	c.tally.count(rows, c.sites)
	if err := c.tally.write(ctx, tx, d); err != nil {
		return err
	}
	if c.folded < foldEvery {
		return nil
	}
	return fold(ctx, tx, d)
}

// settle notes that what was added last is stored.
func (c *tallied) settle() {
	if c.folded++; c.folded > foldEvery {
		c.folded = 1
	}
}

// write adds the sums to those of day d.
func (t *tally) write(ctx context.Context, tx *sql.Tx, d day) error {
	for _, m := range t.sorted() {
		if _, err := tx.ExecContext(ctx, sqlMinuteAdd, m.minute, m.kind, m.site, m.count); err != nil {
			return fmt.Errorf("add to minute: %w", err)
		}
	}
	err := t.encoded(func(hour int64, data []byte) error {
		_, err := tx.ExecContext(ctx, sqlHourAdd, hour, 1, data)
		return err
	})
	if err != nil {
		return fmt.Errorf("add summaries: %w", err)
	}
	var last int64
	if err := tx.QueryRowContext(ctx, sqlBatchLast, int64(d)).Scan(&last); err != nil {
		return fmt.Errorf("find last batch: %w", err)
	}
	if _, err := tx.ExecContext(ctx, sqlBatchAdd, int64(d), last+1, t.arrivals); err != nil {
		return fmt.Errorf("add batch: %w", err)
	}
	return nil
}

// fold puts the summaries of single batches together with those of their hour.
func fold(ctx context.Context, tx *sql.Tx, d day) error {
	hours := map[int64]*lists{}
	if err := take(ctx, tx, d.hour(), (d + 1).hour(), 1, hours); err != nil {
		return err
	}
	for hour, l := range hours {
		if err := take(ctx, tx, hour, hour+1, 0, hours); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, sqlHourAdd, hour, 0, l.append(nil)); err != nil {
			return fmt.Errorf("write summaries: %w", err)
		}
	}
	return nil
}

// take removes stored summaries and adds them to hours. One that is damaged is left out.
func take(ctx context.Context, tx *sql.Tx, from, to, part int64, hours map[int64]*lists) error {
	rows, err := tx.QueryContext(ctx, sqlHourTake, from, to, part)
	if err != nil {
		return fmt.Errorf("take summaries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var hour int64
		var data []byte
		if err := rows.Scan(&hour, &data); err != nil {
			return fmt.Errorf("take summaries: %w", err)
		}
		l := hours[hour]
		if l == nil {
			l = &lists{}
			hours[hour] = l
		}
		if err := l.mergeFrom(data); err != nil && !errors.Is(err, errSummary) {
			return err
		}
	}
	return rows.Err()
}

// recount counts the events of a day that are stored already, a batch at a time.
func recount(ctx context.Context, tx *sql.Tx, d day, read func(use func(*row) bool) error) error {
	c := newTallied()
	c.folded = 0
	var batch []row
	var failure error
	flush := func() bool {
		if len(batch) > 0 {
			failure = c.add(ctx, tx, d, batch)
			c.settle()
			batch = batch[:0]
		}
		return failure == nil
	}
	err := read(func(r *row) bool {
		// What cannot be read of an event is not listed; the event counts all the same.
		if e, err := r.event(); err == nil {
			r.path = listedPath(&e)
		}
		batch = append(batch, *r)
		return len(batch) < batchChunks*chunkSize || flush()
	})
	if failure == nil && err == nil {
		flush()
	}
	return errors.Join(failure, err)
}
