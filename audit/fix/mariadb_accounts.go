package fix

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/doorward/doorward/audit/facts"
)

// mariadb plans what concerns the accounts of the database server. They are not dropped: locked, they come back with all
// their rights.
func (p *planner) mariadb(ctx context.Context, r repair) error {
	if r.MariaDB == "" {
		return nil
	}
	if !p.m.live {
		return nothing("the root is a folder: no database server runs there")
	}
	target := p.target()
	server, lost := facts.ReadMariaDB(ctx, p.m.host, target)
	if !server.Installed {
		return nothing("no MariaDB or MySQL server is installed")
	}
	for _, l := range lost {
		if l.Fact == "users" {
			return nothing("MariaDB could not be asked: %s", l.Reason)
		}
	}
	if r.MariaDB == "test" {
		return p.testDatabases(ctx)
	}
	using, err := p.m.sql(ctx, "SELECT DISTINCT USER, IF(HOST LIKE 'localhost%' OR HOST LIKE '127.0.0.1%' OR HOST LIKE '::1%' OR HOST = '', 'here', 'away') FROM information_schema.PROCESSLIST")
	if err != nil {
		return nothing("MariaDB could not be asked: %v", err)
	}
	for _, u := range server.Users {
		if u.Locked || !picked(r.MariaDB, u) {
			continue
		}
		where := "away"
		if r.MariaDB == "open" {
			where = "here"
		}
		if u.User != "root" && slices.ContainsFunc(using, func(row []string) bool { return row[0] == u.User && (row[1] == "away" || where == "here") }) {
			p.note("account %s stays: somebody is signed in as it now", account(u.User, u.Host))
			continue
		}
		statement, keys := "ACCOUNT LOCK", []string{"account_locked"}
		if u.User == "root" && u.Host == "localhost" { // locked, nobody could bring it back
			statement, keys = "IDENTIFIED VIA unix_socket", []string{"plugin", "authentication_string", "auth_or"}
		}
		if err := p.account(ctx, u.User, u.Host, statement, keys); err != nil {
			return err
		}
	}
	return nil
}

// target is what the audit reads the host with, with the flags that say how the database is reached.
func (p *planner) target() facts.Target {
	t := p.f.o.Target
	t.Now = p.f.now()
	d := p.m.db
	t.MariaDB.Socket, t.MariaDB.User, t.MariaDB.PasswordFile = or(d.Socket, t.MariaDB.Socket), or(d.User, t.MariaDB.User), or(d.PasswordFile, t.MariaDB.PasswordFile)
	return t
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// picked says whether a repair is about an account.
func picked(what string, u facts.MariaDBUser) bool {
	switch what {
	case "anonymous":
		return u.User == ""
	case "open":
		return u.OpenPassword
	case "root":
		return u.User == "root" && !localHost(u.Host)
	case "outside":
		return !localHost(u.Host)
	}
	return false
}

func localHost(host string) bool {
	if host == "localhost" || host == "" { // a role has none
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// account plans ALTER USER, once for an account.
func (p *planner) account(ctx context.Context, user, host, statement string, keys []string) error {
	if slices.ContainsFunc(p.other, func(c change) bool {
		a, ok := c.(*accountChange)
		return ok && a.User == user && a.Host == host
	}) {
		p.edits++ // for another control, it is the same change
		return nil
	}
	before, err := p.m.privileges(ctx, user, host)
	if err != nil {
		return nothing("MariaDB could not be asked: %v", err)
	}
	p.edits++
	p.other = append(p.other, &accountChange{User: user, Host: host, Statement: statement, Keys: keys, Before: before})
	return nil
}

// privileges is what the server keeps of an account: a document of JSON (MariaDB 10.4 and later).
func (m *Machine) privileges(ctx context.Context, user, host string) (string, error) {
	rows, err := m.sql(ctx, "SELECT HEX(Priv) FROM mysql.global_priv WHERE User = "+literal(user)+" AND Host = "+literal(host))
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return "", fmt.Errorf("there is no account %s any more", account(user, host))
	}
	text, err := hex.DecodeString(rows[0][0])
	return string(text), err
}

// accountChange alters an account of MariaDB. What the server kept of it comes back as it was.
type accountChange struct {
	User      string   `json:"user"`
	Host      string   `json:"host"`
	Statement string   `json:"statement"` // after ALTER USER account
	Keys      []string `json:"keys"`      // of the document, which the statement changes
	Before    string   `json:"before"`    // the document
}

func (c *accountChange) kind() string { return "account" }
func (c *accountChange) what() string {
	if c.Statement == "ACCOUNT LOCK" {
		return "lock the database account " + account(c.User, c.Host)
	}
	return "alter the database account " + account(c.User, c.Host) + ": " + c.Statement
}
func (c *accountChange) diff() string {
	return "MariaDB: ALTER USER " + account(c.User, c.Host) + " " + c.Statement + "\n"
}

func (c *accountChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	now, err := m.privileges(ctx, c.User, c.Host)
	if err != nil {
		return err
	}
	if now != c.Before {
		return errRefused{fmt.Errorf("the database account %s was changed since the plan", account(c.User, c.Host))}
	}
	if _, err := m.sql(ctx, "ALTER USER "+account(c.User, c.Host)+" "+c.Statement); err != nil {
		return err
	}
	// Whoever is the administrator has to be so still.
	_, err = m.sql(ctx, "SELECT 1")
	return err
}

func (c *accountChange) undo(ctx context.Context, m *Machine, e *Entry, o undoing) error {
	now, err := m.privileges(ctx, c.User, c.Host)
	if err != nil {
		return err
	}
	if now == c.Before {
		return nil
	}
	if err := c.conflict(ctx, m, e); err != nil && !o.force {
		return err
	}
	_, err = m.sql(ctx, "UPDATE mysql.global_priv SET Priv = CONVERT(UNHEX('"+hex.EncodeToString([]byte(c.Before))+"') USING utf8mb4) WHERE User = "+literal(c.User)+" AND Host = "+literal(c.Host)+"; FLUSH PRIVILEGES")
	return err
}

// conflict finds what was changed since in the rest of the document: rights, a new password.
func (c *accountChange) conflict(ctx context.Context, m *Machine, _ *Entry) error {
	now, err := m.privileges(ctx, c.User, c.Host)
	if err != nil {
		return err
	}
	before, err1 := c.rest(c.Before)
	after, err2 := c.rest(now)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if reflect.DeepEqual(before, after) {
		return nil
	}
	return &Conflict{"the database account " + account(c.User, c.Host), "its rights or its password were changed since\n"}
}

// rest is the document without what the statement changes and what the server writes by itself.
func (c *accountChange) rest(text string) (map[string]any, error) {
	all := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("read the account %s: %w", account(c.User, c.Host), err)
	}
	for key, value := range all {
		if slices.Contains(c.Keys, key) || key == "password_last_changed" || key == "version_id" || fmt.Sprint(value) == "0" || value == false || value == "" {
			delete(all, key)
		}
	}
	return all, nil
}

// testDatabases plans that rights go which everybody has on test databases, and an empty database test.
func (p *planner) testDatabases(ctx context.Context) error {
	const everybody = "(Db = 'test' OR LEFT(Db, 5) = 'test_' OR LEFT(Db, 6) = CONCAT('test', CHAR(92), '_')) AND User IN ('', 'PUBLIC')"
	t, err := p.m.planTable(ctx, "mysql.db", everybody, "take the rights on test databases from everybody")
	if err != nil {
		return nothing("MariaDB could not be asked: %v", err)
	}
	if len(t.Rows) > 0 {
		p.edits++
		p.other = append(p.other, t)
	}
	rows, err := p.m.sql(ctx, `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'test')
		+ (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'test') + (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'test')
		FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'test'`)
	if err != nil {
		return nothing("MariaDB could not be asked: %v", err)
	}
	switch {
	case len(rows) == 0:
	case rows[0][2] != "0":
		p.note("database test stays: it has tables or routines, which only a person can know to be of no use")
	default:
		p.edits++
		p.other = append(p.other, &databaseChange{"test", rows[0][0], rows[0][1]})
	}
	return nil
}
