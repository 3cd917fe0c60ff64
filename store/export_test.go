package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/pressly/goose/v3"
)

// OpenAt makes the database of cfg with the schema of an older version, as an older Doorward left it. A
// version beyond the newest is written without a migration, as a newer Doorward would leave it.
func OpenAt(ctx context.Context, cfg Config, version int64) (*DB, error) {
	open := openSQLite
	db := &DB{dialect: SQLite, cfg: cfg}
	if cfg.URLFile != "" {
		db.dialect, open = PostgreSQL, openPostgreSQL
	}
	p, err := open(ctx, cfg, func(ctx context.Context, db *sql.DB, dialect Dialect) error {
		return withProvider(db, dialect, func(p *goose.Provider) error {
			_, newest, err := p.GetVersions(ctx)
			if err != nil {
				return err
			}
			if _, err := p.UpTo(ctx, min(version, newest)); err != nil {
				return err
			}
			if version <= newest {
				return nil
			}
			_, err = db.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, version, true)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	db.pools.Store(p)
	return db, nil
}

// Newest is the newest schema version this program knows.
func Newest() (int64, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 {
		return 0, errors.New("no migrations")
	}
	return goose.NumericComponent(entries[len(entries)-1].Name())
}

// ExecWriter runs a statement outside a transaction on the one write connection of SQLite.
func (db *DB) ExecWriter(ctx context.Context, statement string) error {
	_, err := db.pools.Load().write.ExecContext(ctx, statement)
	return err
}
