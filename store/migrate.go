package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// NewerError is returned for a database whose schema is newer than this program.
type NewerError struct {
	// Found is the schema version of the database, Known the newest one this program has.
	Found, Known int64
}

// Error says what was found and what to do about it.
func (e *NewerError) Error() string {
	return fmt.Sprintf("the database has schema version %d, written by a newer Doorward; this one knows up to %d: "+
		"run the newer Doorward, or restore the backup made before the upgrade", e.Found, e.Known)
}

// migration prepares the schema of a database that was just opened.
type migration func(ctx context.Context, db *sql.DB, dialect Dialect) error

// migrateForward applies every migration that the database does not have yet.
func migrateForward(ctx context.Context, db *sql.DB, dialect Dialect) error {
	return withProvider(db, dialect, func(p *goose.Provider) error {
		if err := refuseNewer(ctx, p); err != nil {
			return err
		}
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("bring the schema forward: %w", err)
		}
		return nil
	})
}

// migrateNothing only checks that the database has exactly the schema this program knows.
func migrateNothing(ctx context.Context, db *sql.DB, dialect Dialect) error {
	return withProvider(db, dialect, func(p *goose.Provider) error {
		if err := refuseNewer(ctx, p); err != nil {
			return err
		}
		found, known, err := p.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		if found != known {
			return fmt.Errorf("the database has schema version %d, not %d", found, known)
		}
		return nil
	})
}

func refuseNewer(ctx context.Context, p *goose.Provider) error {
	found, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if found > known {
		return &NewerError{Found: found, Known: known}
	}
	return nil
}

// withProvider runs f with goose's view of db. The provider is not closed: that would close db.
func withProvider(db *sql.DB, dialect Dialect, f func(*goose.Provider) error) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	kind := database.DialectSQLite3
	if dialect == PostgreSQL {
		kind = database.DialectPostgres
	}
	p, err := goose.NewProvider(kind, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return f(p)
}
