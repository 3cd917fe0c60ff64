package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/doorward/doorward/store"
)

const (
	filePrefix, fileSuffix = "events-", ".db"
	// openFiles is how many day files stay open for writing: today's, and yesterday's around midnight.
	openFiles = 2
)

// dayFiles keeps the events of each day in a SQLite file of its own.
type dayFiles struct {
	dir  string
	mu   sync.Mutex // of open; only the writer and remove use it
	open []*dayFile // the last one used is last
}

// openDayFiles makes the folder if it is missing. It is made here only: a folder that disappears later is a
// disk that is not mounted, and must not be replaced by one on the disk below.
func openDayFiles(dir string) (*dayFiles, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &dayFiles{dir: dir}, nil
}

func (a *dayFiles) path(d day) string {
	return filepath.Join(a.dir, filePrefix+d.String()+fileSuffix)
}

func (a *dayFiles) days(context.Context) ([]day, error) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, err
	}
	var days []day
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), filePrefix)
		name, isFile := strings.CutSuffix(name, fileSuffix)
		if d, isDay := parseDay(name); ok && isFile && isDay {
			days = append(days, d)
		}
	}
	return days, nil
}

func (a *dayFiles) write(ctx context.Context, d day, rows []row) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	file, err := a.get(ctx, d)
	if err != nil {
		return err
	}
	if err := file.write(ctx, rows); err != nil {
		// The next try begins with a fresh connection; a statement of this one may be half done.
		return errors.Join(err, a.drop(d))
	}
	return nil
}

// get returns the open file of day d, and makes sure that it is still the one that others will find.
func (a *dayFiles) get(ctx context.Context, d day) (*dayFile, error) {
	for i, file := range a.open {
		if file.day != d {
			continue
		}
		if now, err := os.Stat(a.path(d)); err == nil && os.SameFile(file.info, now) {
			a.open = append(append(a.open[:i:i], a.open[i+1:]...), file)
			return file, nil
		}
		if err := a.drop(d); err != nil {
			return nil, err
		}
		break
	}
	file, err := openDayFile(ctx, a.path(d), d)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", a.path(d), err)
	}
	a.open = append(a.open, file)
	if len(a.open) > openFiles {
		return file, a.drop(a.open[0].day)
	}
	return file, nil
}

// drop closes the file of day d, if it is open.
func (a *dayFiles) drop(d day) error {
	for i, file := range a.open {
		if file.day == d {
			a.open = append(a.open[:i:i], a.open[i+1:]...)
			return file.close()
		}
	}
	return nil
}

func (a *dayFiles) remove(_ context.Context, d day) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.drop(d)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if e := os.Remove(a.path(d) + suffix); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (a *dayFiles) close() (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, file := range a.open {
		err = errors.Join(err, file.close())
	}
	a.open = nil
	return err
}

func (a *dayFiles) read(ctx context.Context, d day, f filter, use func(*row) bool) error {
	return readDayFile(ctx, a.path(d), d, f, use)
}

// ask opens the day's file for reading only. One from before events were counted is counted first.
func (a *dayFiles) ask(ctx context.Context, d day, f func(*sql.DB) error) error {
	counted := false
	err := withDayFile(a.path(d), func(db *sql.DB) error {
		var tables int
		err := db.QueryRowContext(ctx, sqlFileCounted).Scan(&tables)
		if counted = tables > 0; !counted || err != nil {
			return err
		}
		return f(db)
	})
	if counted || err != nil {
		return err
	}
	file, err := openDayFile(ctx, a.path(d), d)
	if err != nil {
		return err
	}
	if err := file.close(); err != nil {
		return err
	}
	return withDayFile(a.path(d), f)
}

func withDayFile(path string, f func(*sql.DB) error) (err error) {
	connector, err := store.SQLiteConnector(path, url.Values{"mode": {"rw"}, "_query_only": {"1"}})
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(db)
}

func readDayFile(ctx context.Context, path string, d day, f filter, use func(*row) bool) error {
	return withDayFile(path, func(db *sql.DB) error { return readRows(ctx, db, d, f, use) })
}

func readRows(ctx context.Context, db *sql.DB, d day, f filter, use func(*row) bool) error {
	from, to := max(f.from, d.start())-d.start(), min(f.to, (d+1).start())-d.start()
	conditions, args := f.where([]any{from << orderBits, to << orderBits, f.limit})
	rows, err := db.QueryContext(ctx, fmt.Sprintf(sqlFileQuery, conditions), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var action, source, user, site sql.NullString
	for rows.Next() {
		var r row
		var id int64
		if err := rows.Scan(&id, &r.tail, &r.kind, &action, &source, &user, &site, &r.extra); err != nil {
			return err
		}
		r.at = d.start() + id>>orderBits
		r.action, r.source, r.user, r.site = action.String, source.String, user.String, site.String
		if !use(&r) {
			break
		}
	}
	return rows.Err()
}

// order is what the rows of one moment are ordered by.
func (a *dayFiles) order(tail int64) int64 { return tail & orderMask }
