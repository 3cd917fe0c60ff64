package fix

import (
	"context"
	"strings"

	"github.com/doorward/doorward/audit/facts"
)

// accounts plans that passwords of the host's own accounts which everybody tries first are no longer right: the account is
// locked as usermod -L does it, and keys let its owner in as before. root's is left: locked, nobody may come in any more.
func (p *planner) accounts(ctx context.Context, r repair) error {
	if r.Accounts == "" {
		return nil
	}
	found, lost := facts.ReadAccounts(ctx, p.m.host, p.target())
	for _, l := range lost {
		if l.Fact == "" || l.Fact == "hashes" {
			return nothing("the passwords could not be read: %s", l.Reason)
		}
	}
	locked := map[string]bool{}
	for _, h := range found.Hashes {
		bad := h.State == "empty" || h.State == "set" && h.Login && (h.Weak || h.Guessed)
		if bad && h.UID == 0 {
			p.note("the password of %s stays: give it another one (passwd %s)", h.Name, h.Name)
			continue
		}
		if bad && !h.Expired {
			locked[h.Name] = true
		}
	}
	full, now, err := p.file("/etc/shadow")
	if err != nil {
		return err
	}
	if now.Type != isFile {
		return nothing("/etc/shadow is not there")
	}
	lines := splitLines(string(now.Bytes))
	for i, line := range lines {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) == 3 && locked[fields[0]] && !strings.HasPrefix(fields[1], "!") {
			lines[i] = fields[0] + ":!" + fields[1] + ":" + fields[2]
			p.note("%s cannot sign in with a password any more, until somebody sets another one (passwd %s)", fields[0], fields[0])
		}
	}
	p.text(full, now, strings.Join(lines, ""))
	if c := p.files[full]; c != nil {
		c.Secret = true
	}
	return nil
}
