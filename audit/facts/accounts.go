package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxAccounts = 50_000 // lines of passwd, shadow and group each

// Accounts are the host's own accounts, of /etc/passwd, /etc/shadow and /etc/group. Those of a directory are not seen.
type Accounts struct {
	Users  []User  `cel:"users"`
	Groups []Group `cel:"groups"`
	// Hashes are the passwords of all accounts; missing where /etc/shadow cannot be read.
	Hashes []Hash `cel:"hashes"`
	// AllTried is true when the short list of passwords that everybody tries first was tried on every account that has a
	// password. It is missing, never false, where some kind of hash could not be computed; see Hash.Tried.
	AllTried bool `cel:"all_tried"`
}

// User is one line of /etc/passwd.
type User struct {
	Name   string `cel:"name"`
	UID    int    `cel:"uid"`
	GID    int    `cel:"gid"`
	Home   string `cel:"home"`
	Shell  string `cel:"shell"`
	Login  bool   `cel:"login"` // the shell lets one in: it is not nologin, false or a thing like sync
	Origin string `cel:"origin"`
}

// Group is one line of /etc/group.
type Group struct {
	Name    string   `cel:"name"`
	GID     int      `cel:"gid"`
	Members []string `cel:"members"` // those whose first group it is are among them
	Origin  string   `cel:"origin"`
}

// Hash is an account's password.
type Hash struct {
	Name  string `cel:"name"`
	UID   int    `cel:"uid"`
	Login bool   `cel:"login"` // the account's shell lets one in
	// State is "empty" (no password is asked), "locked" (none is right), "set", or "shadow-missing" (passwd points to a line
	// of shadow that is not there).
	State string `cel:"state"`
	// Kind is how a password that is set is hashed: yescrypt, gost-yescrypt, scrypt, bcrypt, sha512crypt, sha256crypt,
	// sha1crypt, md5crypt, descrypt, bsdi, nt, unknown.
	Kind string `cel:"kind"`
	// Weak is a kind that is broken by trying: anything older than sha256crypt, or one that is not known.
	Weak    bool      `cel:"weak"`
	Changed time.Time `cel:"changed"` // the day of the last change; zero when it is not recorded
	// AgeDays is how long ago that is; -1 when it is not recorded, 0 when a change is due at the next login.
	AgeDays int `cel:"age_days"`
	MaxDays int `cel:"max_days"` // after which a change is forced; -1 never
	// Expired is an account past its end, which cannot sign in.
	Expired bool `cel:"expired"`
	Tried   bool `cel:"tried"`   // the list of common passwords was tried on it, or there is none to try
	Guessed bool `cel:"guessed"` // and one of them is right
	// Shared names another account with the very same hash; "" none. Passwords that are the same differ by their salts, unless
	// the hash was copied.
	Shared string `cel:"shared"`
	Origin string `cel:"origin"`
}

func collectAccounts(ctx context.Context, h *Host, t Target) (Accounts, []Missing) {
	var a Accounts
	var err error
	if a.Users, err = readPasswd(h); err != nil {
		return a, missing("%s", because(err))
	}
	if a.Groups, err = readGroups(h); err != nil {
		return a, missing("%s", because(err))
	}
	of := memberships(a.Users, a.Groups)
	for i := range a.Groups {
		a.Groups[i].Members = nil
	}
	at := map[string]int{}
	for i, g := range a.Groups {
		at[g.Name] = i
	}
	for _, u := range a.Users {
		for _, name := range of[u.Name] {
			if i, ok := at[name]; ok {
				a.Groups[i].Members = append(a.Groups[i].Members, u.Name)
			}
		}
	}
	hashes, texts, err := readHashes(h, a.Users, t.Now)
	if err != nil {
		return a, []Missing{{"hashes", because(err)}, {"all_tried", because(err)}}
	}
	first := map[string]string{}
	for i := range hashes {
		if other, ok := first[texts[i]]; ok && hashes[i].State == "set" {
			hashes[i].Shared = other
		}
		first[texts[i]] = hashes[i].Name
	}
	untried := tryPasswords(ctx, h, hashes, texts)
	a.Hashes, a.AllTried = hashes, untried == ""
	if !a.AllTried {
		return a, []Missing{{"all_tried", untried}}
	}
	return a, nil
}

// colonLines calls use for every line that has at least n fields, with its origin.
func colonLines(h *Host, name string, n int, use func(fields []string, origin string)) error {
	text, err := h.ReadFile(name)
	if err != nil {
		return err
	}
	at := 0
	for line := range strings.Lines(string(text)) {
		if at++; at > maxAccounts {
			return fmt.Errorf("%s has more than %d lines", name, maxAccounts)
		}
		line = strings.TrimRight(line, "\n")
		if fields := strings.SplitN(line, ":", 16); len(fields) >= n && line[0] != '#' {
			use(fields, name+":"+strconv.Itoa(at))
		}
	}
	return nil
}

func readPasswd(h *Host) ([]User, error) {
	var all []User
	shells, err := readShells(h)
	if err != nil {
		return nil, err
	}
	err = colonLines(h, "/etc/passwd", 7, func(f []string, origin string) {
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if f[0] == "" || err1 != nil || err2 != nil {
			return // the C library skips it too
		}
		all = append(all, User{Name: f[0], UID: int(uid), GID: int(gid), Home: f[5], Shell: f[6], Login: letsIn(f[6], shells), Origin: origin})
	})
	return all, err
}

// letsIn says whether one can work with the shell. A shell that /etc/shells does not list lets one in by SSH all the same.
func letsIn(shell string, listed []string) bool {
	base := shell[strings.LastIndex(shell, "/")+1:]
	if slices.Contains([]string{"nologin", "false", "sync", "shutdown", "halt", "true", "git-shell"}, base) {
		return slices.Contains(listed, shell) && base != "nologin" && base != "false" && base != "true"
	}
	return true // an empty shell is /bin/sh
}

func readShells(h *Host) ([]string, error) {
	text, err := h.ReadFile("/etc/shells")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if len(text) > 1<<16 {
		return nil, errors.New("/etc/shells is longer than 64 KiB")
	}
	return strings.Fields(string(text)), err
}

func readGroups(h *Host) ([]Group, error) {
	var all []Group
	err := colonLines(h, "/etc/group", 4, func(f []string, origin string) {
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if f[0] == "" || err != nil {
			return
		}
		members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' || r == ' ' })
		all = append(all, Group{Name: f[0], GID: int(gid), Members: members, Origin: origin})
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return all, err
}

// memberships lists the groups of every user: the first one, and those that name it.
func memberships(users []User, groups []Group) map[string][]string {
	byGID := map[int]string{}
	of := map[string][]string{}
	for _, g := range groups {
		if _, ok := byGID[g.GID]; !ok {
			byGID[g.GID] = g.Name
		}
	}
	for _, u := range users {
		if name, ok := byGID[u.GID]; ok && !slices.Contains(of[u.Name], name) {
			of[u.Name] = append(of[u.Name], name)
		}
	}
	in := map[[2]string]bool{}
	for name, list := range of {
		for _, g := range list {
			in[[2]string{name, g}] = true
		}
	}
	for _, g := range groups {
		for _, m := range g.Members {
			if key := [2]string{m, g.Name}; !in[key] {
				in[key] = true
				of[m] = append(of[m], g.Name)
			}
		}
	}
	return of
}

// readHashes pairs the accounts with their passwords, and returns the hashes' texts beside them, which are no facts.
func readHashes(h *Host, users []User, now time.Time) ([]Hash, []string, error) {
	shadow, text, err := readShadow(h, now)
	none := errors.Is(err, fs.ErrNotExist)
	if err != nil && !none {
		return nil, nil, err
	}
	own := map[string]string{}
	if err := colonLines(h, "/etc/passwd", 7, func(f []string, _ string) {
		if _, ok := own[f[0]]; !ok {
			own[f[0]] = f[1]
		}
	}); err != nil {
		return nil, nil, err
	}
	var hashes []Hash
	var texts []string
	seen := map[string]bool{}
	for _, u := range users {
		if seen[u.Name] {
			continue // the first line of a name counts
		}
		seen[u.Name] = true
		hash := own[u.Name]
		e, inShadow := shadow[u.Name]
		if !inShadow {
			e = Hash{AgeDays: -1, MaxDays: -1}
		}
		switch {
		case hash == "x" && none:
			return nil, nil, errors.New("there is no /etc/shadow, and /etc/passwd points to it")
		case hash == "x" && !inShadow:
			e.State, e.Origin = "shadow-missing", u.Origin
		case hash == "x":
			hash = text[u.Name]
			e.State, e.Kind, e.Weak = hashState(hash)
		default: // it stands in passwd, and that is the one that counts
			e.State, e.Kind, e.Weak = hashState(hash)
			e.Origin = u.Origin
		}
		e.Name, e.UID, e.Login = u.Name, u.UID, u.Login
		hashes, texts = append(hashes, e), append(texts, hash)
	}
	return hashes, texts, nil
}

// readShadow reads the dates of every account, and the hashes' texts.
func readShadow(h *Host, now time.Time) (map[string]Hash, map[string]string, error) {
	shadow, text := map[string]Hash{}, map[string]string{}
	err := colonLines(h, "/etc/shadow", 2, func(f []string, origin string) {
		if _, ok := shadow[f[0]]; ok {
			return
		}
		e := Hash{Origin: origin, AgeDays: -1, MaxDays: -1}
		day := func(i int) (int, bool) {
			if i >= len(f) {
				return 0, false
			}
			n, err := strconv.Atoi(f[i])
			return n, err == nil && n >= 0 && n < 1_000_000
		}
		if n, ok := day(2); ok {
			e.AgeDays = 0
			if n > 0 {
				e.Changed = time.Unix(int64(n)*86400, 0).UTC()
				e.AgeDays = max(0, int(now.Sub(e.Changed)/(24*time.Hour)))
			}
		}
		if n, ok := day(4); ok && n < 99_999 {
			e.MaxDays = n
		}
		if n, ok := day(7); ok {
			e.Expired = !now.Before(time.Unix(int64(n)*86400, 0))
		}
		shadow[f[0]], text[f[0]] = e, f[1]
	})
	return shadow, text, err
}
