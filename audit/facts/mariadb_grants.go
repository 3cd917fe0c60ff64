package facts

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// alternatives finds accounts that can be signed in to in several ways, of which mysql.user shows one: MariaDB's "unix_socket
// OR mysql_native_password" with an empty password is open to everybody.
func (m *MariaDB) alternatives(ctx context.Context, db *sql.DB) error {
	if columns, err := columnsOf(ctx, db, "global_priv"); err != nil || !columns["priv"] {
		return nil // MySQL, or an old MariaDB: an account has one way
	}
	rows, err := db.QueryContext(ctx, "SELECT User, Host, Priv FROM mysql.global_priv")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var user, host, text string
		if err := rows.Scan(&user, &host, &text); err != nil {
			return err
		}
		at := slices.IndexFunc(m.Users, func(u MariaDBUser) bool { return u.User == user && u.Host == host })
		if at < 0 {
			continue
		}
		var kept struct {
			AuthOr []map[string]any `json:"auth_or"`
			Plugin string           `json:"plugin"`
			Secret string           `json:"authentication_string"`
		}
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			return err
		}
		u := &m.Users[at]
		for _, way := range kept.AuthOr {
			plugin, given := way["plugin"].(string)
			if !given { // an empty entry stands for what is outside of the list
				plugin = kept.Plugin
				way = map[string]any{"authentication_string": kept.Secret}
			}
			secret, _ := way["authentication_string"].(string)
			u.OpenPassword = u.OpenPassword || secret == "" && slices.Contains([]string{"", "mysql_native_password", "mysql_old_password"}, plugin)
		}
	}
	return rows.Err()
}

// maxRoles is how many roles of one account are looked at.
const maxRoles = 50

// grants reads what an account may do, by itself and by the roles that it may take.
func (u *MariaDBUser) grants(ctx context.Context, db *sql.DB, left *int) error {
	accounts := []string{"'" + quoteMySQL(u.User) + "'@'" + quoteMySQL(u.Host) + "'"}
	for i := 0; i < len(accounts); i++ {
		lines, err := showGrants(ctx, db, accounts[i], left)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if role := u.grant(line); role != "" && !slices.Contains(accounts, role) {
				accounts = append(accounts, role)
			}
		}
		if len(accounts) > maxRoles {
			return fmt.Errorf("%s@%s has more than %d roles", u.User, u.Host, maxRoles)
		}
	}
	return nil
}

func showGrants(ctx context.Context, db *sql.DB, account string, left *int) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SHOW GRANTS FOR "+account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		if *left--; *left < 0 {
			return nil, fmt.Errorf("there are more than %d rights", maxDatabaseGrants)
		}
		lines = append(lines, line)
	}
	return lines, rows.Err()
}

// quoteMySQL makes a name fit for '…' whatever sql_mode says of backslashes: both forms of a quote are doubled ones.
func quoteMySQL(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, `\`, `\\`), `'`, `''`)
}

// grant reads one line of SHOW GRANTS: GRANT rights ON object TO account [WITH GRANT OPTION]. Of GRANT role TO account it
// returns the role, in quotes.
func (u *MariaDBUser) grant(line string) (role string) {
	granted, ok := strings.CutPrefix(line, "GRANT ")
	if !ok {
		return ""
	}
	rights, rest, ok := strings.Cut(granted, " ON ")
	if !ok {
		role, _, _ := strings.Cut(granted, " TO ")
		name, _, _ := strings.Cut(role, "@") // MySQL's roles have a host, which is %
		return "'" + quoteMySQL(strings.Trim(name, "`'")) + "'"
	}
	object, rest, _ := strings.Cut(rest, " TO ")
	if strings.HasSuffix(rest, "WITH GRANT OPTION") || strings.Contains(rest, " GRANT OPTION") {
		u.Grant = true
	}
	database, _, _ := strings.Cut(object, ".")
	database = strings.Trim(database, "`")
	changes := strings.HasPrefix(rights, "ALL") || strings.Contains(rights, "INSERT") || strings.Contains(rights, "UPDATE")
	if object != "*.*" {
		u.System = u.System || changes && database == "mysql"
		return ""
	}
	for right := range strings.SplitSeq(rights, ",") {
		right = strings.TrimSpace(right)
		switch right {
		case "USAGE":
			continue
		case "ALL PRIVILEGES", "ALL":
			u.All, u.Super, u.File, u.CreateUser = true, true, true, true
		case "SUPER":
			u.Super = true
		case "FILE":
			u.File = true
		case "CREATE USER":
			u.CreateUser = true
		case "GRANT OPTION":
			u.Grant = true
		}
		if len(u.Global) < 100 {
			u.Global = append(u.Global, right)
		}
	}
	u.System = u.System || changes
	return ""
}

// tests finds the database test, and rights that everybody has.
func (m *MariaDB) tests(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT SCHEMA_NAME, 'it exists', 'SHOW DATABASES' FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'test'
		UNION ALL SELECT Db, CONCAT('every account may use it: ', IF(User = '', 'anonymous', User), '@', Host), 'mysql.db' FROM mysql.db
		WHERE (Db = 'test' OR LEFT(Db, 5) = 'test_' OR LEFT(Db, 6) = CONCAT('test', CHAR(92), '_')) AND User IN ('', 'PUBLIC') LIMIT 100`)
	if err != nil {
		return err
	}
	defer rows.Close()
	m.TestDatabases = []TestDatabase{}
	for rows.Next() {
		var d TestDatabase
		if err := rows.Scan(&d.Name, &d.Why, &d.Origin); err != nil {
			return err
		}
		m.TestDatabases = append(m.TestDatabases, d)
	}
	return rows.Err()
}
