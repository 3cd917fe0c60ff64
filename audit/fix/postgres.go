package fix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/audit/facts"
)

// postgres plans what concerns pg_hba.conf. The first line that fits a connection decides, so a line is changed where it
// stands; one that never decides is left.
func (p *planner) postgres(ctx context.Context, r repair) error {
	if r.PostgreSQL == "" {
		return nil
	}
	rules, unread := facts.PostgresRules(p.m.host)
	if len(unread) > 0 {
		return nothing("the rules of PostgreSQL cannot be read whole: %s", unread[0])
	}
	method := "scram-sha-256"
	if p.m.live && p.oldHashes(ctx) {
		method = "md5" // which takes both kinds of stored passwords
		p.note("an account has a password that is stored as md5, which scram-sha-256 cannot check; give it the password anew, then write scram-sha-256")
	}
	var edits []lineEdit
	for _, rule := range rules {
		if rule.Shadowed != "" {
			continue
		}
		file, n, err := lineOf(rule.Origin)
		if err != nil {
			return err
		}
		switch {
		case r.PostgreSQL == "trust" && rule.Method == "trust" && rule.Type == "local":
			edits = append(edits, lineEdit{file, n, withMethod(rule, "peer")})
		case r.PostgreSQL == "trust" && rule.Method == "trust":
			edits = append(edits, lineEdit{file, n, withMethod(rule, method)})
		case r.PostgreSQL == "remote" && rule.Remote && rule.Method != "reject":
			edits = append(edits, lineEdit{file, n, commented("#")})
		}
	}
	for _, e := range edits {
		text, err := p.m.host.ReadFile(e.file)
		if err != nil {
			return err
		}
		if lines := splitLines(string(text)); e.line <= len(lines) && strings.HasSuffix(strings.TrimRight(lines[e.line-1], "\r\n"), `\`) {
			return nothing("%s:%d goes on in the next line, which only a person should change", e.file, e.line)
		}
	}
	return p.changeLines(edits)
}

// withMethod puts another method in a rule, of which the options go: they are the old one's.
func withMethod(rule facts.HBARule, method string) func(string) string {
	return func(line string) string {
		at := strings.LastIndex(strings.SplitN(line, "#", 2)[0], rule.Method)
		if at < 0 {
			return line
		}
		return instead("#", line[:at]+method)(line)
	}
}

// oldHashes says whether an account has a password that is stored as md5.
func (p *planner) oldHashes(ctx context.Context) bool {
	conn, err := facts.OpenPostgres(ctx, p.m.host, p.f.o.Target.PostgreSQL)
	if err != nil {
		return false
	}
	defer conn.Close(ctx)
	var n int
	err = conn.QueryRow(ctx, `SELECT COUNT(*) FROM pg_catalog.pg_authid WHERE rolcanlogin AND LEFT(rolpassword, 3) = 'md5'`).Scan(&n)
	return err == nil && n > 0
}

// hbaErrors are the lines of pg_hba.conf that the running server would not understand, which it says before it reads them.
func (f *Fixer) hbaErrors(ctx context.Context) error {
	conn, err := facts.OpenPostgres(ctx, f.m.host, f.o.Target.PostgreSQL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT line_number, error FROM pg_catalog.pg_hba_file_rules WHERE error IS NOT NULL LIMIT 5")
	if err != nil {
		return fmt.Errorf("ask PostgreSQL about pg_hba.conf: %w", err)
	}
	defer rows.Close()
	var errs []error
	for rows.Next() {
		var line int
		var text string
		if err := rows.Scan(&line, &text); err != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("pg_hba.conf:%d: %s", line, text))
	}
	return errors.Join(append(errs, rows.Err())...)
}

// roleChange takes rights from an account of PostgreSQL.
type roleChange struct {
	Role       string   `json:"role"`
	Attributes []string `json:"attributes"` // that it had, such as SUPERUSER
	Member     []string `json:"member"`     // of roles that read and write the server's files
	Socket     facts.Database
}

// planRole finds what an application's account has too much.
func (f *Fixer) planRole(ctx context.Context, role string) (*roleChange, error) {
	c := &roleChange{Role: role, Socket: f.o.Target.PostgreSQL}
	conn, err := facts.OpenPostgres(ctx, f.m.host, c.Socket)
	if err != nil {
		return nil, nothing("PostgreSQL could not be asked: %v", err)
	}
	defer conn.Close(ctx)
	var super, create, replication, bypass bool
	err = conn.QueryRow(ctx, "SELECT rolsuper, rolcreaterole, rolreplication, rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = $1", role).Scan(&super, &create, &replication, &bypass)
	if err != nil {
		return nil, nothing("PostgreSQL does not know the account %q: %v", role, err)
	}
	for name, has := range map[string]bool{"SUPERUSER": super, "CREATEROLE": create, "REPLICATION": replication, "BYPASSRLS": bypass} {
		if has {
			c.Attributes = append(c.Attributes, name)
		}
	}
	slices.Sort(c.Attributes)
	rows, err := conn.Query(ctx, `SELECT r.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member
		WHERE u.rolname = $1 AND NOT m.admin_option AND r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program') ORDER BY 1`, role)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		c.Member = append(c.Member, name)
	}
	return c, rows.Err()
}

func (c *roleChange) statements(take bool) []string {
	role := `"` + strings.ReplaceAll(c.Role, `"`, `""`) + `"`
	var all []string
	for _, a := range c.Attributes {
		if take {
			a = "NO" + a
		}
		all = append(all, "ALTER ROLE "+role+" "+a)
	}
	for _, m := range c.Member {
		if take {
			all = append(all, "REVOKE "+m+" FROM "+role)
		} else {
			all = append(all, "GRANT "+m+" TO "+role)
		}
	}
	return all
}

func (c *roleChange) kind() string { return "role" }
func (c *roleChange) what() string {
	return "take from the PostgreSQL account " + c.Role + ": " + strings.Join(slices.Concat(c.Attributes, c.Member), ", ")
}
func (c *roleChange) diff() string {
	return "PostgreSQL: " + strings.Join(c.statements(true), "; ") + "\n"
}

func (c *roleChange) run(ctx context.Context, m *Machine, statements []string) error {
	conn, err := facts.OpenPostgres(ctx, m.host, c.Socket)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "BEGIN; "+strings.Join(statements, "; ")+"; COMMIT")
	return err
}

func (c *roleChange) do(ctx context.Context, m *Machine, _ *Entry) error {
	return c.run(ctx, m, c.statements(true))
}

func (c *roleChange) undo(ctx context.Context, m *Machine, _ *Entry, _ undoing) error {
	return c.run(ctx, m, c.statements(false))
}
