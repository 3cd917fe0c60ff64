package fix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
)

// DefaultState is where the journal is.
const DefaultState = "/var/lib/doorward-fix"

// Options say which host is fixed, and with what.
type Options struct {
	// Root is the folder that holds the host's files; "/" is the machine itself.
	Root string
	// ExecInRoot allows programs of another root to be run, confined to it by chroot. Without it no check is run there.
	ExecInRoot bool
	// State is the journal's folder, on the machine that runs the fix. Empty: DefaultState.
	State string
	// MariaDB is how the database server is reached.
	MariaDB Database
	// Apps are the applications that can be sealed and have a database password.
	Apps []App
	// Recipes is the tree of rules/fixes.
	Recipes fs.FS
	// Catalogue and Profile judge the controls before and after. A control that the catalogue does not have is not judged,
	// and the outcome says so.
	Catalogue *audit.Catalogue
	Profile   audit.Profile
	Target    facts.Target
	// Program is doorward itself, which is started again to take an unconfirmed change back. Empty: no change that needs it
	// is made.
	Program string
	// Observe is told each step before it is taken; it may be nil.
	Observe func(step string)
}

// App is an application whose files and database account are fixed.
type App struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Root    string   `json:"root"`
	Data    []string `json:"data"`     // folders that it writes to, absolute or below Root; nil: those that the kind knows
	Tools   []string `json:"tools"`    // patterns below Root of files that stay executable; nil: those that the kind knows
	WebUser string   `json:"web_user"` // empty: www-data
}

// Fixer plans, applies and takes back. It is used by one goroutine.
type Fixer struct {
	o       Options
	m       *Machine
	j       *journal
	recipes recipes
	now     func() time.Time
}

// New opens the host and the journal. Close it after use. Nothing is changed yet, but the journal's folder is made.
func New(o Options) (*Fixer, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.State == "" {
		o.State = DefaultState
	}
	if !path.IsAbs(o.State) || !path.IsAbs(o.Root) {
		return nil, fmt.Errorf("root %q and state %q have to be absolute paths", o.Root, o.State)
	}
	all, err := readRecipes(o.Recipes)
	if err != nil {
		return nil, err
	}
	m, err := openMachine(o)
	if err != nil {
		return nil, err
	}
	j, err := openJournal(o.State)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &Fixer{o, m, j, all, time.Now}, nil
}

// Close gives back what New opened.
func (f *Fixer) Close() error { return f.m.Close() }

// Repairs lists the controls that a repair answers, sorted, with the titles of their repairs.
func (f *Fixer) Repairs() map[string][]string {
	all := map[string][]string{}
	for _, r := range f.recipes.Repairs {
		for _, id := range r.Controls {
			all[id] = append(all[id], r.Title)
		}
	}
	return all
}

// History lists the entries of the journal, oldest first.
func (f *Fixer) History() ([]Entry, error) { return f.j.entries() }

// judge reads the host again and says how the controls stand. Those that the catalogue does not have are left out.
func (f *Fixer) judge(ctx context.Context, ids []string) map[string]audit.Finding {
	found := map[string]audit.Finding{}
	if f.o.Catalogue == nil || len(ids) == 0 {
		return found
	}
	known := f.o.Catalogue.Controls(audit.Profile{})
	if !slices.ContainsFunc(known, func(c audit.Control) bool { return slices.Contains(ids, c.ID) }) {
		return found
	}
	target := f.o.Target
	target.Now = f.now()
	f.m.observe("read the host again")
	all := facts.Collect(ctx, f.m.host, target, nil)
	profile := audit.Profile{Choose: f.o.Profile.Choose} // every guide's rows, and the profile's reading of them
	for _, finding := range f.o.Catalogue.Judge(profile, all, audit.Records{}) {
		if slices.Contains(ids, finding.ID) {
			found[finding.ID] = finding
		}
	}
	// What a person has to answer as well is no matter of the host: a repair is judged as if that were done.
	for _, finding := range f.o.Catalogue.Judge(profile, all, answered(ids, target.Now)) {
		if before, ok := found[finding.ID]; ok && before.Status == audit.Fail && finding.Status == audit.Attested {
			before.Status, before.Reason = audit.Pass, "the host is as it should be; a person has to answer too (doorward attest "+finding.ID+")"
			found[finding.ID] = before
		}
	}
	return found
}

// answered are the records of a host where every question has its answer.
func answered(ids []string, now time.Time) audit.Records {
	all := map[string]audit.Attestation{}
	for _, id := range ids {
		all[id] = audit.Attestation{Control: id, Made: now, Until: now.Add(time.Hour)}
	}
	return audit.Records{Attestations: all}
}
