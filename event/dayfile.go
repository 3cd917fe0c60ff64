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
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/doorward/doorward/store"
)

// rowsPerInsert is the number of rows of one INSERT. The driver looks for each value among all that are
// given, so that long statements cost more; 8 is where the cost for a row is lowest.
const rowsPerInsert = 8

// dayFile is one file open for writing, with its statements prepared on its one connection.
type dayFile struct {
	day  day
	info fs.FileInfo
	db   *sql.DB
	conn *sql.Conn
	many driver.Stmt // inserts rowsPerInsert rows
	one  driver.Stmt
	args []driver.NamedValue
	tallied
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
		"mode": {"rw"}, "_txlock": {"immediate"}, "_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"}, "_pragma": {"cache_size(-1024)"},
	})
	if err != nil {
		return nil, err
	}
	f := &dayFile{day: d, info: info, db: sql.OpenDB(connector), tallied: newTallied()}
	if err := f.prepare(ctx, path); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// close ends the statements, the connection and the pool, in that order: SQLite keeps a file open, and its
// write-ahead log beside it, as long as a statement is left.
func (f *dayFile) close() (err error) {
	if f.conn != nil {
		err = f.conn.Raw(func(any) (err error) {
			for _, stmt := range []driver.Stmt{f.many, f.one} {
				if stmt != nil {
					err = errors.Join(err, stmt.Close())
				}
			}
			return err
		})
		err = errors.Join(err, f.conn.Close())
	}
	return errors.Join(err, f.db.Close())
}

func (f *dayFile) prepare(ctx context.Context, path string) (err error) {
	f.db.SetMaxOpenConns(1)
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	if err := f.makeTables(ctx, path); err != nil {
		return err
	}
	if err := f.load(ctx, f.conn, f.day); err != nil {
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

// makeTables makes what is missing. A file from before events were counted is counted now.
func (f *dayFile) makeTables(ctx context.Context, path string) error {
	if _, err := f.conn.ExecContext(ctx, fmt.Sprintf(sqlFileSchema, f.day.start(), orderBits)); err != nil {
		return err
	}
	tx, err := f.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var counted int
	if err := tx.QueryRowContext(ctx, sqlFileCounted).Scan(&counted); err != nil || counted > 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(sqlTallySchema, "BLOB")); err != nil {
		return err
	}
	err = recount(ctx, tx, f.day, func(use func(*row) bool) error {
		return readDayFile(ctx, path, f.day, everything(), use)
	})
	if err != nil {
		return fmt.Errorf("count the events that are there: %w", err)
	}
	return tx.Commit()
}

// insertRows is the INSERT of count rows. Its placeholders are plain question marks, because the driver
// compares each numbered one with every value as text.
func insertRows(count int) string {
	return sqlFileInsert + strings.TrimSuffix(strings.Repeat(sqlFileValues+", ", count), ", ")
}

// write stores rows in one transaction. A single row that is there already is stored: the same event was
// written before, and the answer did not arrive.
func (f *dayFile) write(ctx context.Context, rows []row) error {
	err := f.transact(ctx, rows)
	for try := 0; len(rows) == 1 && taken(err) && try < maxCollisions; try++ {
		r := &rows[0]
		var tail int64
		if e := f.conn.QueryRowContext(ctx, sqlFileTail, f.id(r)).Scan(&tail); e != nil {
			return errors.Join(err, e)
		}
		if tail == r.tail {
			return nil
		}
		r.tail = r.tail&^orderMask | (r.tail+1)&orderMask // another event of this very microsecond
		err = f.transact(ctx, rows)
	}
	return err
}

// maxCollisions is how many other places are tried for a row whose place is taken.
const maxCollisions = 16

// taken tells whether a row of the same id exists.
func taken(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_CONSTRAINT
}

func (f *dayFile) id(r *row) int64 { return (r.at-f.day.start())<<orderBits | r.tail&orderMask }

func (f *dayFile) transact(ctx context.Context, rows []row) error {
	tx, err := f.conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer tx.Rollback()
	if err := f.conn.Raw(func(any) error { return f.insert(rows) }); err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	if err := f.add(ctx, tx, f.day, rows); err != nil {
		return fmt.Errorf("count events: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit events: %w", err)
	}
	f.settle()
	return nil
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
	id := f.id(r)
	if id <= last { // the same id twice in one batch
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
