package fix

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxRows is how many rows of the server's own tables one change takes away.
const maxRows = 1000

// tableChange deletes rows of a table of the server's own, and puts them back as they were.
type tableChange struct {
	Table   string     `json:"table"`
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"` // in hexadecimal; NULL is "NULL"
	Where   string     `json:"where"`
}

// planTable reads the rows that go.
func (m *Machine) planTable(ctx context.Context, table, where, title string) (*tableChange, error) {
	schema, name, _ := strings.Cut(table, ".")
	c := &tableChange{Table: table, Title: title, Where: where}
	rows, err := m.sql(ctx, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = "+literal(schema)+" AND TABLE_NAME = "+literal(name)+" AND GENERATION_EXPRESSION IS NULL ORDER BY ORDINAL_POSITION")
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		c.Columns = append(c.Columns, row[0])
	}
	if len(c.Columns) == 0 {
		return nil, fmt.Errorf("there is no table %s", table)
	}
	c.Rows, err = c.now(ctx, m)
	if err == nil && len(c.Rows) > maxRows {
		err = fmt.Errorf("%s has more than %d such rows", table, maxRows)
	}
	return c, err
}

// now are the rows that are there.
func (c *tableChange) now(ctx context.Context, m *Machine) ([][]string, error) {
	var columns []string
	for _, name := range c.Columns {
		columns = append(columns, "IFNULL(HEX(CONVERT("+quoteName(name)+" USING utf8mb4)), 'NULL')")
	}
	rows, err := m.sql(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+c.Table+" WHERE "+c.Where)
	slices.SortFunc(rows, slices.Compare)
	return rows, err
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (c *tableChange) kind() string { return "table" }
func (c *tableChange) what() string { return c.Title }

func (c *tableChange) diff() string {
	var b strings.Builder
	fmt.Fprintf(&b, "MariaDB: DELETE FROM %s WHERE %s\n", c.Table, c.Where)
	for _, row := range c.Rows {
		b.WriteString("-")
		for i, cell := range row {
			if text, err := hex.DecodeString(cell); err == nil && i < 4 {
				b.WriteString(" " + literal(string(text)))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (c *tableChange) same(rows [][]string) bool {
	return slices.EqualFunc(rows, c.Rows, func(a, b []string) bool { return slices.Equal(a, b) })
}

func (c *tableChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	now, err := c.now(ctx, m)
	if err != nil {
		return err
	}
	if !c.same(now) {
		return errRefused{fmt.Errorf("%s was changed since the plan", c.Table)}
	}
	_, err = m.sql(ctx, "DELETE FROM "+c.Table+" WHERE "+c.Where+"; FLUSH PRIVILEGES")
	return err
}

func (c *tableChange) undo(ctx context.Context, m *Machine, _ *Entry, o undoing) error {
	now, err := c.now(ctx, m)
	if err != nil || c.same(now) {
		return err
	}
	if len(now) > 0 && !o.force {
		return &Conflict{c.Table, "it has other rows of that kind by now\n"}
	}
	var names, values []string
	for _, name := range c.Columns {
		names = append(names, quoteName(name))
	}
	for _, row := range c.Rows {
		var cells []string
		for _, cell := range row {
			if cell != "NULL" {
				cell = "CONVERT(UNHEX('" + cell + "') USING utf8mb4)"
			}
			cells = append(cells, cell)
		}
		values = append(values, "("+strings.Join(cells, ", ")+")")
	}
	_, err = m.sql(ctx, "DELETE FROM "+c.Table+" WHERE "+c.Where+"; INSERT INTO "+c.Table+" ("+strings.Join(names, ", ")+") VALUES "+strings.Join(values, ", ")+"; FLUSH PRIVILEGES")
	return err
}

func (c *tableChange) conflict(ctx context.Context, m *Machine, _ *Entry) error {
	now, err := c.now(ctx, m)
	if err != nil || len(now) == 0 || c.same(now) {
		return err
	}
	return &Conflict{c.Table, "it has other rows of that kind by now\n"}
}

// databaseChange drops a database that has nothing in it.
type databaseChange struct {
	Name      string `json:"name"`
	Set       string `json:"set"` // of characters
	Collation string `json:"collation"`
}

func (c *databaseChange) kind() string { return "database" }
func (c *databaseChange) what() string { return "drop the empty database " + c.Name }
func (c *databaseChange) diff() string { return "MariaDB: DROP DATABASE " + quoteName(c.Name) + "\n" }

func (c *databaseChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	rows, err := m.sql(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = "+literal(c.Name))
	if err != nil {
		return err
	}
	if len(rows) != 1 || rows[0][0] != "0" {
		return errRefused{errors.New("database " + c.Name + " has tables by now")}
	}
	_, err = m.sql(ctx, "DROP DATABASE "+quoteName(c.Name))
	return err
}

func (c *databaseChange) undo(ctx context.Context, m *Machine, _ *Entry, _ undoing) error {
	_, err := m.sql(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteName(c.Name)+" CHARACTER SET "+c.Set+" COLLATE "+c.Collation)
	return err
}
