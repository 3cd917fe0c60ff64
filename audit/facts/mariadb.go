package facts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	maxDatabaseUsers  = 2000  // accounts of a database server that are read
	maxDatabaseGrants = 20000 // lines of SHOW GRANTS
)

// MariaDB is the MariaDB or MySQL server of the host: what its option files say, and what the running server itself
// says over its unix socket.
type MariaDB struct {
	Installed bool   `cel:"installed"`
	Version   string `cel:"version"` // of the running server
	// Options are the server's options in its option files, with _ in the names. The command line and the running server
	// may say otherwise.
	Options map[string]Setting `cel:"options"`
	// Variables are those of the running server: bind_address, skip_networking, port, local_infile, secure_file_priv,
	// skip_name_resolve, have_ssl, require_secure_transport, general_log.
	Variables map[string]Setting `cel:"variables"`
	// Listens says whether the running server takes connections by TCP, and Addresses on which addresses.
	Listens   bool     `cel:"listens"`
	Addresses []string `cel:"addresses"`
	Loopback  bool     `cel:"loopback"` // all of Addresses are the host itself
	// Users are all accounts; roles are not accounts.
	Users []MariaDBUser `cel:"users"`
	// TestDatabases are databases that every account may use: test, and rights to test or test_…
	TestDatabases []TestDatabase `cel:"test_databases"`
	Origin        string         `cel:"origin"`
}

// MariaDBUser is one account of the server.
type MariaDBUser struct {
	User string `cel:"user"` // empty: anonymous
	Host string `cel:"host"`
	// Local says that the account can be used from this host only: localhost, 127.0.0.1 or ::1.
	Local  bool   `cel:"local"`
	Plugin string `cel:"plugin"`
	// OpenPassword says that the account can be signed in to with an empty password.
	OpenPassword bool `cel:"open_password"`
	Locked       bool `cel:"locked"`
	// All says that it has every right on every database, and Super, File, Process, CreateUser and Grant that it has that
	// right on every database: grant is WITH GRANT OPTION on anything.
	All        bool     `cel:"all"`
	Super      bool     `cel:"super"`
	File       bool     `cel:"file"`
	CreateUser bool     `cel:"create_user"`
	Grant      bool     `cel:"grant"`
	Global     []string `cel:"global"` // all rights on *.*
	// System says that it may change the server's own database, mysql, and with it every account.
	System bool   `cel:"system"`
	Origin string `cel:"origin"`
}

// TestDatabase is what is left of the database that an installation makes for everybody.
type TestDatabase struct {
	Name   string `cel:"name"`
	Why    string `cel:"why"`
	Origin string `cel:"origin"`
}

func collectMariaDB(ctx context.Context, h *Host, t Target) (MariaDB, []Missing) {
	ctx, cancel := context.WithDeadline(ctx, t.deadline(ctx))
	defer cancel()
	m := MariaDB{Origin: "my.cnf"}
	program := h.Look("/usr/sbin/mariadbd", "/usr/sbin/mysqld", "/usr/libexec/mariadbd", "/usr/libexec/mysqld", "/usr/local/mysql/bin/mysqld")
	m.Installed = program != "" || t.MariaDB.Socket != ""
	var lost []Missing
	options, unread := readOptions(h)
	m.Options = options
	if len(unread) > 0 {
		lost = append(lost, Missing{"options", oneReason(unread)})
	}
	live := []string{"version", "variables", "listens", "addresses", "loopback", "users", "test_databases"}
	without := func(reason string) (MariaDB, []Missing) {
		for _, field := range live {
			lost = append(lost, Missing{field, reason})
		}
		return m, lost
	}
	if !m.Installed {
		return without("there is no MariaDB or MySQL server")
	}
	if !h.Live() {
		return without(ErrNotLive.Error())
	}
	db, err := openMariaDB(h, t.MariaDB, options)
	if err != nil {
		return without(because(err))
	}
	defer db.Close()
	if err := m.ask(ctx, db); err != nil {
		return without(because(err))
	}
	return m, lost
}

// openMariaDB connects over the server's socket.
func openMariaDB(h *Host, d Database, options map[string]Setting) (*sql.DB, error) {
	config, err := mariadbConfig(h, d, options)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("connect to MariaDB: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}

// mariadbConfig says how to connect: as declared, else as root over the socket that the option files name.
func mariadbConfig(h *Host, d Database, options map[string]Setting) (*mysql.Config, error) {
	config := mysql.NewConfig()
	config.Net, config.User, config.Timeout, config.ReadTimeout = "unix", d.User, 2*time.Second, 2500*time.Millisecond
	if config.User == "" {
		config.User = "root"
	}
	config.Addr = d.Socket
	if config.Addr == "" {
		config.Addr = options["socket"].Value
	}
	if config.Addr == "" {
		config.Addr = "/run/mysqld/mysqld.sock"
	}
	if d.PasswordFile != "" {
		secret, err := h.ReadFile(d.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the password for MariaDB: %w", err)
		}
		config.Passwd = strings.TrimRight(string(secret), "\r\n")
	}
	config.Logger = &mysql.NopLogger{}
	return config, nil
}

// ask reads what the server says. It writes nothing.
func (m *MariaDB) ask(ctx context.Context, db *sql.DB) error {
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&m.Version); err != nil {
		return fmt.Errorf("ask MariaDB: %w", err)
	}
	if err := m.variables(ctx, db); err != nil {
		return fmt.Errorf("ask MariaDB for its variables: %w", err)
	}
	if err := m.users(ctx, db); err != nil {
		return fmt.Errorf("ask MariaDB for its accounts: %w", err)
	}
	if err := m.tests(ctx, db); err != nil {
		return fmt.Errorf("ask MariaDB for test databases: %w", err)
	}
	return nil
}

func (m *MariaDB) variables(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('bind_address', 'skip_networking', 'port', 'local_infile',
		'secure_file_priv', 'skip_name_resolve', 'have_ssl', 'require_secure_transport', 'general_log')`)
	if err != nil {
		return err
	}
	defer rows.Close()
	m.Variables = map[string]Setting{}
	for rows.Next() {
		var name string
		var value sql.NullString
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		m.Variables[name] = Setting{value.String, "SHOW GLOBAL VARIABLES"}
	}
	m.Listens = m.Variables["skip_networking"].Value != "ON" && m.Variables["port"].Value != "0"
	m.Addresses, m.Loopback = []string{}, true
	if m.Listens {
		// An empty address and * are every address, as is the default of MySQL.
		for _, address := range strings.Split(m.Variables["bind_address"].Value, ",") {
			address = strings.TrimSpace(address)
			ip := net.ParseIP(address)
			m.Addresses = append(m.Addresses, address)
			m.Loopback = m.Loopback && (address == "localhost" || ip != nil && ip.IsLoopback())
		}
	}
	return rows.Err()
}

// users reads the accounts with their rights.
func (m *MariaDB) users(ctx context.Context, db *sql.DB) error {
	// MySQL and MariaDB before 10.4 keep whether an account is locked in a column, MariaDB since then in a document.
	columns, err := columnsOf(ctx, db, "user")
	if err != nil {
		return err
	}
	lock, secret, role := "'N'", "IFNULL(authentication_string, '')", "'N'"
	if columns["account_locked"] {
		lock = "account_locked"
	}
	if columns["password"] {
		secret = "IF(IFNULL(authentication_string, '') = '', IFNULL(Password, ''), authentication_string)"
	}
	if columns["is_role"] {
		role = "is_role"
	}
	if extra, err := columnsOf(ctx, db, "global_priv"); err == nil && extra["priv"] {
		lock = "(SELECT IF(JSON_VALUE(g.Priv, '$.account_locked') = 1, 'Y', 'N') FROM mysql.global_priv g WHERE g.User = u.User AND g.Host = u.Host)"
	}
	rows, err := db.QueryContext(ctx, fmt.Sprintf("SELECT u.User, u.Host, IFNULL(u.plugin, ''), %s = '', %s = 'Y' FROM mysql.user u WHERE %s <> 'Y' LIMIT %d",
		secret, lock, role, maxDatabaseUsers))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var u MariaDBUser
		var empty bool
		if err := rows.Scan(&u.User, &u.Host, &u.Plugin, &empty, &u.Locked); err != nil {
			return err
		}
		u.Local = slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Host)
		u.OpenPassword = empty && slices.Contains([]string{"", "mysql_native_password", "mysql_old_password", "caching_sha2_password", "sha256_password", "ed25519", "parsec"}, u.Plugin)
		u.Origin = "mysql.user"
		m.Users = append(m.Users, u)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(m.Users) == maxDatabaseUsers {
		return fmt.Errorf("there are %d or more", maxDatabaseUsers)
	}
	if err := m.alternatives(ctx, db); err != nil {
		return err
	}
	left := maxDatabaseGrants
	for i := range m.Users {
		if err := m.Users[i].grants(ctx, db, &left); err != nil {
			return err
		}
	}
	return nil
}

// columnsOf tells the columns of a table of the server's own database, in small letters.
func columnsOf(ctx context.Context, db *sql.DB, table string) (map[string]bool, error) {
	rows, err := db.QueryContext(ctx, "SELECT LOWER(COLUMN_NAME) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = ?", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		columns[name] = true
	}
	if len(columns) == 0 && rows.Err() == nil {
		return nil, errors.New("the account may not read mysql." + table)
	}
	return columns, rows.Err()
}
