package fix

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// rotate plans a new password for an application's database account, in the database and in every place that the application
// reads it from, as one (I-76). Only a password that is proven to be the one in use is replaced.
func (p *planner) rotate(ctx context.Context, a App) error {
	if !p.m.live {
		return nothing("the root is a folder: no database server runs there")
	}
	var place *password
	for i, known := range p.f.recipes.Passwords {
		if known.Kind == a.Kind {
			place = &p.f.recipes.Passwords[i]
		}
	}
	if place == nil {
		return nothing("it is not known where an application of kind %q keeps its database password", a.Kind)
	}
	user, old, err := p.readPassword(a, *place)
	if err != nil {
		return err
	}
	c, err := p.m.planPassword(ctx, user, old)
	if err != nil {
		return err
	}
	for _, file := range place.Files {
		if err := p.replacePassword(path.Join(a.Root, file.Path), file, old, c.fresh); err != nil {
			return err
		}
	}
	for _, rows := range place.Rows {
		r, err := p.m.planRows(ctx, rows, user, old, c.fresh)
		if err != nil {
			return err
		}
		if r != nil {
			p.other = append(p.other, r)
		}
	}
	p.edits++
	p.other = append(p.other, c)
	p.note("the new password is written into the files shown, and is in the journal, which only root can read")
	return nil
}

// readPassword reads the account and password that the application uses.
func (p *planner) readPassword(a App, place password) (user, old string, err error) {
	for _, file := range place.Files {
		_, now, err := p.file(path.Join(a.Root, file.Path))
		if err != nil {
			return "", "", err
		}
		if now.Type != isFile {
			return "", "", nothing("%s is not there", path.Join(a.Root, file.Path))
		}
		for pattern, into := range map[string]*string{file.User: &user, file.Password: &old} {
			if pattern == "" {
				continue
			}
			x, err := regexp.Compile(pattern)
			if err != nil {
				return "", "", err
			}
			if found := x.FindSubmatch(now.Bytes); len(found) > 1 && *into == "" {
				*into = string(found[1])
			}
		}
	}
	if user == "" || old == "" {
		return "", "", nothing("no database account and password were found in the files of %s", a.Name)
	}
	if strings.ContainsAny(old, "\\\"'$\n") {
		return "", "", nothing("the password has characters that the file's own language changes; set one by hand first")
	}
	return user, old, nil
}

// replacePassword plans the new password in one file: in the place that the pattern finds, and nowhere else.
func (p *planner) replacePassword(name string, file passwordFile, old, fresh string) error {
	full, now, err := p.file(name)
	if err != nil {
		return err
	}
	x, err := regexp.Compile(file.Password)
	if err != nil {
		return err
	}
	text, found := string(now.Bytes), false
	places := x.FindAllStringSubmatchIndex(text, -1)
	for i := len(places) - 1; i >= 0; i-- {
		if at := places[i]; len(at) > 3 && at[2] >= 0 && text[at[2]:at[3]] == old {
			text, found = text[:at[2]]+fresh+text[at[3]:], true
		}
	}
	if !found {
		return fmt.Errorf("%s does not have the password that the application uses", full)
	}
	if now.Flags&immutableFlag != 0 {
		return nothing("%s is sealed: doorward unseal first", full)
	}
	want := now
	want.Bytes, want.SHA256, want.Modified = []byte(text), hashOf([]byte(text)), noTime
	want.setMode(want.Mode &^ 0o007) // everybody could read the new password as well
	p.set(full, now, want)
	if c := p.files[full]; c != nil {
		c.Secret = true
	}
	return nil
}

// passwordChange gives a database account another password. What it had before is kept as the server stores it.
type passwordChange struct {
	User     string   `json:"user"`
	Hosts    []string `json:"hosts"` // of all accounts with this name and password
	Before   string   `json:"before"`
	After    string   `json:"after"`
	Password string   `json:"password"` // the new one, to prove it; the journal is root's own
	// Documents are what the server keeps of each account, in the order of Hosts.
	Documents []string `json:"documents"`

	fresh string
}

// planPassword finds the accounts that the old password belongs to, and proves that it does.
func (m *Machine) planPassword(ctx context.Context, user, old string) (*passwordChange, error) {
	rows, err := m.sql(ctx, "SELECT Host, IFNULL(JSON_VALUE(Priv, '$.plugin'), ''), IFNULL(JSON_VALUE(Priv, '$.authentication_string'), '') FROM mysql.global_priv WHERE User = "+literal(user))
	if err != nil {
		return nil, nothing("MariaDB could not be asked: %v", err)
	}
	c := &passwordChange{User: user, Before: nativeHash(old), fresh: rand.Text()}
	c.Password, c.After = c.fresh, nativeHash(c.fresh)
	for _, row := range rows {
		if len(row) == 3 && row[1] == "mysql_native_password" && strings.EqualFold(row[2], c.Before) {
			document, err := m.privileges(ctx, user, row[0])
			if err != nil {
				return nil, nothing("MariaDB could not be asked: %v", err)
			}
			c.Hosts, c.Documents = append(c.Hosts, row[0]), append(c.Documents, document)
		}
	}
	if len(c.Hosts) == 0 {
		return nil, nothing("no database account %q signs in with the password in the application's files (or not by mysql_native_password)", user)
	}
	if _, err := m.sqlAs(ctx, user, old, "", "SELECT 1"); err != nil {
		return nil, nothing("the password in the application's files does not work now: %v", err)
	}
	return c, nil
}

func (c *passwordChange) kind() string { return "password" }
func (c *passwordChange) what() string {
	return fmt.Sprintf("give the database account %s at %s a new password, and sign in with it", literal(c.User), strings.Join(c.Hosts, ", "))
}
func (c *passwordChange) diff() string { return "MariaDB: " + c.what() + "\n" }

func (c *passwordChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	if err := c.set(ctx, m, c.Before, c.After, false); err != nil {
		return err
	}
	if _, err := m.sqlAs(ctx, c.User, c.Password, "", "SELECT 1"); err != nil {
		return fmt.Errorf("sign in with the new password: %w", err)
	}
	return nil
}

func (c *passwordChange) undo(ctx context.Context, m *Machine, _ *Entry, o undoing) error {
	if err := c.set(ctx, m, c.After, c.Before, o.force); err != nil {
		return err
	}
	for i, host := range c.Hosts { // when the password was changed comes back too, unless something else was changed since
		if i >= len(c.Documents) {
			break
		}
		a := accountChange{User: c.User, Host: host, Keys: []string{"authentication_string"}, Before: c.Documents[i]}
		var other *Conflict
		if err := a.undo(ctx, m, nil, undoing{}); err != nil && !errors.As(err, &other) {
			return err
		}
	}
	return nil
}

// set brings every account from one stored password to another. One that has the other already is left.
func (c *passwordChange) set(ctx context.Context, m *Machine, from, to string, force bool) error {
	for _, host := range c.Hosts {
		now, err := c.stored(ctx, m, host)
		if err != nil {
			return err
		}
		switch {
		case strings.EqualFold(now, to):
			continue
		case !strings.EqualFold(now, from) && !force:
			return &Conflict{"the password of " + account(c.User, host), "somebody has set another one since\n"}
		}
		if _, err := m.sql(ctx, "ALTER USER "+account(c.User, host)+" IDENTIFIED VIA mysql_native_password USING "+literal(to)); err != nil {
			return err
		}
	}
	return nil
}

func (c *passwordChange) stored(ctx context.Context, m *Machine, host string) (string, error) {
	rows, err := m.sql(ctx, "SELECT IFNULL(JSON_VALUE(Priv, '$.authentication_string'), '') FROM mysql.global_priv WHERE User = "+literal(c.User)+" AND Host = "+literal(host))
	if err != nil {
		return "", err
	}
	if len(rows) != 1 {
		return "", fmt.Errorf("there is no account %s any more", account(c.User, host))
	}
	return rows[0][0], nil
}

func (c *passwordChange) conflict(ctx context.Context, m *Machine, _ *Entry) error {
	for _, host := range c.Hosts {
		now, err := c.stored(ctx, m, host)
		if err != nil {
			return err
		}
		if !strings.EqualFold(now, c.After) && !strings.EqualFold(now, c.Before) {
			return &Conflict{"the password of " + account(c.User, host), "somebody has set another one since\n"}
		}
	}
	return nil
}

// rowsChange puts the new password into a table of the application's.
type rowsChange struct {
	Statement string `json:"statement"` // with {old}, {new} and {user}
	User      string `json:"user"`
	Old       string `json:"old"`
	New       string `json:"new"`
}

func (m *Machine) planRows(ctx context.Context, r passwordRows, user, old, fresh string) (*rowsChange, error) {
	schema, table, _ := strings.Cut(r.Table, ".")
	rows, err := m.sql(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = "+literal(schema)+" AND TABLE_NAME = "+literal(table))
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || rows[0][0] == "0" {
		return nil, nil
	}
	return &rowsChange{r.Statement, user, old, fresh}, nil
}

func (c *rowsChange) kind() string { return "rows" }
func (c *rowsChange) what() string { return "put the new password into the application's table" }
func (c *rowsChange) diff() string { return "MariaDB: " + c.Statement + "\n" }

func (c *rowsChange) run(ctx context.Context, m *Machine, from, to string) error {
	if strings.Contains(c.Statement, ";") {
		return errors.New("rows: the statement has to be one")
	}
	_, err := m.sql(ctx, strings.NewReplacer("{old}", literal(from), "{new}", literal(to), "{user}", literal(c.User)).Replace(c.Statement))
	return err
}

func (c *rowsChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	return c.run(ctx, m, c.Old, c.New)
}

func (c *rowsChange) undo(ctx context.Context, m *Machine, _ *Entry, _ undoing) error {
	return c.run(ctx, m, c.New, c.Old)
}
