package facts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// identityOf finds an account by its name, or its number, and all groups it is in, in the host's /etc/passwd and /etc/group.
// A server may be started with further groups; those are not known here.
func identityOf(h *Host, name string) (identity, error) {
	passwd, err := h.ReadFile("/etc/passwd")
	if err != nil {
		return identity{}, err
	}
	who, found := identity{name: name}, false
	for line := range strings.Lines(string(passwd)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 || fields[0] != name {
			continue
		}
		uid, err1 := strconv.ParseUint(fields[2], 10, 32)
		gid, err2 := strconv.ParseUint(fields[3], 10, 32)
		if err1 != nil || err2 != nil {
			return identity{}, fmt.Errorf("/etc/passwd: the line of %s is torn", name)
		}
		who.uid, who.gids, found = uint32(uid), []uint32{uint32(gid)}, true
		break
	}
	if !found {
		return identity{}, fmt.Errorf("there is no account %q in /etc/passwd", name)
	}
	group, err := h.ReadFile("/etc/group")
	if err != nil {
		return identity{}, err
	}
	for line := range strings.Lines(string(group)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 || !slices.Contains(strings.Split(fields[3], ","), name) {
			continue
		}
		if gid, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			who.gids = append(who.gids, uint32(gid))
		}
	}
	return who, nil
}

// oneReason joins reasons that files gave, of which a stranger can make many.
func oneReason(all []string) string {
	const most = 10
	var kept []string
	for _, reason := range all {
		if len(kept) == most {
			return strings.Join(kept, "; ") + "; …"
		}
		if !slices.Contains(kept, reason) {
			kept = append(kept, reason)
		}
	}
	return strings.Join(kept, "; ")
}

// namesByID tells the accounts or groups of /etc/passwd or /etc/group by their numbers.
func namesByID(h *Host, file string) map[uint32]string {
	all := map[uint32]string{}
	text, err := h.ReadFile(file)
	if err != nil {
		return all // the numbers are told instead
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(line, ":")
		if len(fields) < 3 {
			continue
		}
		if id, err := strconv.ParseUint(fields[2], 10, 32); err == nil && all[uint32(id)] == "" {
			all[uint32(id)] = fields[0]
		}
	}
	return all
}
