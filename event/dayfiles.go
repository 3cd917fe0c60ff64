package event

import (
	"context"
	"database/sql"
	"database/sql/driver"
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
	// rowsPerInsert is the number of rows of one INSERT. The driver looks for each value among all that are
	// given, so that long statements cost more; 8 is where the cost for a row is lowest.
	rowsPerInsert = 8
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
			return file.db.Close()
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
		err = errors.Join(err, file.db.Close())
	}
	a.open = nil
	return err
}

func (a *dayFiles) read(ctx context.Context, d day, f filter, use func(*row) bool) (err error) {
	connector, err := store.SQLiteConnector(a.path(d), url.Values{"mode": {"rw"}, "_query_only": {"1"}})
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
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

// dayFile is one file open for writing, with its statements prepared on its one connection.
type dayFile struct {
	day  day
	info fs.FileInfo
	db   *sql.DB
	conn *sql.Conn
	many driver.Stmt // inserts rowsPerInsert rows
	one  driver.Stmt
	args []driver.NamedValue
}

func openDayFile(ctx context.Context, path string, d day) (*dayFile, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// NORMAL does not wait for the disk at each commit: a power cut may lose the last seconds of events, a
	// crash of this process loses none.
	connector, err := store.SQLiteConnector(path, url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"}, "_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"},
	})
	if err != nil {
		return nil, err
	}
	f := &dayFile{day: d, info: info, db: sql.OpenDB(connector)}
	if err := f.prepare(ctx); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	return f, nil
}

func (f *dayFile) prepare(ctx context.Context) (err error) {
	f.db.SetMaxOpenConns(1)
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	if _, err := f.conn.ExecContext(ctx, fmt.Sprintf(sqlFileSchema, f.day.start(), orderBits)); err != nil {
		return err
	}
	return f.conn.Raw(func(raw any) error {
		conn, ok := raw.(driver.ConnPrepareContext)
		if !ok {
			return errors.New("the SQLite driver cannot prepare statements")
		}
		if f.many, err = conn.PrepareContext(ctx, insertRows(rowsPerInsert)); err != nil {
			return err
		}
		f.one, err = conn.PrepareContext(ctx, insertRows(1))
		return err
	})
}

// insertRows is the INSERT of count rows. Its placeholders are plain question marks, because the driver
// compares each numbered one with every value as text.
func insertRows(count int) string {
	return sqlFileInsert + strings.TrimSuffix(strings.Repeat(sqlFileValues+", ", count), ", ")
}

// write stores rows in one transaction.
func (f *dayFile) write(ctx context.Context, rows []row) error {
	return f.conn.Raw(func(raw any) (err error) {
		conn, ok := raw.(driver.ConnBeginTx)
		if !ok {
			return errors.New("the SQLite driver cannot begin transactions")
		}
		tx, err := conn.BeginTx(ctx, driver.TxOptions{})
		if err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		if err := f.insert(rows); err != nil {
			return errors.Join(fmt.Errorf("insert events: %w", err), tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("commit events: %w", err)
		}
		return nil
	})
}

// insert runs without the caller's context: with one, the driver starts a goroutine for every statement.
func (f *dayFile) insert(rows []row) error {
	last := int64(-1)
	for len(rows) > 0 {
		stmt, n := f.one, 1
		if len(rows) >= rowsPerInsert {
			stmt, n = f.many, rowsPerInsert
		}
		f.args = f.args[:0]
		for i := range rows[:n] {
			last = f.bind(&rows[i], last)
		}
		exec, ok := stmt.(driver.StmtExecContext)
		if !ok {
			return errors.New("the SQLite driver cannot run prepared statements")
		}
		if _, err := exec.ExecContext(context.Background(), f.args); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// bind adds the values of r to the arguments. The rowid is the time in the day and the low bits of the
// tail, so that the table itself stands in the order of time; last is the rowid before.
func (f *dayFile) bind(r *row, last int64) int64 {
	id := (r.at-f.day.start())<<orderBits | r.tail&orderMask
	if id <= last { // two events of one microsecond, or its count has begun anew
		id = last + 1
		r.at = f.day.start() + id>>orderBits
		r.tail = r.tail&^orderMask | id&orderMask
	}
	f.arg(id)
	f.arg(r.tail)
	f.arg(r.kind)
	f.text(r.action)
	f.text(r.source)
	f.text(r.user)
	f.text(r.site)
	if len(r.extra) == 0 {
		f.arg(nil)
	} else {
		f.arg(r.extra)
	}
	return id
}

func (f *dayFile) text(s string) {
	if s == "" {
		f.arg(nil)
		return
	}
	f.arg(s)
}

func (f *dayFile) arg(v driver.Value) {
	f.args = append(f.args, driver.NamedValue{Ordinal: len(f.args) + 1, Value: v})
}
