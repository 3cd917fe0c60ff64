package facts

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Bounds of authorized keys, which every account writes for itself.
const (
	maxKeys      = 20_000
	maxKeysAFile = 2_000
)

// Keys are the public keys that let somebody in by SSH.
type Keys struct {
	Keys  []Key     `cel:"keys"`
	Files []KeyFile `cel:"files"`
	// Command is a program that is asked for more keys, which are not seen here; "none".
	Command string `cel:"command"`
	// Authorities is a file of certificate authorities whose certificates let in; "none".
	Authorities string `cel:"authorities"`
}

// Key is one line of an authorized_keys file.
type Key struct {
	User    string `cel:"user"`
	UID     int    `cel:"uid"`
	Type    string `cel:"type"` // ssh-ed25519, ssh-rsa, ssh-dss, …
	Bits    int    `cel:"bits"` // of the modulus or curve
	Weak    bool   `cel:"weak"` // DSA, or RSA under 3072 bits (NIST SP 800-57 part 1: 128 bits of strength), or not readable
	Options string `cel:"options"`
	From    bool   `cel:"from"`    // it is bound to addresses
	Command bool   `cel:"command"` // it is bound to a command
	Comment string `cel:"comment"`
	Origin  string `cel:"origin"`
}

// KeyFile is one authorized_keys file that is there.
type KeyFile struct {
	User string `cel:"user"`
	Name string `cel:"name"`
	Mode string `cel:"mode"` // 0600
	// Foreign says who but the user and root may write the file or a folder on the way to it; "" nobody. With StrictModes
	// sshd does not read such a file.
	Foreign string `cel:"foreign"`
	Origin  string `cel:"origin"`
}

func collectKeys(ctx context.Context, h *Host, _ Target) (Keys, []Missing) {
	k := Keys{Command: "none", Authorities: "none"}
	users, err := readPasswd(h)
	if err != nil {
		return k, missing("%s", because(err))
	}
	groups, err := readGroups(h)
	if err != nil {
		return k, missing("%s", because(err))
	}
	lines, err := keyLines(h)
	if err != nil {
		return k, missing("%s", because(err))
	}
	for _, d := range lines {
		switch value := strings.Join(d.args, " "); d.keyword {
		case "authorizedkeyscommand":
			k.Command = value
		case "trustedusercakeys":
			k.Authorities = value
		}
	}
	of := memberships(users, groups)
	seen := map[string]bool{}
	for _, u := range users {
		if ctx.Err() != nil {
			return k, missing("%s", because(ctx.Err()))
		}
		for _, name := range keyFiles(lines, u, of[u.Name]) {
			if seen[u.Name+":"+name] {
				continue
			}
			seen[u.Name+":"+name] = true
			if err := k.read(h, u, name); err != nil {
				return k, missing("%s", because(err))
			}
			if len(k.Keys) > maxKeys {
				return k, missing("there are more than %d keys", maxKeys)
			}
		}
	}
	return k, nil
}

// keyLines are the directives that say where keys are.
func keyLines(h *Host) ([]sshdLine, error) {
	options, err := readSshdOptions(h)
	if err != nil {
		return nil, err
	}
	p := &sshdParser{h: h}
	if err := p.file(options.file, nil, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	lines := slices.Concat(options.lines, p.lines)
	return slices.DeleteFunc(lines, func(d sshdLine) bool {
		return !slices.Contains([]string{"authorizedkeysfile", "authorizedkeyscommand", "trustedusercakeys"}, d.keyword)
	}), nil
}

// keyFiles names the files for one user: of the first global line or the default, and of every Match block that may
// hold for the user from some address.
func keyFiles(lines []sshdLine, u User, groups []string) []string {
	patterns, global := []string{}, false
	c := sshdClient{user: u.Name, groups: groups}
	for _, d := range lines {
		if d.keyword != "authorizedkeysfile" {
			continue
		}
		if len(d.when) == 0 {
			if !global {
				patterns = append(patterns, d.args...)
			}
			global = true
			continue
		}
		may := true
		for _, m := range d.when {
			for _, k := range m.criteria {
				may = may && (k.kind != "user" && k.kind != "group" || k.matches(c))
			}
		}
		if may {
			patterns = append(patterns, d.args...)
		}
	}
	if !global {
		patterns = append(patterns, ".ssh/authorized_keys", ".ssh/authorized_keys2")
	}
	var names []string
	for _, p := range patterns {
		if p == "none" {
			continue
		}
		name := strings.NewReplacer("%%", "%", "%h", u.Home, "%u", u.Name, "%U", strconv.Itoa(u.UID)).Replace(p)
		if !path.IsAbs(name) {
			name = path.Join("/", u.Home, name)
		}
		names = append(names, path.Clean(name))
	}
	return names
}

// read takes up one file, if it is there.
func (k *Keys) read(h *Host, u User, name string) error {
	text, err := h.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := h.Stat(name)
	if err != nil {
		return err
	}
	k.Files = append(k.Files, KeyFile{u.Name, name, fmt.Sprintf("%04o", info.Mode().Perm()), foreign(h, name, u.UID), name})
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if n > maxKeysAFile {
			return fmt.Errorf("%s has more than %d lines", name, maxKeysAFile)
		}
		key, ok := parseKey(line)
		if !ok {
			continue // sshd skips it too
		}
		key.User, key.UID, key.Origin = u.Name, u.UID, fmt.Sprintf("%s:%d", name, n)
		k.Keys = append(k.Keys, key)
	}
	return nil
}

// foreign says who but uid and root may change what is under name.
// Files of a folder that an ordinary user has unpacked belong to that user as they would to root: whoever has its top.
func foreign(h *Host, name string, uid int) string {
	root, group := uint32(0), uint32(0)
	if info, err := h.Stat("/"); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && !h.Live() {
			root, group = st.Uid, st.Gid
		}
	}
	for at := name; ; at = path.Dir(at) {
		info, err := h.Stat(at)
		if err != nil {
			return ""
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		sticky := info.Mode()&fs.ModeSticky != 0 && at != name
		switch {
		case ok && st.Uid != 0 && st.Uid != root && int(st.Uid) != uid:
			return fmt.Sprintf("user id %d owns %s", st.Uid, at)
		case info.Mode().Perm()&0o002 != 0 && !sticky:
			return "everybody may write " + at
		case ok && info.Mode().Perm()&0o020 != 0 && st.Gid != 0 && st.Gid != group && !sticky:
			return fmt.Sprintf("group id %d may write %s", st.Gid, at)
		}
		if at == "/" || at == "." {
			return ""
		}
	}
}

// parseKey reads "[OPTIONS] TYPE BASE64 [COMMENT]".
func parseKey(line string) (Key, bool) {
	var k Key
	fields := cutOptions(line)
	if !keyType(first(fields)) {
		k.Options = first(fields)
		fields = cutOptions(strings.TrimSpace(line[len(k.Options):]))
	}
	if len(fields) < 2 || !keyType(fields[0]) {
		return k, false
	}
	for option := range strings.SplitSeq(strings.ToLower(k.Options), ",") {
		k.From = k.From || strings.HasPrefix(option, "from=")
		k.Command = k.Command || strings.HasPrefix(option, "command=")
	}
	k.Type, k.Comment = fields[0], strings.Join(fields[2:], " ")
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return k, false
	}
	inner, rest, ok := sshString(blob)
	if !ok || string(inner) != k.Type {
		return k, false
	}
	k.Bits = keyBits(k.Type, rest)
	kind := strings.TrimPrefix(k.Type, "sk-")
	k.Weak = strings.HasPrefix(kind, "ssh-dss") || strings.HasPrefix(kind, "ssh-rsa") && k.Bits < 3072
	return k, true
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// cutOptions splits at white space that stands in no quotes; \" is no quote.
func cutOptions(s string) []string {
	quoted, escaped := false, false
	return strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' && !escaped {
			quoted = !quoted
		}
		escaped = r == '\\'
		return (r == ' ' || r == '\t') && !quoted
	})
}

func keyType(s string) bool {
	return slices.ContainsFunc([]string{"ssh-ed25519", "ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp", "sk-ssh-ed25519", "sk-ecdsa-sha2-nistp256", "rsa-sha2-"},
		func(prefix string) bool { return strings.HasPrefix(s, prefix) })
}

// sshString reads a string of RFC 4251.
func sshString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

func keyBits(kind string, rest []byte) int {
	number := func() int {
		var s []byte
		s, rest, _ = sshString(rest)
		return new(big.Int).SetBytes(s).BitLen()
	}
	switch {
	case kind == "ssh-rsa":
		number() // the exponent
		return number()
	case kind == "ssh-dss":
		return number()
	case strings.HasPrefix(kind, "ecdsa-sha2-nistp"):
		n, _ := strconv.Atoi(strings.TrimPrefix(kind, "ecdsa-sha2-nistp"))
		return n
	}
	return 256
}
