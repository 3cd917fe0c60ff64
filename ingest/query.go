package ingest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/doorward/doorward/event"
)

// maxRows is how many rows are read at once; the rest comes with the next query.
const maxRows = 10_000

// Query is a source that reads rows of a database as an application adds them: its action log (M-18), for one.
type Query struct {
	status
	cfg SourceConfig
	db  *sql.DB
	log *slog.Logger
}

// NewQuery prepares a source that asks a database. It opens no connection.
func NewQuery(cfg SourceConfig, log *slog.Logger) (*Query, error) {
	text, err := os.ReadFile(cfg.DSNFile)
	if err != nil {
		return nil, fmt.Errorf("source %s: read the data source name: %w", cfg.Name, err)
	}
	q := &Query{cfg: cfg, log: log}
	dsn := strings.TrimSpace(string(text))
	switch cfg.Driver {
	case "mariadb":
		c, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, fmt.Errorf("source %s: the data source name cannot be read", cfg.Name) // the error may hold the password
		}
		c.Timeout, c.ReadTimeout, c.WriteTimeout = cfg.Timeout, cfg.Timeout, cfg.Timeout
		c.ParseTime, c.MultiStatements, c.AllowAllFiles = true, false, false
		connector, err := mysql.NewConnector(c)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", cfg.Name, err)
		}
		q.db = sql.OpenDB(connector)
	case "postgresql":
		c, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, fmt.Errorf("source %s: the data source name cannot be read", cfg.Name)
		}
		q.db = stdlib.OpenDB(*c)
	default:
		return nil, fmt.Errorf("source %s: driver %q is not known", cfg.Name, cfg.Driver)
	}
	q.db.SetMaxOpenConns(1)
	return q, nil
}

// Name is the source's name.
func (q *Query) Name() string { return q.cfg.Name }

// Run asks again and again until ctx ends or use fails; see Source. The key of a batch is "query", the position the last value
// of the column that grows.
func (q *Query) Run(ctx context.Context, positions map[string][]byte, use Use) error {
	defer q.db.Close()
	last := q.cfg.Start
	if p := positions["query"]; len(p) > 0 {
		last = string(p)
	}
	return q.again(ctx, func() error {
		for {
			n, err := q.ask(ctx, &last, use)
			if err != nil {
				return err
			}
			q.count(func(h *Health) { h.Problem = "" })
			if n >= maxRows {
				continue
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(q.cfg.Interval):
			}
		}
	})
}

// ask reads what is behind last, in a transaction that can write nothing.
func (q *Query) ask(ctx context.Context, last *string, use Use) (n int, err error) {
	limited, cancel := context.WithTimeout(ctx, q.cfg.Timeout)
	defer cancel()
	records, next, err := q.rows(limited, *last)
	if err != nil || len(records) == 0 {
		return 0, err
	}
	for from := 0; from < len(records); from += batchLen { // a batch's position must be behind its last row
		to := min(from+batchLen, len(records))
		if err := use(ctx, Batch{Key: "query", Records: records[from:to], Position: []byte(next[to-1])}); err != nil {
			return n, usedError{err}
		}
		*last = next[to-1]
		n += to - from
		q.counted(records[from:to])
	}
	return n, nil
}

func (q *Query) rows(ctx context.Context, last string) (records []Record, next []string, err error) {
	tx, err := q.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	rows, err := tx.QueryContext(ctx, q.cfg.Query, last)
	if err != nil {
		return nil, nil, fmt.Errorf("ask the database: %w", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, nil, fmt.Errorf("ask the database: %w", err)
	}
	values, pointers := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	size := 0
	for rows.Next() && len(records) < maxRows && size < 64*MaxLine {
		if err := rows.Scan(pointers...); err != nil {
			return nil, nil, fmt.Errorf("read a row: %w", err)
		}
		r, at := q.record(columns, values)
		if at == "" {
			return nil, nil, fmt.Errorf("the query gives no column %q that always has a value", q.cfg.Column)
		}
		size += len(r.Text)
		records, next = append(records, r), append(next, at)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("read the rows: %w", err)
	}
	return records, next, nil
}

// record makes a record of a row; at is where it stands.
func (q *Query) record(columns []string, values []any) (r Record, at string) {
	r.Source = q.cfg.Name
	object := make(map[string]string, len(columns))
	for i, name := range columns {
		var text string
		switch v := values[i].(type) {
		case nil:
			continue
		case []byte:
			text = string(v)
		case time.Time:
			text = v.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
			if name == q.cfg.TimeColumn {
				r.Time = v.UTC()
			}
		default:
			text = fmt.Sprint(v)
		}
		if len(text) > MaxLine {
			text, r.Cut = text[:MaxLine], true
		}
		if name == q.cfg.Column {
			at = text
		}
		if t, ok := readTime(text, time.UTC, time.Now()); ok && name == q.cfg.TimeColumn && r.Time.IsZero() {
			r.Time = t
		}
		if len(r.Fields) < maxFields {
			r.Fields = append(r.Fields, event.Field{Key: name, Value: text})
		}
		object[name] = text
	}
	text, _ := json.Marshal(object) // texts
	r.Text = string(text)
	return r, at
}

var errQuery = errors.New("must be one SELECT with ORDER BY on the column and one place (? or $1) for its last value")

// checkQuery says whether a query looks like one that reads from a place on. What it may read is up to the rights of its user.
func checkQuery(driver, query string) error {
	upper := strings.ToUpper(strings.TrimSpace(query))
	place := "?"
	if driver == "postgresql" {
		place = "$1"
	}
	if !strings.HasPrefix(upper, "SELECT ") && !strings.HasPrefix(upper, "WITH ") || strings.Contains(query, ";") ||
		!strings.Contains(upper, "ORDER BY") || strings.Count(query, place) != 1 {
		return errQuery
	}
	return nil
}
