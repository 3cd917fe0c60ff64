package facts

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // applications that keep their data in a file

	"github.com/doorward/doorward/rules"
)

const (
	maxStored   = 2000 // accounts of one application that are read
	maxCompared = 20   // stored passwords that are compared with one of the delivery
)

// commonPasswords are those that everybody tries first.
func commonPasswords() (map[string]bool, error) {
	text, err := fs.ReadFile(rules.Passwords(), "common.txt")
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line != "#" && !strings.HasPrefix(line, "# ") {
			all[line] = true
		}
	}
	return all, nil
}

// stored reads what the application keeps in its database.
func (r *appReader) stored(ctx context.Context, app App, kind appKind, d AppDatabase, lost error) {
	a := kind.accounts
	fields := map[string]bool{"accounts": a.Users.SQL == "", "default_passwords": a.Users.SQL == "", "hashes": a.Users.SQL == "", "admins": a.Admins.SQL == "", "defaults": len(a.Defaults) == 0}
	for field, unknown := range fields {
		if unknown {
			if field != "defaults" {
				r.lose(app, fmt.Sprintf("where an application of the kind %s keeps it is not known", cmp.Or(app.Kind, "generic")), field)
			}
			delete(fields, field)
		}
	}
	if len(fields) == 0 {
		return
	}
	give := func(err error) {
		for field := range fields {
			r.lose(app, because(err), field)
		}
	}
	if lost != nil {
		give(lost)
		return
	}
	db, err := r.open(d)
	if err != nil {
		give(err)
		return
	}
	defer db.Close()
	if a.Users.SQL != "" {
		if err := r.users(ctx, app, kind, db, d); err != nil {
			r.lose(app, because(err), "accounts", "default_passwords", "hashes")
		}
	}
	if a.Admins.SQL != "" {
		rows, err := query(ctx, db, d.Engine, a.Admins.SQL, 1)
		if err != nil {
			r.lose(app, because(err), "admins")
		}
		for _, row := range rows {
			r.facts.Admins = append(r.facts.Admins, AppAdmin{app.Name, row[0], d.Engine + " " + d.Name})
		}
	}
	r.defaults(ctx, app, a, db, d)
}

// defaults reads what a new account gets.
func (r *appReader) defaults(ctx context.Context, app App, a appAccounts, db *sql.DB, d AppDatabase) {
	for _, want := range a.Defaults {
		rows, err := query(ctx, db, d.Engine, want.SQL, 1)
		if err != nil {
			r.lose(app, because(err), "defaults")
			continue
		}
		value := ""
		if len(rows) > 0 {
			value = rows[0][0]
		}
		n, ok := number(value)
		if !ok {
			r.lose(app, fmt.Sprintf("%s is %q", want.Name, value), "defaults")
			continue
		}
		r.facts.Defaults = append(r.facts.Defaults, AppDefault{app.Name, want.Name, value, n, d.Engine + " " + d.Name})
	}
}

// open connects to an application's database: to a file anywhere, to a server only on the running system.
func (r *appReader) open(d AppDatabase) (*sql.DB, error) {
	if d.Engine == "sqlite" {
		return r.openFile(d.Name)
	}
	if !r.h.Live() {
		return nil, ErrNotLive
	}
	if !d.local() {
		return nil, fmt.Errorf("its database is on another host, %s", d.Host)
	}
	if d.Engine == "postgresql" {
		reader := &clusterReader{h: r.h}
		reader.all()
		config, err := postgresConfig(r.h, r.t.PostgreSQL, reader.clusters, d.Name)
		if err != nil {
			return nil, err
		}
		db := stdlib.OpenDB(*config)
		db.SetMaxOpenConns(1)
		return db, nil
	}
	options, _ := readOptions(r.h) // only the socket's place is taken from them
	config, err := mariadbConfig(r.h, r.t.MariaDB, options)
	if err != nil {
		return nil, err
	}
	config.DBName = d.Name
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}

// openFile opens a database file for reading, by a descriptor, so that no link leads out of the host's root. What has not
// reached the file itself is not seen.
func (r *appReader) openFile(name string) (*sql.DB, error) {
	f, err := r.h.open(name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	db, err := sql.Open("sqlite", fmt.Sprintf("file:/proc/self/fd/%d?mode=ro&immutable=1", f.Fd()))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := db.Ping(); err != nil { // opens it, while the descriptor is there
		db.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return db, nil
}

// query runs one reading statement of an application's folder, in a transaction that may not write.
func query(ctx context.Context, db *sql.DB, engine, text string, columns int) ([][]string, error) {
	if !strings.HasPrefix(text, "SELECT ") {
		return nil, errors.New("a query of an application's folder begins with SELECT")
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: engine != "sqlite"}) // the file is open for reading only
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][]string
	for rows.Next() {
		row, into := make([]sql.NullString, columns), make([]any, columns)
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var texts []string
		for _, value := range row {
			texts = append(texts, value.String)
		}
		if all = append(all, texts); len(all) > maxStored {
			return nil, fmt.Errorf("there are more than %d rows", maxStored)
		}
	}
	return all, rows.Err()
}

// users reads the accounts, counts how their passwords are kept, and looks for those of the delivery.
func (r *appReader) users(ctx context.Context, app App, kind appKind, db *sql.DB, d AppDatabase) error {
	rows, err := query(ctx, db, d.Engine, kind.accounts.Users.SQL, 3)
	if err != nil {
		return err
	}
	origin := d.Engine + " " + d.Name
	counts := map[string]AppHashes{}
	for _, row := range rows {
		scheme, slow := passwordScheme(row[1])
		if scheme == "none" {
			continue
		}
		h := counts[scheme]
		counts[scheme] = AppHashes{app.Name, scheme, slow, h.Count + 1, origin}
	}
	for _, scheme := range sortedKeys(counts) {
		r.facts.Hashes = append(r.facts.Hashes, counts[scheme])
	}
	for _, known := range kind.accounts.Accounts {
		account := AppAccount{App: app.Name, Name: known.Name, Origin: origin}
		at := slices.IndexFunc(rows, func(row []string) bool { return strings.EqualFold(row[0], known.Name) })
		if at >= 0 {
			account.Exists = true
			account.Scheme, _ = passwordScheme(rows[at][1])
			account.Enabled = rows[at][2] == "1" && account.Scheme != "none"
		}
		r.facts.Accounts = append(r.facts.Accounts, account)
		works := false
		for _, password := range known.Passwords {
			if works || !account.Enabled {
				break
			}
			matches, compared := r.matches(rows[at][1], password)
			if works = matches; !compared {
				r.lose(app, fmt.Sprintf("the password of %s is kept as %s, which is not compared", known.Name, account.Scheme), "default_passwords")
			}
		}
		r.facts.DefaultPasswords = append(r.facts.DefaultPasswords, AppDefaultPassword{app.Name, known.Name, works, "stored password", origin})
	}
	return nil
}
