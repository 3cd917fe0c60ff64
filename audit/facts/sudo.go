package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Bounds of sudoers.
const (
	maxSudoFiles  = 256
	maxSudoLines  = 20_000
	maxSudoDepth  = 128     // of include, as sudo has it
	maxSudoExpand = 100_000 // entries of aliases and groups looked at
)

// Sudo is who may become root without being root.
type Sudo struct {
	Installed bool `cel:"installed"`
	// Grants are the rules of sudoers that let somebody run something as root.
	Grants []SudoGrant `cel:"grants"`
	// Roots are the accounts that are root, or can make themselves root with any command: by user id 0, by sudo, or by a
	// group that amounts to it, such as docker.
	Roots []SudoRoot `cel:"roots"`
	// Approved are Config.Administrators; missing when none is declared.
	Approved []string `cel:"approved"`
}

// SudoGrant is one rule.
type SudoGrant struct {
	Who        string   `cel:"who"`   // as written: anna, %sudo, ALL, an alias
	Users      []string `cel:"users"` // the accounts of the host that it comes to
	Commands   string   `cel:"commands"`
	Any        bool     `cel:"any"` // any command
	NoPassword bool     `cel:"no_password"`
	Origin     string   `cel:"origin"`
}

// SudoRoot is one account.
type SudoRoot struct {
	Name       string `cel:"name"`
	By         string `cel:"by"`          // "user id 0", "sudo", "group docker"
	NoPassword bool   `cel:"no_password"` // sudo asks for none
	Origin     string `cel:"origin"`
}

func collectSudo(_ context.Context, h *Host, t Target) (Sudo, []Missing) {
	s := Sudo{Installed: h.Look("/usr/bin/sudo", "/usr/local/bin/sudo", "/bin/sudo") != "", Approved: t.Administrators}
	users, err := readPasswd(h)
	if err != nil {
		return s, missing("%s", because(err))
	}
	groups, err := readGroups(h)
	if err != nil {
		return s, missing("%s", because(err))
	}
	p := &sudoParser{h: h, users: users, of: memberships(users, groups), aliases: map[string][]string{}}
	if s.Installed {
		if err := p.file("/etc/sudoers", 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s, missing("%s", because(err))
		}
		if s.Grants, err = p.grants(); err != nil {
			return s, missing("%s", because(err))
		}
	}
	for _, u := range users {
		if root, ok := s.rootOf(u, p.of[u.Name]); ok {
			s.Roots = append(s.Roots, root)
		}
	}
	if len(s.Approved) == 0 {
		return s, []Missing{{"approved", "audit.administrators names nobody"}}
	}
	return s, nil
}

func (s Sudo) rootOf(u User, groups []string) (SudoRoot, bool) {
	if u.UID == 0 {
		return SudoRoot{u.Name, "user id 0", false, u.Origin}, true
	}
	root, found := SudoRoot{Name: u.Name}, false
	for _, g := range s.Grants { // the last that fits counts
		if g.Any && slices.Contains(g.Users, u.Name) {
			root.By, root.NoPassword, root.Origin, found = "sudo, by "+g.Who, g.NoPassword, g.Origin, true
		}
	}
	if found {
		return root, true
	}
	for _, g := range []string{"docker", "lxd", "disk"} { // they hand out the host's files
		if slices.Contains(groups, g) {
			return SudoRoot{u.Name, "group " + g, true, "/etc/group"}, true
		}
	}
	return root, false
}

type sudoLine struct{ text, origin string }

// sudoParser reads sudoers and what it includes.
type sudoParser struct {
	h       *Host
	users   []User
	of      map[string][]string // groups of users
	files   int
	work    int
	lines   []sudoLine
	aliases map[string][]string
	free    []sudoFree
}

// sudoFree is a "Defaults !authenticate".
type sudoFree struct {
	who    string // "" is everybody
	off    bool
	origin string
}

func (p *sudoParser) file(name string, depth int) error {
	if p.files++; p.files > maxSudoFiles || depth > maxSudoDepth {
		return fmt.Errorf("%s: more than %d files are included", name, maxSudoFiles)
	}
	text, err := p.h.ReadFile(name)
	if err != nil {
		return err
	}
	n, start, long := 0, 0, strings.Builder{}
	for line := range strings.Lines(string(text)) {
		if n++; long.Len() == 0 {
			start = n
		}
		line = strings.TrimRight(line, "\r\n")
		if part, ok := strings.CutSuffix(line, `\`); ok {
			long.WriteString(part + " ")
			continue
		}
		long.WriteString(line)
		whole := strings.TrimSpace(long.String())
		long.Reset()
		if err := p.line(sudoLine{whole, fmt.Sprintf("%s:%d", name, start)}, path.Dir(name), depth); err != nil {
			return err
		}
	}
	return nil
}

func (p *sudoParser) line(l sudoLine, dir string, depth int) error {
	word, rest, _ := strings.Cut(strings.ReplaceAll(l.text, "\t", " "), " ")
	rest = strings.Trim(strings.TrimSpace(rest), `"`)
	if !path.IsAbs(rest) {
		rest = path.Join(dir, rest)
	}
	switch word {
	case "@include", "#include":
		if err := p.file(rest, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	case "@includedir", "#includedir":
		entries, err := p.h.ReadDir(rest)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), ".") || strings.HasSuffix(e.Name(), "~") || e.IsDir() {
				continue // sudo skips them too
			}
			if err := p.file(path.Join(rest, e.Name()), depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	l.text = uncomment(l.text)
	if l.text == "" {
		return nil
	}
	if p.lines = append(p.lines, l); len(p.lines) > maxSudoLines {
		return fmt.Errorf("%s: more than %d lines", l.origin, maxSudoLines)
	}
	return nil
}

// uncomment cuts a comment off; "#1000" at a word's beginning is a user id and none.
func uncomment(s string) string {
	for i := range len(s) {
		number := i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9'
		if s[i] == '#' && !number && (i == 0 || s[i-1] != '\\') {
			return strings.TrimSpace(s[:i])
		}
	}
	return strings.TrimSpace(s)
}

// grants evaluates all lines: aliases first, because they may be used before they stand there.
func (p *sudoParser) grants() ([]SudoGrant, error) {
	var rules []sudoLine
	for _, l := range p.lines {
		word, rest, _ := strings.Cut(strings.ReplaceAll(l.text, "\t", " "), " ")
		switch {
		case strings.HasSuffix(word, "_Alias"):
			for part := range strings.SplitSeq(rest, ":") {
				if name, members, ok := strings.Cut(part, "="); ok {
					p.aliases[strings.TrimSpace(name)] = splitList(members)
				}
			}
		case strings.HasPrefix(word, "Defaults"):
			who := strings.TrimLeft(strings.TrimPrefix(word, "Defaults"), ":")
			for _, d := range splitList(rest) {
				if d == "!authenticate" || d == "authenticate" {
					p.free = append(p.free, sudoFree{who, d[0] == '!', l.origin})
				}
			}
		default:
			rules = append(rules, l)
		}
	}
	var all []SudoGrant
	for _, l := range rules {
		all = append(all, p.rule(l)...)
		if p.work > maxSudoExpand {
			return nil, fmt.Errorf("%s: the rules name more than %d entries", l.origin, maxSudoExpand)
		}
	}
	return all, nil
}

// rule reads "WHO HOST = (RUNAS) TAG: COMMANDS [: HOST = …]".
func (p *sudoParser) rule(l sudoLine) []SudoGrant {
	left, right, ok := strings.Cut(l.text, "=")
	if !ok {
		return nil
	}
	who := strings.TrimSpace(left)
	if at := strings.LastIndexAny(who, " \t"); at > 0 {
		who = strings.TrimSpace(who[:at]) // the host is taken to be this one: names of hosts say nothing under a root
	}
	asRoot, noPassword := true, false
	var all []SudoGrant
	for _, command := range splitList(right) {
		if strings.HasPrefix(command, "(") {
			runas, rest, _ := strings.Cut(command[1:], ")")
			user, _, _ := strings.Cut(runas, ":")
			asRoot = p.includesRoot(user, 0)
			command = strings.TrimSpace(rest)
		}
		for {
			tag, rest, ok := strings.Cut(command, ":")
			if tag = strings.TrimSpace(tag); !ok || tag == "" || strings.Trim(tag, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
				break
			}
			switch tag {
			case "NOPASSWD":
				noPassword = true
			case "PASSWD":
				noPassword = false
			}
			command = strings.TrimSpace(rest)
		}
		if !asRoot || strings.HasPrefix(command, "!") || command == "" {
			continue
		}
		g := SudoGrant{Who: who, Commands: command, Any: p.any(command, 0), NoPassword: noPassword, Origin: l.origin}
		for _, u := range p.users {
			if in, _ := p.names(who, u, 0); in {
				g.Users = append(g.Users, u.Name)
			}
		}
		for _, f := range p.free {
			if f.who == "" || f.who == who {
				g.NoPassword = f.off || g.NoPassword
			}
		}
		all = append(all, g)
	}
	return all
}

// splitList splits at commas that stand in no parentheses and no quotes.
func splitList(s string) []string {
	var all []string
	depth, from, quoted := 0, 0, false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '(':
			depth++
		case s[i] == ')':
			depth--
		case s[i] == ',' && depth <= 0 && !quoted && (i == 0 || s[i-1] != '\\'):
			all = append(all, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(all, strings.TrimSpace(s[from:]))
}

// any says whether the command, or the alias, is every command.
func (p *sudoParser) any(command string, depth int) bool {
	if p.work++; command == "ALL" {
		return true
	}
	return depth < 8 && p.work < maxSudoExpand && slices.ContainsFunc(p.aliases[command], func(c string) bool { return p.any(c, depth+1) })
}

func (p *sudoParser) includesRoot(runas string, depth int) bool {
	runas = strings.TrimSpace(runas)
	if runas == "" {
		return false // "(:group)" keeps the user
	}
	in := false
	for _, r := range splitList(runas) {
		p.work++
		name, negated := strings.CutPrefix(r, "!")
		hit := name == "ALL" || name == "root" || name == "#0" || name == "%root"
		if depth < 8 && p.work < maxSudoExpand && p.aliases[name] != nil {
			hit = p.includesRoot(strings.Join(p.aliases[name], ","), depth+1)
		}
		if hit {
			in = !negated
		}
	}
	return in
}

// names says whether a list of users names u; the last entry that does counts, so that "ALL, !anna" leaves anna out.
func (p *sudoParser) names(list string, u User, depth int) (in, known bool) {
	for _, entry := range splitList(list) {
		if p.work++; p.work > maxSudoExpand*10 {
			return in, known
		}
		name, negated := strings.CutPrefix(entry, "!")
		name = strings.Trim(strings.TrimSpace(name), `"`)
		hit := name == "ALL" || name == u.Name || name == fmt.Sprintf("#%d", u.UID)
		if group, ok := strings.CutPrefix(name, "%"); ok {
			hit = slices.Contains(p.of[u.Name], group)
		}
		if members := p.aliases[name]; members != nil && depth < 8 {
			inner, ok := p.names(strings.Join(members, ","), u, depth+1)
			if hit = ok; ok {
				in, known = inner != negated, true
				continue
			}
		}
		if hit {
			in, known = !negated, true
		}
	}
	return in, known
}
