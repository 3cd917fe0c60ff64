package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/doorward/doorward/store"
)

const partitionPrefix = "event_"

// partitions keeps the events of each day in a partition of the table event. It has connections of its own:
// a batch must not wait for a write of the state, nor that for a batch.
type partitions struct {
	db *sql.DB
	// Only the writer uses these. made are the partitions that are known to be there; doubt is set after a
	// copy whose answer did not arrive, so that its rows may be stored or not.
	made  map[day]*tallied
	doubt bool
}

func openPartitions(ctx context.Context, db *store.DB) (*partitions, error) {
	pool, err := db.SeparatePool(4)
	if err != nil {
		return nil, err
	}
	p := &partitions{db: pool, made: map[day]*tallied{}}
	if err := p.change(ctx, sqlTableSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("make table: %w", err), pool.Close())
	}
	if err := p.makeCounters(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make counters: %w", err), pool.Close())
	}
	return p, nil
}

// makeCounters makes the tables of the counters. Events from before they were counted are counted now.
func (p *partitions) makeCounters(ctx context.Context) error {
	days, err := p.days(ctx)
	if err != nil {
		return err
	}
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, lock := range []string{sqlTableLock, sqlTallyLock} {
		if _, err := tx.ExecContext(ctx, lock); err != nil {
			return err
		}
	}
	var counted int
	if err := tx.QueryRowContext(ctx, sqlTableCounted).Scan(&counted); err != nil || counted > 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(sqlTallySchema, "BYTEA")); err != nil {
		return err
	}
	for _, d := range days {
		err := recount(ctx, tx, d, func(use func(*row) bool) error { return p.read(ctx, d, everything(), use) })
		if err != nil {
			return fmt.Errorf("count the events of %s: %w", d, err)
		}
	}
	return tx.Commit()
}

func (p *partitions) ask(_ context.Context, _ day, f func(*sql.DB) error) error { return f(p.db) }

// change runs a statement that defines something. The lock keeps gateways that start together from making
// the same table at once, which PostgreSQL answers with an error even for IF NOT EXISTS.
func (p *partitions) change(ctx context.Context, statement string) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, sqlTableLock); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, statement); err != nil {
		return err
	}
	return tx.Commit()
}

// name is the partition's table. It is made of digits only, so it needs no quoting.
func (p *partitions) name(d day) string {
	return partitionPrefix + strings.ReplaceAll(d.String(), "-", "_")
}

func (p *partitions) days(ctx context.Context) ([]day, error) {
	rows, err := p.db.QueryContext(ctx, sqlDays)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var days []day
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		text, ok := strings.CutPrefix(name, partitionPrefix)
		if d, isDay := parseDay(strings.ReplaceAll(text, "_", "-")); ok && isDay {
			days = append(days, d)
		}
	}
	return days, rows.Err()
}

func (p *partitions) write(ctx context.Context, d day, rows []row) error {
	if p.made[d] == nil {
		if err := p.change(ctx, fmt.Sprintf(sqlPartition, p.name(d), d.start(), (d+1).start())); err != nil {
			return fmt.Errorf("make partition: %w", err)
		}
		counts := newTallied()
		if err := counts.load(ctx, p.db, d); err != nil {
			return fmt.Errorf("read sites: %w", err)
		}
		p.made[d] = &counts
	}
	if p.doubt {
		// A copy is stored whole or not at all, and the writer repeats it as it was: one row tells.
		var count int
		if err := p.db.QueryRowContext(ctx, fmt.Sprintf(sqlIsThere, p.name(d)), rows[0].at, rows[0].tail).Scan(&count); err != nil {
			return fmt.Errorf("look for events of the last try: %w", err)
		}
		if p.doubt = false; count > 0 {
			return nil
		}
	}
	if err := p.copy(ctx, d, rows); err != nil {
		clear(p.made) // a partition may have been dropped meanwhile: make sure of it at the next try
		var refused *pgconn.PgError
		p.doubt = !errors.As(err, &refused)
		return fmt.Errorf("copy events: %w", err)
	}
	return nil
}

func (p *partitions) copy(ctx context.Context, d day, rows []row) (err error) {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	err = conn.Raw(func(raw any) error {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			return errors.New("the PostgreSQL driver cannot copy")
		}
		columns := []string{"at", "tail", "kind", "action", "source", "user_name", "site", "extra"}
		_, err := c.Conn().CopyFrom(ctx, pgx.Identifier{p.name(d)}, columns, &copySource{rows: rows})
		return err
	})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlTallyLock); err != nil {
		return err
	}
	if err := p.made[d].add(ctx, tx, d, rows); err != nil {
		return fmt.Errorf("count events: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	p.made[d].settle()
	return nil
}

// copySource gives rows to COPY.
type copySource struct {
	rows   []row
	at     int
	values [8]any
}

func (s *copySource) Next() bool { s.at++; return s.at <= len(s.rows) }
func (s *copySource) Err() error { return nil }
func (s *copySource) Values() ([]any, error) {
	r := &s.rows[s.at-1]
	s.values = [8]any{r.at, r.tail, r.kind, nullable(r.action), nullable(r.source), nullable(r.user), nullable(r.site), r.extra}
	return s.values[:], nil
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (p *partitions) read(ctx context.Context, d day, f filter, use func(*row) bool) error {
	conditions, args := f.where([]any{f.from, f.to, f.limit})
	rows, err := p.db.QueryContext(ctx, fmt.Sprintf(sqlTableQuery, p.name(d), conditions), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var action, source, user, site sql.NullString
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.at, &r.tail, &r.kind, &action, &source, &user, &site, &r.extra); err != nil {
			return err
		}
		r.action, r.source, r.user, r.site = action.String, source.String, user.String, site.String
		if !use(&r) {
			break
		}
	}
	return rows.Err()
}

func (p *partitions) remove(ctx context.Context, d day) error {
	if err := p.change(ctx, fmt.Sprintf(sqlDrop, p.name(d))); err != nil {
		return err
	}
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, sqlTallyLock); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlTallyMinutesDrop, d.minute(), (d + 1).minute()); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlTallyHoursDrop, d.hour(), (d + 1).hour()); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, sqlTallyBatchesDrop, int64(d)); err != nil {
		return err
	}
	return tx.Commit()
}

func (p *partitions) close() error { return p.db.Close() }

// order is what the rows of one moment are ordered by.
func (p *partitions) order(tail int64) int64 { return tail }
