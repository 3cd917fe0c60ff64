package fix

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/doorward/doorward/audit/facts"
)

// rights plans that the account of an application keeps what it needs in its own database, and nothing else (D-29).
func (p *planner) rights(ctx context.Context, a App) error {
	if !p.m.live {
		return nothing("the root is a folder: no database server runs there")
	}
	target := p.target()
	target.Apps = []facts.App{{Name: a.Name, Kind: a.Kind, Root: a.Root, Data: a.Data, WebUser: a.WebUser}}
	for _, declared := range p.f.o.Target.Apps {
		if declared.Name == a.Name {
			target.Apps[0] = declared
			target.Apps[0].Root = a.Root
		}
	}
	application, _ := facts.ReadApplication(ctx, p.m.host, target)
	for _, d := range application.Databases {
		var err error
		switch {
		case d.User == "" || d.User == "root" || d.User == "postgres":
			return nothing("%s signs in as %q: make an account of its own first, and write it into the application's configuration", a.Name, d.User)
		case d.Engine == "mysql":
			err = p.mariadbRights(ctx, a, d)
		case d.Engine == "postgresql":
			err = p.postgresRights(ctx, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) postgresRights(ctx context.Context, d facts.AppDatabase) error {
	if d.User == or(p.f.o.Target.PostgreSQL.User, "postgres") {
		return nothing("%q is the administrator of PostgreSQL: make an account of the application's own first", d.User)
	}
	c, err := p.f.planRole(ctx, d.User)
	if err != nil {
		return err
	}
	if len(c.Attributes)+len(c.Member) > 0 {
		p.edits++
		p.other = append(p.other, c)
	}
	return nil
}

// mariadbRights plans for every account that the application's name belongs to.
func (p *planner) mariadbRights(ctx context.Context, a App, d facts.AppDatabase) error {
	server, lost := facts.ReadMariaDB(ctx, p.m.host, p.target())
	for _, l := range lost {
		if l.Fact == "users" {
			return nothing("MariaDB could not be asked: %s", l.Reason)
		}
	}
	password := ""
	for _, place := range p.f.recipes.Passwords {
		if place.Kind == a.Kind {
			if user, found, err := p.readPassword(a, place); err == nil && user == d.User {
				password = found
			}
		}
	}
	for _, u := range server.Users {
		if u.User != d.User || !(u.All || u.Super || u.File || u.CreateUser || u.Grant || u.System || len(u.Global) > 0) {
			continue
		}
		c := &rightsChange{Account: accountChange{User: u.User, Host: u.Host, Keys: []string{"access"}}, Database: d.Name}
		var err error
		if c.Account.Before, err = p.m.privileges(ctx, u.User, u.Host); err != nil {
			return nothing("MariaDB could not be asked: %v", err)
		}
		rows, err := p.m.planTable(ctx, "mysql.db", "User = "+literal(u.User)+" AND Host = "+literal(u.Host), "")
		if err != nil {
			return nothing("MariaDB could not be asked: %v", err)
		}
		c.Rows = *rows
		c.Statements = c.plan(u)
		if u.Host == "localhost" {
			c.Password = password
		}
		p.edits++
		p.other = append(p.other, c)
	}
	return nil
}

// rightsChange takes rights from an account of MariaDB, and gives it those on its own database that it had by the others.
type rightsChange struct {
	Account    accountChange `json:"account"`
	Rows       tableChange   `json:"rows"` // of mysql.db
	Database   string        `json:"database"`
	Statements []string      `json:"statements"`
	Password   string        `json:"password"` // to prove that it works still; "" where it is not known
}

// plan makes the statements.
func (c *rightsChange) plan(u facts.MariaDBUser) []string {
	name := account(u.User, u.Host)
	var all []string
	own := false
	for _, row := range c.Rows.Rows {
		cells := map[string]string{}
		for i, column := range c.Rows.Columns {
			text, err := hex.DecodeString(row[i])
			if err == nil {
				cells[column] = string(text)
			}
		}
		db := cells["Db"]
		own = own || strings.ReplaceAll(db, `\`, "") == c.Database
		if strings.EqualFold(db, "mysql") {
			all = append(all, "REVOKE ALL PRIVILEGES ON "+quoteName(db)+".* FROM "+name)
		}
		if cells["Grant_priv"] == "Y" {
			all = append(all, "REVOKE GRANT OPTION ON "+quoteName(db)+".* FROM "+name)
		}
	}
	if !own && c.Database != "" && len(u.Global) > 0 {
		all = append(all, "GRANT ALL PRIVILEGES ON "+quoteName(c.Database)+".* TO "+name)
	}
	if len(u.Global) > 0 || u.Grant {
		all = append(all, "REVOKE ALL PRIVILEGES ON *.* FROM "+name, "REVOKE GRANT OPTION ON *.* FROM "+name)
	}
	return all
}

func (c *rightsChange) kind() string { return "rights" }
func (c *rightsChange) what() string {
	return "leave the database account " + account(c.Account.User, c.Account.Host) + " its own database, and nothing else"
}
func (c *rightsChange) diff() string { return "MariaDB: " + strings.Join(c.Statements, "; ") + "\n" }

func (c *rightsChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	now, err1 := m.privileges(ctx, c.Account.User, c.Account.Host)
	rows, err2 := c.Rows.now(ctx, m)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if now != c.Account.Before || !c.Rows.same(rows) {
		return errRefused{fmt.Errorf("the rights of %s were changed since the plan", account(c.Account.User, c.Account.Host))}
	}
	if _, err := m.sql(ctx, strings.Join(c.Statements, "; ")); err != nil {
		return err
	}
	if c.Password == "" {
		return nil
	}
	if _, err := m.sqlAs(ctx, c.Account.User, c.Password, "", "USE "+quoteName(c.Database)+"; SELECT 1"); err != nil {
		return fmt.Errorf("sign in to the application's database: %w", err)
	}
	return nil
}

func (c *rightsChange) undo(ctx context.Context, m *Machine, e *Entry, o undoing) error {
	o.force = o.force || o.halfway
	if err := c.Account.undo(ctx, m, e, o); err != nil {
		return err
	}
	if len(c.Rows.Rows) > 0 {
		o.force = true // the rows that the account has now are those of this change
		return c.Rows.undo(ctx, m, e, o)
	}
	_, err := m.sql(ctx, "DELETE FROM "+c.Rows.Table+" WHERE "+c.Rows.Where+"; FLUSH PRIVILEGES")
	return err
}

func (c *rightsChange) conflict(ctx context.Context, m *Machine, e *Entry) error {
	return c.Account.conflict(ctx, m, e)
}
