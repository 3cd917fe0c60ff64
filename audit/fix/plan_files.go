package fix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// look returns what stands under name, or will after what is planned, and the name without links.
func (p *planner) look(name string) (string, state, error) {
	dir, err := p.m.place.resolve(path.Dir(name))
	if err != nil {
		return "", state{}, err
	}
	full := path.Join(dir, path.Base(name))
	if c := p.files[full]; c != nil {
		return full, c.After, nil
	}
	s, err := p.m.place.read(full)
	return full, s, err
}

// file is look for a file's content: a link at the end is followed as well, as every program that reads it does.
func (p *planner) file(name string) (string, state, error) {
	full, s, err := p.look(name)
	if err == nil && s.Type == isLink {
		if name, err = p.m.place.resolve(full); err == nil {
			full, s, err = p.look(name)
		}
	}
	return full, s, err
}

// set plans that want stands under name, which look returned.
func (p *planner) set(full string, now, want state) {
	if now.equal(want) {
		return
	}
	p.edits++
	c := p.files[full]
	if c == nil {
		c = &fileChange{Path: full, Before: now}
		p.files[full], p.order = c, append(p.order, full)
	}
	c.After = want
}

// text plans a new content of a file that is there; mode, owner, ACL and flags stay.
func (p *planner) text(full string, now state, text string) {
	want := now
	want.Bytes, want.SHA256 = []byte(text), hashOf([]byte(text))
	want.Modified = noTime
	p.set(full, now, want)
}

// write plans lines in files of our own.
func (p *planner) write(_ context.Context, r repair) error {
	for _, w := range r.Write {
		var err error
		if w.Lines, err = p.withRoots(w.Lines); err != nil {
			return err
		}
		folders, err := p.m.host.Glob(w.Folder)
		if err != nil {
			return err
		}
		for _, folder := range folders {
			if err := p.writeIn(folder, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// withRoots puts the folders of the declared applications where lines ask for them.
func (p *planner) withRoots(lines []string) ([]string, error) {
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "{roots}") }) {
		return lines, nil
	}
	var roots []string
	for _, a := range p.f.o.Apps {
		if strings.ContainsAny(a.Root, ":\"'\n;") || !path.IsAbs(a.Root) {
			return nil, fmt.Errorf("the folder of application %s, %q, cannot stand in a list of folders", a.Name, a.Root)
		}
		roots = append(roots, path.Clean(a.Root)+"/")
	}
	if len(roots) == 0 {
		return nil, nothing("no application is declared under audit.apps, nor by --app NAME --app-root FOLDER")
	}
	out := slices.Clone(lines)
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "{roots}", strings.Join(roots, ":"))
	}
	return out, nil
}

func (p *planner) writeIn(folder string, w writing) error {
	full, now, err := p.file(path.Join(folder, w.File))
	if err != nil {
		return err
	}
	if w.Merge {
		if w.Lines, err = p.merged(folder, w); err != nil {
			return err
		}
	}
	switch now.Type {
	case "":
		head := w.Comment + " Written by doorward fix. doorward fix undo takes it back.\n"
		p.set(full, now, fileOf([]byte(addLines(head, w)), attributes{Mode: 0o644}))
	case isFile:
		p.text(full, now, addLines(string(now.Bytes), w))
	default:
		return fmt.Errorf("%s is %s, and not a file", full, now.describe())
	}
	if w.Link == "" {
		return nil
	}
	link, was, err := p.look(path.Join(path.Dir(folder), w.Link, w.File))
	if err != nil {
		return err
	}
	if was.Type == "" {
		p.set(link, was, state{Type: isLink, Target: "../" + path.Base(folder) + "/" + w.File})
	}
	return nil
}

// merged adds to the lists of w what is set for the same names elsewhere.
func (p *planner) merged(folder string, w writing) ([]string, error) {
	names, err := p.m.host.Glob(folder + "/*.ini")
	if err != nil {
		return nil, err
	}
	names = append([]string{path.Join(path.Dir(folder), "php.ini")}, names...)
	lines := slices.Clone(w.Lines)
	for i, line := range lines {
		before := ""
		for _, name := range names {
			_, now, err := p.file(name)
			if err != nil {
				return nil, err
			}
			for old := range strings.Lines(string(now.Bytes)) {
				if _, value, ok := strings.Cut(old, "="); ok && path.Base(name) != w.File && !strings.HasPrefix(strings.TrimSpace(old), ";") && keyOf(old) == keyOf(line) {
					before = strings.Trim(strings.TrimSpace(value), `"'`)
				}
			}
		}
		_, ours, _ := strings.Cut(line, "=")
		list := strings.Split(strings.TrimSpace(ours), ",")
		for item := range strings.SplitSeq(before, ",") {
			if item = strings.TrimSpace(item); item != "" && !slices.Contains(list, item) {
				list = append(list, item)
			}
		}
		lines[i] = keyOf(line) + " = " + strings.Join(list, ",")
	}
	return lines, nil
}

// addLines adds what is not there yet; a keyed line takes the place of its namesake.
func addLines(text string, w writing) string {
	lines := splitLines(text)
	for _, line := range w.Lines {
		line = strings.TrimRight(line, "\n") + "\n"
		if strings.Contains(text, line) && (!w.Keyed || slices.Contains(lines, line)) {
			continue
		}
		same := func(old string) bool { return w.Keyed && keyOf(old) == keyOf(line) }
		if i := slices.IndexFunc(lines, same); i >= 0 {
			lines[i] = line
			continue
		}
		if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
			lines[n-1] += "\n"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// keyOf is the name that a line sets.
func keyOf(line string) string {
	words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t=\r\n", r) })
	if len(words) == 0 {
		return ""
	}
	return strings.ToLower(words[0])
}

// silence plans comments in the place of lines that would win over ours.
func (p *planner) silence(_ context.Context, r repair) error {
	for _, s := range r.Silence {
		pattern, err := regexp.Compile(s.Pattern)
		if err != nil {
			return err
		}
		except, err := regexp.Compile(s.Except)
		if err != nil {
			return err
		}
		err = p.lines(s.Files, func(line string) string {
			if pattern.MatchString(line) && (s.Except == "" || !except.MatchString(line)) {
				return s.Comment + " doorward fix: " + line
			}
			return line
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// editTimes is how often one line is looked at again: it may have several words that a pattern takes one by one.
const editTimes = 4

// edit plans other texts of lines.
func (p *planner) edit(_ context.Context, r repair) error {
	for _, e := range r.Edit {
		pattern, err := regexp.Compile(e.Pattern)
		if err != nil {
			return err
		}
		err = p.lines(e.Files, func(line string) string {
			for range editTimes {
				line = pattern.ReplaceAllString(line, e.With)
			}
			return line
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lines plans what each line of the files, without its end, becomes.
func (p *planner) lines(globs []string, becomes func(line string) string) error {
	for _, glob := range globs {
		names, err := p.m.host.Glob(glob)
		if err != nil {
			return err
		}
		for _, name := range names {
			full, now, err := p.file(name)
			if err != nil || now.Type != isFile {
				return fmt.Errorf("%s is no file that can be read (%v)", name, err)
			}
			lines := splitLines(string(now.Bytes))
			for i, line := range lines {
				text, end := strings.CutSuffix(line, "\n")
				lines[i] = becomes(text)
				if end {
					lines[i] += "\n"
				}
			}
			p.text(full, now, strings.Join(lines, ""))
		}
	}
	return nil
}

// remove plans that links and files go.
func (p *planner) remove(_ context.Context, r repair) error {
	for _, glob := range r.Remove {
		names, err := p.m.links(glob)
		if err != nil {
			return err
		}
		for _, name := range names {
			full, now, err := p.look(name)
			if err != nil {
				return err
			}
			if now.Type == isFile || now.Type == isLink {
				p.set(full, now, state{})
			}
		}
	}
	return nil
}

// links is Glob that finds links too that lead nowhere; only the last part of the pattern may match several.
func (m *Machine) links(glob string) ([]string, error) {
	folders, err := m.host.Glob(path.Dir(glob))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, folder := range folders {
		entries, err := m.host.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if ok, _ := path.Match(path.Base(glob), e.Name()); ok {
				found = append(found, path.Join(folder, e.Name()))
			}
		}
	}
	return found, nil
}
