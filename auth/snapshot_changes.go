package auth

import (
	"fmt"
	"slices"
	"strings"
)

// changes are sentences about what differs between two snapshots: roles first, then accounts by name.
func changes(before, after *Snapshot) []string {
	list := []string{}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	roleBefore, roleAfter := make(map[Role]SnapshotRole), make(map[Role]SnapshotRole)
	for _, r := range before.Roles {
		roleBefore[r.Name] = r
	}
	for _, r := range after.Roles {
		roleAfter[r.Name] = r
		old, known := roleBefore[r.Name]
		if !known {
			add("role %s: new, with %s", r.Name, orNothing(join(r.Privileges, ", ")))
			continue
		}
		changed(add, "role "+string(r.Name), "privilege", old.Privileges, r.Privileges)
		if old.Factor != r.Factor {
			add("role %s: demands the factor %s, before %s", r.Name, r.Factor, old.Factor)
		}
	}
	for _, r := range before.Roles {
		if _, known := roleAfter[r.Name]; !known {
			add("role %s: gone", r.Name)
		}
	}
	accounts := make(map[string]SnapshotAccount)
	for _, p := range before.Accounts {
		accounts[p.Name] = p
	}
	for _, p := range after.Accounts {
		old, known := accounts[p.Name]
		delete(accounts, p.Name)
		if !known {
			add("%s: new in this list, with %s", p.Name, orNothing(join(p.Roles, ", ")))
			continue
		}
		accountChanges(add, old, p)
	}
	for _, p := range before.Accounts {
		if _, left := accounts[p.Name]; left {
			add("%s: no longer in this list; had %s", p.Name, orNothing(join(p.Roles, ", ")))
		}
	}
	return list
}

func accountChanges(add func(format string, args ...any), old, p SnapshotAccount) {
	changed(add, p.Name, "role", old.Roles, p.Roles)
	changed(add, p.Name, "privilege", old.Privileges, p.Privileges)
	if old.Disabled != p.Disabled {
		add("%s: %s, before %s", p.Name, state(p.Disabled), state(old.Disabled))
	}
	if old.TOTP != p.TOTP || old.Passkeys != p.Passkeys {
		add("%s: factors are %s, before %s", p.Name, factorsOf(p), factorsOf(old))
	}
	tokens := make(map[string]bool)
	for _, t := range old.Tokens {
		tokens[t.ID] = true
	}
	for _, t := range p.Tokens {
		if !tokens[t.ID] {
			add("%s: new API token %q for %s", p.Name, t.Name, join(t.Privileges, ", "))
		}
		delete(tokens, t.ID)
	}
	for _, t := range old.Tokens {
		if tokens[t.ID] {
			add("%s: API token %q is gone", p.Name, t.Name)
		}
	}
}

// changed tells what was added to and taken from a list.
func changed[T ~string](add func(format string, args ...any), who, what string, before, after []T) {
	for _, v := range after {
		if !slices.Contains(before, v) {
			add("%s: has got the %s %s", who, what, v)
		}
	}
	for _, v := range before {
		if !slices.Contains(after, v) {
			add("%s: has lost the %s %s", who, what, v)
		}
	}
}

func state(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

func factorsOf(p SnapshotAccount) string {
	var have []string
	if p.TOTP {
		have = append(have, "an authenticator app")
	}
	if p.Passkeys > 0 {
		have = append(have, fmt.Sprintf("%d passkeys", p.Passkeys))
	}
	return orNothing(strings.Join(have, " and "))
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
