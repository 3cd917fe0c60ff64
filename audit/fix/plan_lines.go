package fix

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/audit/facts"
)

// lineEdit is another text for one line of a file: none, or several lines, stand in its place.
type lineEdit struct {
	file string
	line int // from 1, as the file is on the disk
	make func(line string) string
}

// edited is a file whose lines are changed: as it is on the disk, and as it will be.
type edited struct {
	base  []string
	after string
	makes map[int][]func(string) string
}

// changeLines plans other texts for lines, by their numbers on the disk. Several repairs may change one file so; one that
// another repair changes as a whole is left for the next plan.
func (p *planner) changeLines(edits []lineEdit) error {
	for _, e := range edits {
		full, now, err := p.file(e.file)
		if err != nil {
			return err
		}
		if now.Type != isFile {
			return fmt.Errorf("%s is no file", e.file)
		}
		f := p.edited[full]
		if f == nil && p.files[full] == nil {
			f = &edited{splitLines(string(now.Bytes)), string(now.Bytes), map[int][]func(string) string{}}
			p.edited[full] = f
		}
		if f == nil || f.after != string(now.Bytes) || e.line < 1 || e.line > len(f.base) {
			return nothing("another repair of this plan changes %s: apply that, and then this", e.file)
		}
		f.makes[e.line] = append(f.makes[e.line], e.make)
		lines := slices.Clone(f.base)
		for n, makes := range f.makes {
			for _, make := range makes {
				lines[n-1] = make(lines[n-1])
			}
		}
		f.after = strings.Join(lines, "")
		p.text(full, now, f.after)
	}
	return nil
}

// commented keeps a line as a comment.
func commented(mark string) func(string) string {
	return func(line string) string { return mark + " doorward fix: " + line }
}

// instead keeps a line as a comment, and another one after it.
func instead(mark, other string) func(string) string {
	return func(line string) string {
		return commented(mark)(strings.TrimSuffix(line, "\n")) + "\n" + other + "\n"
	}
}

// lineOf reads FILE:LINE of a fact.
func lineOf(origin string) (file string, line int, err error) {
	at := strings.LastIndexByte(origin, ':')
	if at < 0 {
		return "", 0, fmt.Errorf("%q names no line", origin)
	}
	line, err = strconv.Atoi(origin[at+1:])
	return origin[:at], line, err
}

// settings plans values of database servers. Lines that say something else become comments, wherever they stand: which of
// them wins hangs on the order in which files are read, and that changes with the next file.
func (p *planner) settings(_ context.Context, r repair) error {
	for _, s := range r.Settings {
		good, err := regexp.Compile(s.Good)
		if err != nil {
			return err
		}
		mains := []string{""}
		if s.Of == "postgresql" {
			if mains, err = p.m.host.Glob("/etc/postgresql/*/*/postgresql.conf"); err != nil {
				return err
			}
		}
		before := p.edits
		for _, main := range mains {
			if err := p.setting(s, good, main); err != nil {
				return err
			}
		}
		if p.edits > before {
			p.g.says = append(p.g.says, s)
		}
	}
	return nil
}

// setting plans one value of one server.
func (p *planner) setting(s setting, good *regexp.Regexp, main string) error {
	lines, unread := facts.MariaDBLines(p.m.host)
	if s.Of == "postgresql" {
		lines, unread = facts.PostgresLines(p.m.host, main)
	}
	if len(unread) > 0 {
		return nothing("its configuration cannot be read whole: %s", unread[0])
	}
	var edits []lineEdit
	kept := false
	for _, l := range lines {
		switch {
		case l.Key != s.Name:
		case good.MatchString(l.Value):
			kept = true
		default:
			edits = append(edits, lineEdit{l.File, l.Line, commented("#")})
		}
	}
	if err := p.changeLines(edits); err != nil {
		return err
	}
	if kept || len(edits) == 0 && s.Of == "postgresql" && good.MatchString(postgresDefaults(s.Name)) {
		return nil
	}
	return p.setLast(s, main)
}

// postgresDefaults are the values of a server whose files say nothing.
func postgresDefaults(name string) string {
	return map[string]string{"listen_addresses": "localhost", "password_encryption": "scram-sha-256"}[name]
}

// setLast plans the line in a file of ours, where the configuration includes a folder, else at the end of its first file.
func (p *planner) setLast(s setting, main string) error {
	w := writing{File: "zz-doorward.cnf", Comment: "#", Lines: []string{"[mariadbd]", s.Name + " = " + s.Value}, Keyed: true}
	first := "/etc/mysql/my.cnf"
	includes := regexp.MustCompile(`(?m)^\s*!includedir\s+(/\S*?)/?\s*$`)
	if s.Of == "postgresql" {
		w.File, w.Lines, first = "zz-doorward.conf", []string{s.Name + " = '" + s.Value + "'"}, main
		includes = regexp.MustCompile(`(?m)^\s*include_dir\s*=?\s*'?([^'\s#]+)`)
	} else if !p.there(first) {
		first = "/etc/my.cnf"
	}
	full, now, err := p.file(first)
	if err != nil {
		return err
	}
	if now.Type != isFile {
		return nothing("%s is not there", first)
	}
	if found := includes.FindAllSubmatch(now.Bytes, -1); len(found) > 0 {
		folder := string(found[len(found)-1][1])
		if !path.IsAbs(folder) {
			folder = path.Join(path.Dir(first), folder)
		}
		if p.there(folder) {
			return p.writeIn(folder, w)
		}
	}
	text := string(now.Bytes)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	p.text(full, now, text+"# Written by doorward fix. doorward fix undo takes it back.\n"+strings.Join(w.Lines, "\n")+"\n")
	return nil
}

// replace plans another text for parts of lines.
func (p *planner) replace(_ context.Context, r repair) error {
	for _, s := range r.Replace {
		pattern, err := regexp.Compile(s.Pattern)
		if err != nil {
			return err
		}
		for _, glob := range s.Files {
			names, err := p.m.host.Glob(glob)
			if err != nil {
				return err
			}
			for _, name := range names {
				full, now, err := p.file(name)
				if err != nil {
					return err
				}
				if now.Type != isFile {
					continue
				}
				lines := splitLines(string(now.Bytes))
				for i, line := range lines {
					if !strings.HasPrefix(strings.TrimSpace(line), "#") {
						lines[i] = pattern.ReplaceAllString(line, s.With)
					}
				}
				p.text(full, now, strings.Join(lines, ""))
			}
		}
	}
	return nil
}

// create plans empty files where nothing is.
func (p *planner) create(_ context.Context, r repair) error {
	for _, c := range r.Create {
		mode, err := strconv.ParseUint(c.Mode, 8, 12)
		if err != nil {
			return fmt.Errorf("create: %q is no mode", c.Mode)
		}
		group, err := p.m.id("/etc/group", c.Group, 0)
		if err != nil {
			return nothing("%v", err)
		}
		full, now, err := p.look(c.Path)
		if err != nil {
			return err
		}
		if now.Type == "" {
			p.set(full, now, fileOf(nil, attributes{Mode: uint32(mode), GID: group}))
		}
	}
	return nil
}
