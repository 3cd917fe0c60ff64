package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// openPostgreSQL connects to the database whose URL stands in cfg.URLFile and prepares its schema.
func openPostgreSQL(ctx context.Context, cfg Config, prepare migration) (*pools, error) {
	config, err := postgresConfig(cfg)
	if err != nil {
		return nil, err
	}
	p := &pools{write: stdlib.OpenDB(*config), read: stdlib.OpenDB(*config)}
	p.write.SetMaxOpenConns(1)
	p.read.SetMaxOpenConns(readers)
	p.read.SetMaxIdleConns(readers)
	if err := prepareShared(ctx, p, prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("open PostgreSQL database %s: %w", config.Database, err), p.close())
	}
	return p, nil
}

// prepareShared prepares the schema while no other gateway that starts on the same database does. The lock
// belongs to a connection, so that it ends with the process whatever happens.
func prepareShared(ctx context.Context, p *pools, prepare migration) (err error) {
	conn, err := p.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, sqlLockSchema); err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectLimit)
		defer cancel()
		_, e := conn.ExecContext(ctx, sqlUnlockSchema)
		err = errors.Join(err, e)
	}()
	return prepare(ctx, p.write, PostgreSQL)
}

// postgresConfig reads the URL and adds our defaults for what it does not say.
func postgresConfig(cfg Config) (*pgx.ConnConfig, error) {
	text, err := os.ReadFile(cfg.URLFile)
	if err != nil {
		return nil, fmt.Errorf("read PostgreSQL URL: %w", err)
	}
	config, err := pgx.ParseConfig(strings.TrimSpace(string(text)))
	if err != nil {
		// pgx's own message repeats the URL, and with some mistakes the password in it.
		return nil, fmt.Errorf("read PostgreSQL URL in %s: not a valid postgres:// URL", cfg.URLFile)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectLimit
	}
	setDefault(config.RuntimeParams, "application_name", "doorward")
	setDefault(config.RuntimeParams, "timezone", "UTC")
	// A process that stops in the middle of a transaction must not hold its locks against the others.
	setDefault(config.RuntimeParams, "idle_in_transaction_session_timeout", "20000")
	return config, nil
}

func setDefault(params map[string]string, key, value string) {
	if _, set := params[key]; !set {
		params[key] = value
	}
}

// PostgreSQL's error codes that this package decides on (PostgreSQL 15, appendix A).
const (
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
)

// collision tells whether a transaction failed only because another one came first.
func collision(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == codeSerialization || pg.Code == codeDeadlock)
}

// pause waits a random, growing time (1 to 64 ms) before the next try; false when ctx ended.
func pause(ctx context.Context, try int) bool {
	longest := time.Millisecond << min(try, 6)
	timer := time.NewTimer(rand.N(longest) + time.Millisecond/2)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// SeparatePool opens a pool of up to conns connections of its own to the PostgreSQL database, for bulk work
// that must neither wait for the state's writes nor hold them up. The caller closes it. SQLite has none.
func (db *DB) SeparatePool(conns int) (*sql.DB, error) {
	if db.dialect != PostgreSQL {
		return nil, errors.New("open separate pool: the database is not PostgreSQL")
	}
	config, err := postgresConfig(db.cfg)
	if err != nil {
		return nil, err
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(conns)
	return pool, nil
}
