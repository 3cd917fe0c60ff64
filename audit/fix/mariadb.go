package fix

import (
	"context"
	"crypto/sha1" // the hash that mysql_native_password stores
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// sql runs statements as the administrator of the database and returns the rows, cells split. The client's own files are
// not read; the socket tells the server who asks, or PasswordFile does.
func (m *Machine) sql(ctx context.Context, statements string) ([][]string, error) {
	user, password := m.db.User, ""
	if user == "" {
		user = "root"
	}
	if m.db.PasswordFile != "" {
		text, err := os.ReadFile(m.db.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the database's password: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	return m.sqlAs(ctx, user, password, "", statements)
}

// sqlAs is sql under another account, over a TCP port of host when it is not empty. The password is in
// no command line.
func (m *Machine) sqlAs(ctx context.Context, user, password, host, statements string) ([][]string, error) {
	if !m.live {
		return nil, errOffline
	}
	program := m.host.Look("/usr/bin/mariadb", "/usr/bin/mysql")
	if program == "" {
		return nil, nothing("the client program mariadb is not installed")
	}
	var config strings.Builder
	fmt.Fprintf(&config, "[client]\nuser=%s\n", optionValue(user))
	if password != "" {
		fmt.Fprintf(&config, "password=%s\n", optionValue(password))
	}
	if m.db.Socket != "" && host == "" {
		fmt.Fprintf(&config, "socket=%s\n", optionValue(m.db.Socket))
	}
	// Neither passwords nor statements belong on a command line, which everybody can read.
	file, err := os.CreateTemp(m.private, "client-*.cnf") // 0600, in root's own folder
	if err != nil {
		return nil, fmt.Errorf("write the options of the client: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(config.String())
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("write the options of the client: %w", err)
	}
	out, err := m.run(ctx, []byte(statements+";\n"), program, "--defaults-file="+file.Name(), "--batch", "--skip-column-names", "--connect-timeout=5",
		"--init-command=SET SESSION sql_mode=''")
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows, nil
}

// optionValue quotes a value for an option file.
func optionValue(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// literal quotes a text for SQL, with the session's empty sql_mode.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\x00", `\0`).Replace(s) + "'"
}

// account is the name of a database account in a statement.
func account(user, host string) string { return literal(user) + "@" + literal(host) }

// nativeHash is what mysql_native_password stores of a password.
func nativeHash(password string) string {
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}

// accountsQuery lists all accounts and roles.
const accountsQuery = `SELECT User, Host, IFNULL(JSON_VALUE(Priv, '$.account_locked'), '0'), IFNULL(JSON_VALUE(Priv, '$.is_role'), '0') FROM mysql.global_priv ORDER BY User, Host`

// mariadb plans that accounts are locked that nobody should use from elsewhere. They are not dropped: locked, they come back
// with all their rights.
func (p *planner) mariadb(ctx context.Context, r repair) error {
	if r.MariaDB == "" {
		return nil
	}
	if !p.m.live {
		return nothing("the root is a folder: no database server runs there")
	}
	rows, err := p.m.sql(ctx, accountsQuery)
	if err != nil {
		return nothing("MariaDB could not be asked: %v", err)
	}
	using, err := p.m.sql(ctx, "SELECT DISTINCT USER FROM information_schema.PROCESSLIST WHERE HOST NOT LIKE 'localhost%' AND HOST NOT LIKE '127.0.0.1%' AND HOST NOT LIKE '::1%' AND HOST <> ''")
	if err != nil {
		return nothing("MariaDB could not be asked: %v", err)
	}
	for _, row := range rows {
		if len(row) != 4 || row[2] == "1" || row[2] == "true" || row[3] == "1" || row[3] == "true" {
			continue
		}
		user, host := row[0], row[1]
		if r.MariaDB == "anonymous" && user != "" || r.MariaDB == "outside" && localHost(host) {
			continue
		}
		used := false
		for _, u := range using {
			used = used || u[0] == user
		}
		if used {
			p.note("account %s stays: somebody is signed in as it from another host now", account(user, host))
			continue
		}
		p.edits++
		p.other = append(p.other, &lockChange{user, host})
	}
	return nil
}

func localHost(host string) bool {
	if host == "localhost" || host == "" { // a role has none
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// lockChange locks an account of MariaDB.
type lockChange struct {
	User string `json:"user"`
	Host string `json:"host"`
}

func (c *lockChange) kind() string { return "lock" }
func (c *lockChange) what() string { return "lock the database account " + account(c.User, c.Host) }
func (c *lockChange) diff() string {
	return "MariaDB: ALTER USER " + account(c.User, c.Host) + " ACCOUNT LOCK\n"
}

func (c *lockChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	_, err := m.sql(ctx, "ALTER USER "+account(c.User, c.Host)+" ACCOUNT LOCK")
	return err
}

func (c *lockChange) undo(ctx context.Context, m *Machine, _ *Entry, _ undoing) error {
	_, err := m.sql(ctx, "ALTER USER IF EXISTS "+account(c.User, c.Host)+" ACCOUNT UNLOCK")
	return err
}
