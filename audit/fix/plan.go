package fix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	says     []setting         // what database servers have to
	restart  bool
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
	b := &planning{f: f, findings: f.judge(ctx, ids), groups: map[string]*planner{}}
	for _, id := range f.unusedLast(ids) {
		repairs, left := f.repairsOf(id, named)
		if left != "" {
			b.plan.Left = append(b.plan.Left, Left{id, left})
			continue
		}
		if err := b.control(ctx, id, repairs); err != nil {
			return b.plan, fmt.Errorf("plan %s: %w", id, err)
		}
	}
	b.finish()
	return b.plan, nil
}

// unusedLast puts controls about unused modules behind the others, whose repairs may take the last use away.
func (f *Fixer) unusedLast(ids []string) []string {
	var first, last []string
	for _, id := range ids {
		if slices.ContainsFunc(f.recipes.Repairs, func(r repair) bool { return len(r.Unused) > 0 && slices.Contains(r.Controls, id) }) {
			last = append(last, id)
		} else {
			first = append(first, id)
		}
	}
	return append(first, last...)
}

// planning is a plan on the way.
type planning struct {
	f        *Fixer
	plan     Plan
	findings map[string]audit.Finding
	groups   map[string]*planner
	order    []string // of the groups
}

// control plans the repairs of one control.
func (b *planning) control(ctx context.Context, id string, repairs []repair) error {
	changed, reasons := false, []string{}
	for _, r := range repairs {
		switch f := b.findings[id]; {
		case r.Always:
		case f.Status == audit.Pass:
			reasons = append(reasons, "it passes already")
			continue
		case f.Status == audit.NotApplicable:
			reasons = append(reasons, "it does not apply: "+f.Reason)
			continue
		}
		did, err := b.group(r).repair(ctx, r, id)
		var none errNothing
		switch {
		case errors.As(err, &none):
			reasons = append(reasons, none.reason)
		case err != nil:
			return err
		}
		changed = changed || did
	}
	if !changed {
		b.plan.Left = append(b.plan.Left, Left{id, leftReason(reasons, b.findings[id])})
	}
	return nil
}

// group is the planner of the group that a repair belongs to.
func (b *planning) group(r repair) *planner {
	name := r.group()
	p := b.groups[name]
	if p == nil {
		p = &planner{f: b.f, m: b.f.m, g: Group{Name: name, service: b.f.recipes.service(r.Service), findings: b.findings, sshd: map[string]string{}},
			files: map[string]*fileChange{}, edited: map[string]*edited{}, done: map[string]bool{}}
		b.groups[name], b.order = p, append(b.order, name)
	}
	return p
}

// finish makes the plan of its groups. Two that change the files of the same application cannot both know what the other
// leaves, so the second waits for the next plan.
func (b *planning) finish() {
	last := map[string]string{} // the group after which a control is judged
	walked := ""                // the group that changes the files of the application
	for _, name := range b.order {
		g, ok := b.groups[name].finish()
		if !ok {
			continue
		}
		if slices.ContainsFunc(g.changes, func(c change) bool { return c.kind() == "tree" }) {
			if walked != "" {
				for _, id := range g.Controls {
					b.plan.Left = append(b.plan.Left, Left{id, "it changes the same files as " + walked + ": apply that, and then this"})
				}
				continue
			}
			walked = name
		}
		b.plan.Groups = append(b.plan.Groups, g)
		for _, id := range g.Controls {
			last[id] = name
		}
	}
	for i, g := range b.plan.Groups {
		for _, id := range g.Controls {
			if last[id] == g.Name {
				b.plan.Groups[i].judged = append(b.plan.Groups[i].judged, id)
			}
		}
	}
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
	f      *Fixer
	m      *Machine
	g      Group
	files  map[string]*fileChange
	order  []string
	other  []change
	edited map[string]*edited
	done   map[string]bool // titles of repairs that were planned, because several controls may share one
	edits  int
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
	for _, step := range []func(context.Context, repair) error{p.keyLogin, p.planSSHD, p.silence, p.edit, p.beside, p.enable, p.write, p.remove, p.unused, p.sysctl, p.unitsOff, p.attributes,
		p.settings, p.replace, p.create, p.mariadb, p.postgres, p.cron, p.asterisk, p.accounts, p.app} {
		if err := step(ctx, r); err != nil {
			return false, err
		}
	}
	if p.edits == before {
		return false, nil
	}
	p.done[r.Title] = true
	p.g.Titles = append(p.g.Titles, r.Title)
	p.g.restart = p.g.restart || r.Restart
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
		p.g.Runs = p.m.describe(p.g.service, p.g.restart)
	}
	return p.g, len(p.g.changes) > 0
}
