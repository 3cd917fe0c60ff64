package fix

import (
	"context"
	"crypto/sha1" // the hash that mysql_native_password stores
	"encoding/hex"
	"errors"
	"fmt"
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
