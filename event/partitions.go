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
	made  map[day]bool
	doubt bool
}

func openPartitions(ctx context.Context, db *store.DB) (*partitions, error) {
	pool, err := db.SeparatePool(4)
	if err != nil {
		return nil, err
	}
	p := &partitions{db: pool, made: map[day]bool{}}
	if err := p.change(ctx, sqlTableSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("make table: %w", err), pool.Close())
	}
	return p, nil
}

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
	if !p.made[d] {
		if err := p.change(ctx, fmt.Sprintf(sqlPartition, p.name(d), d.start(), (d+1).start())); err != nil {
			return fmt.Errorf("make partition: %w", err)
		}
		p.made[d] = true
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
	return conn.Raw(func(raw any) error {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			return errors.New("the PostgreSQL driver cannot copy")
		}
		columns := []string{"at", "tail", "kind", "action", "source", "user_name", "site", "extra"}
		_, err := c.Conn().CopyFrom(ctx, pgx.Identifier{p.name(d)}, columns, &copySource{rows: rows})
		return err
	})
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
	return p.change(ctx, fmt.Sprintf(sqlDrop, p.name(d)))
}

func (p *partitions) close() error { return p.db.Close() }
