package fix

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"errors"

	"github.com/doorward/doorward/audit"
)

// Plan is what would be done, in groups that are applied and taken back as one.
type Plan struct {
	Groups []Group
	// Left are the controls that were asked for and get no change, with the reason.
	Left []Left
}

// Left is a control without a change.
type Left struct{ Control, Reason string }

// Group is the changes of one service or application.
type Group struct {
	Name     string   // of the service or repair
	Titles   []string // what will be so
	Controls []string // that it brings into force
	Notes    []string // what a person should know before
	Runs     []string // what is run after the change

	service  *service
	judged   []string // the controls for which this is the last group
	partial  []string
	changes  []change
	sshd     map[string]string // what sshd has to say of itself afterwards
	findings map[string]audit.Finding
	app      *App
	seal     string
}

// Diff shows all changes of the group.
func (g Group) Diff() string {
	var b strings.Builder
	for _, c := range g.changes {
		b.WriteString(c.diff())
	}
	return b.String()
}

// Changes lists what is changed, one line each.
func (g Group) Changes() []string {
	var all []string
	for _, c := range g.changes {
		all = append(all, c.what())
	}
	return all
}

// Confirmed says whether the group is taken back unless somebody confirms it.
func (g Group) Confirmed() bool { return g.service != nil && g.service.Confirm }

// errNothing is that a repair means nothing here, with the reason.
type errNothing struct{ reason string }

func (e errNothing) Error() string { return e.reason }

func nothing(format string, args ...any) error { return errNothing{fmt.Sprintf(format, args...)} }

// Plan works out what would bring the controls into force. With named, the ids are a person's own choice, and repairs that
// take something away are planned too.
func (f *Fixer) Plan(ctx context.Context, ids []string, named bool) (Plan, error) {
	var plan Plan
	findings := f.judge(ctx, ids)
	groups := map[string]*planner{}
	var order []string
	for _, id := range ids {
		repairs, left := f.repairsOf(id, named)
		if left != "" {
			plan.Left = append(plan.Left, Left{id, left})
			continue
		}
		changed, reasons := false, []string{}
		for _, r := range repairs {
			if f := findings[id]; !r.Always && (f.Status == audit.Pass || f.Status == audit.NotApplicable) {
				reasons = append(reasons, strings.TrimSuffix("it is "+string(f.Status)+" already: "+f.Reason, ": "))
				continue
			}
			p := groups[r.group()]
			if p == nil {
				p = &planner{f: f, m: f.m, g: Group{Name: r.group(), service: f.recipes.service(r.Service), findings: findings, sshd: map[string]string{}},
					files: map[string]*fileChange{}, done: map[string]bool{}}
				groups[r.group()], order = p, append(order, r.group())
			}
			did, err := p.repair(ctx, r, id)
			var none errNothing
			switch {
			case errors.As(err, &none):
				reasons = append(reasons, none.reason)
			case err != nil:
				return plan, fmt.Errorf("plan %s: %w", id, err)
			}
			changed = changed || did
		}
		if !changed {
			plan.Left = append(plan.Left, Left{id, leftReason(reasons, findings[id])})
		}
	}
	last := map[string]string{} // the group after which a control is judged
	walked := ""                // the group that changes the files of the application
	for _, name := range order {
		g, ok := groups[name].finish()
		if tree := slices.ContainsFunc(g.changes, func(c change) bool { return c.kind() == "tree" }); ok && tree {
			if walked != "" {
				for _, id := range g.Controls {
					plan.Left = append(plan.Left, Left{id, "it changes the same files as " + walked + ": apply that, and then this"})
				}
				continue
			}
			walked = name
		}
		if ok {
			plan.Groups = append(plan.Groups, g)
			for _, id := range g.Controls {
				last[id] = name
			}
		}
	}
	for i, g := range plan.Groups {
		for _, id := range g.Controls {
			if last[id] == g.Name {
				plan.Groups[i].judged = append(plan.Groups[i].judged, id)
			}
		}
	}
	return plan, nil
}

func leftReason(reasons []string, f audit.Finding) string {
	if len(reasons) > 0 {
		return strings.Join(slices.Compact(reasons), "; ")
	}
	if f.Status == audit.Fail {
		return "all that the repair would write is there already, and the control still fails: " + f.Fix
	}
	return "all that the repair would write is there already"
}

// repairsOf finds the repairs of a control, or says why there is none to plan.
func (f *Fixer) repairsOf(id string, named bool) ([]repair, string) {
	var found []repair
	why := ""
	for _, r := range f.recipes.Repairs {
		switch {
		case !slices.Contains(r.Controls, id):
		case r.Named && !named:
			why = "only when it is named (doorward fix apply " + id + "): " + r.Why
		default:
			found = append(found, r)
		}
	}
	if len(found) == 0 && why == "" {
		why = "there is no repair for it; doorward audit explain " + id + " says what to do"
	}
	if len(found) > 0 {
		why = ""
	}
	return found, why
}

func (r repair) group() string {
	switch {
	case r.Service != "":
		return r.Service
	case r.App != "":
		return "app-" + r.App
	}
	return strings.ToLower(strings.ReplaceAll(r.Controls[0], "_", "-"))
}

// planner collects the changes of one group. A file that several repairs change is one change.
type planner struct {
	f     *Fixer
	m     *Machine
	g     Group
	files map[string]*fileChange
	order []string
	other []change
	done  map[string]bool // titles of repairs that were planned, because several controls may share one
	edits int
}

// repair plans one repair for a control and says whether it changes anything.
func (p *planner) repair(ctx context.Context, r repair, id string) (bool, error) {
	if len(r.Needs) > 0 && !slices.ContainsFunc(r.Needs, p.there) {
		return false, nothing("%s is not on this host", r.Needs[0])
	}
	if p.done[r.Title] {
		p.answers(r, id)
		return true, nil
	}
	before := p.edits
	for _, step := range []func(context.Context, repair) error{p.keyLogin, p.planSSHD, p.silence, p.write, p.remove, p.unused, p.sysctl, p.unitsOff, p.attributes, p.mariadb, p.app} {
		if err := step(ctx, r); err != nil {
			return false, err
		}
	}
	if p.edits == before {
		return false, nil
	}
	p.done[r.Title] = true
	p.g.Titles = append(p.g.Titles, r.Title)
	p.answers(r, id)
	return true, nil
}

func (p *planner) answers(r repair, id string) {
	p.g.Controls = append(p.g.Controls, id)
	if r.Partial {
		p.g.partial = append(p.g.partial, id)
	}
}

func (p *planner) there(pattern string) bool {
	found, err := p.m.host.Glob(pattern)
	return err == nil && len(found) > 0
}

func (p *planner) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(p.g.Notes, n) {
		p.g.Notes = append(p.g.Notes, n)
	}
}

// finish makes the group of what was planned.
func (p *planner) finish() (Group, bool) {
	for _, name := range p.order {
		if c := p.files[name]; !c.Before.equal(c.After) {
			c.Temp = fmt.Sprintf(".doorward-fix-%d", len(p.g.changes))
			p.g.changes = append(p.g.changes, c)
		}
	}
	p.g.changes = append(p.g.changes, p.other...)
	if p.g.service != nil {
		p.g.Runs = p.m.describe(p.g.service)
	}
	return p.g, len(p.g.changes) > 0
}

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
		for _, glob := range s.Files {
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
					if pattern.MatchString(line) && (s.Except == "" || !except.MatchString(line)) {
						lines[i] = s.Comment + " doorward fix: " + line
					}
				}
				p.text(full, now, strings.Join(lines, ""))
			}
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
