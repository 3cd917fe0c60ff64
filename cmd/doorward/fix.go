package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/audit/fix"
	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/rules"
)

// fixFlags are the flags that the commands about fixes share.
type fixFlags struct {
	config, profile, root, state string
	execInRoot                   bool
	app                          fix.App
	database                     fix.Database
}

func newFix(s streams) *cobra.Command {
	c := group("fix", "Bring controls into force, and take that back",
		newFixPlan(s), newFixApply(s), newFixConfirm(s), newFixUndo(s), newFixHistory(s), newFixWatch(s))
	c.Long = `Fix changes this host so that controls come into force. Every change is written into a journal of files first, so that undo brings
back bytes, modes, owners, ACLs and flags exactly, after a reboot and with no database too.`
	return c
}

// fixHostFlags adds the flags that say which host and journal.
func fixHostFlags(c *cobra.Command, f *fixFlags) {
	flags := c.Flags()
	flags.StringVar(&f.root, "root", "/", "the folder whose files are changed; nothing of it is reloaded")
	flags.BoolVar(&f.execInRoot, "exec-in-root", false, "run the checks of programs from --root, confined to it by chroot")
	flags.StringVar(&f.state, "state", fix.DefaultState, "the folder of the journal, on this machine")
	flags.StringVar(&f.database.Socket, "db-socket", "", "the socket of MariaDB; default: where its client looks")
	flags.StringVar(&f.database.User, "db-user", "", "the administrator of MariaDB; default: root")
	flags.StringVar(&f.database.PasswordFile, "db-password-file", "", "a file with that account's password; default: none, which is enough where the socket tells who asks")
	c.MarkFlagDirname("root")
	c.MarkFlagDirname("state")
}

// fixAppFlags adds the flags that say which controls and which application.
func fixAppFlags(c *cobra.Command, f *fixFlags) {
	flags := c.Flags()
	flags.StringVarP(&f.config, "config", "c", config.DefaultPath, "the configuration file; its audit section counts")
	c.MarkFlagFilename("config", "yaml", "yml")
	flags.StringVar(&f.profile, "profile", "", "every control of deskpro, faveo, idoit, mor or all, when none is named; default: audit.profile of the configuration")
	flags.StringVar(&f.app.Name, "app", "", "the application that the change is about, by its name under audit.apps")
	flags.StringVar(&f.app.Root, "app-root", "", "the folder of its files")
	flags.StringVar(&f.app.Kind, "app-kind", "", "deskpro, faveo, idoit, mor, request-tracker or generic")
	flags.StringSliceVar(&f.app.Data, "app-data", nil, "the folders that it writes to; default: those that the kind knows")
	flags.StringSliceVar(&f.app.Tools, "app-tools", nil, "patterns of its files that stay executable; default: those that the kind knows")
	flags.StringVar(&f.app.WebUser, "web-user", "", "the account that the web server runs it as; default: www-data")
}

// openJournal opens the host and the journal, as root. It reads no configuration: what takes a change back has to work whatever
// has become of that.
func openJournal(s streams, f fixFlags) (*fix.Fixer, error) {
	o, err := fixOptions(s, f)
	if err != nil {
		return nil, err
	}
	return fix.New(o)
}

func fixOptions(s streams, f fixFlags) (o fix.Options, err error) {
	if os.Geteuid() != 0 {
		return o, failure("run it with sudo", "a fix changes the host, which only root may")
	}
	o = fix.Options{ExecInRoot: f.execInRoot, MariaDB: f.database, Recipes: rules.Fixes(), Observe: func(step string) { fmt.Fprintln(s.err, "  "+oneLine(step)) }}
	if o.Root, err = filepath.Abs(f.root); err != nil {
		return o, err
	}
	if o.State, err = filepath.Abs(f.state); err != nil {
		return o, err
	}
	o.Program, err = os.Executable()
	return o, err
}

// openFixer is openJournal with what plans and evaluates.
func openFixer(ctx context.Context, s streams, f fixFlags) (*fix.Fixer, *audit.Catalogue, *config.Config, error) {
	o, err := fixOptions(s, f)
	if err != nil {
		return nil, nil, nil, err
	}
	cfg, catalogue, err := openCatalogue(f.config)
	if err != nil {
		return nil, nil, nil, err
	}
	profile, err := findProfile(catalogue, orElse(f.profile, cfg.Audit.Profile))
	if err != nil {
		return nil, nil, nil, err
	}
	if o.Apps, err = fixApps(cfg.Audit.Host.Apps, f); err != nil {
		return nil, nil, nil, err
	}
	d := cfg.Audit.Host.MariaDB
	o.MariaDB = fix.Database{Socket: orElse(f.database.Socket, d.Socket), User: orElse(f.database.User, d.User), PasswordFile: orElse(f.database.PasswordFile, d.PasswordFile)}
	o.Catalogue, o.Profile, o.Target = catalogue, profile, facts.Target{Config: cfg.Audit.Host}
	o.Target.Policy, _ = declaredPolicy(ctx, f.config)
	o.Target.Watch = askWatch(ctx, f.config)
	fixer, err := fix.New(o)
	return fixer, catalogue, cfg, err
}

// fixApps is the applications of the configuration, or the one that --app names there, with what other flags say of it.
func fixApps(declared []facts.App, f fixFlags) ([]fix.App, error) {
	var apps []fix.App
	for _, a := range declared {
		if f.app.Name == "" || f.app.Name == a.Name {
			apps = append(apps, fix.App{Name: a.Name, Kind: a.Kind, Root: a.Root, Data: a.Data, Tools: a.Tools, WebUser: a.WebUser})
		}
	}
	if f.app.Name == "" && f.app.Root == "" {
		return apps, nil
	}
	if len(apps) == 0 {
		apps = []fix.App{{Name: f.app.Name}}
	}
	a := &apps[0]
	a.Kind, a.Root, a.WebUser = orElse(f.app.Kind, a.Kind), orElse(f.app.Root, a.Root), orElse(f.app.WebUser, a.WebUser)
	if f.app.Data != nil {
		a.Data = f.app.Data
	}
	if f.app.Tools != nil {
		a.Tools = f.app.Tools
	}
	switch {
	case a.Name == "":
		return nil, usage("for instance: --app helpdesk --app-root /var/www/html/helpdesk", "--app-root needs --app")
	case !filepath.IsAbs(a.Root):
		return nil, usage("declare it under audit.apps, or add --app-root FOLDER", "application %q is not declared with an absolute root", a.Name)
	}
	return apps[:1], nil
}

// makePlan works out what the arguments ask for.
func makePlan(ctx context.Context, fixer *fix.Fixer, catalogue *audit.Catalogue, cfg *config.Config, f fixFlags, args []string) (fix.Plan, error) {
	known := catalogue.Controls(audit.Profile{})
	repairs := fixer.Repairs()
	var ids []string
	for _, id := range args {
		id = strings.ToUpper(id)
		if repairs[id] == nil && !slices.ContainsFunc(known, func(c audit.Control) bool { return c.ID == id }) {
			return fix.Plan{}, usage("see: doorward audit list", "there is no control %q", id)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(args) > 0 {
		return fixer.Plan(ctx, ids, true)
	}
	profile, err := findProfile(catalogue, orElse(f.profile, cfg.Audit.Profile))
	if err != nil {
		return fix.Plan{}, err
	}
	for id := range repairs { // controls without a repair would fill the screen
		if profile.Has(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return fixer.Plan(ctx, ids, false)
}

func newFixPlan(s streams) *cobra.Command {
	var f fixFlags
	c := &cobra.Command{
		Use:   "plan [ID…]",
		Short: "Show what a fix would change, and change nothing",
		Long: `Plan shows, for the controls named or for every control of the profile that has a repair, the difference in each file, what else
would be changed, and which checks and reloads would be run. It changes nothing but makes the folder of the journal. What
takes something away that somebody may use is planned only when its control is named.`,
		Example: `  doorward fix plan I-03
  doorward fix plan --profile idoit
  doorward fix plan I-71 --app cmdb --app-kind idoit --app-root /var/www/html/i-doit`,
	}
	fixHostFlags(c, &f)
	fixAppFlags(c, &f)
	c.RunE = func(c *cobra.Command, args []string) error {
		fixer, catalogue, cfg, err := openFixer(c.Context(), streams{in: s.in, out: s.out, err: io.Discard}, f)
		if err != nil {
			return err
		}
		defer fixer.Close()
		plan, err := makePlan(c.Context(), fixer, catalogue, cfg, f, args)
		if err != nil {
			return err
		}
		showPlan(s.out, plan)
		return nil
	}
	return c
}

// showPlan writes a plan for people.
func showPlan(w io.Writer, plan fix.Plan) {
	for _, g := range plan.Groups {
		fmt.Fprintf(w, "== %s: %s\n", g.Name, strings.Join(g.Controls, ", "))
		for _, t := range g.Titles {
			fmt.Fprintf(w, "%s\n", oneLine(t))
		}
		fmt.Fprintln(w)
		for line := range strings.Lines(g.Diff()) {
			fmt.Fprintln(w, safeLine(line))
		}
		for _, n := range g.Notes {
			fmt.Fprintf(w, "note: %s\n", oneLine(n))
		}
		for _, r := range g.Runs {
			fmt.Fprintf(w, "then: %s\n", oneLine(r))
		}
		if g.Confirmed() {
			fmt.Fprintln(w, "then: taken back by itself unless doorward fix confirm is run from a new sign-in")
		}
		fmt.Fprintln(w)
	}
	for _, l := range plan.Left {
		fmt.Fprintf(w, "%s: nothing to do: %s\n", l.Control, oneLine(l.Reason))
	}
}

// safeLine is a line of a file as a terminal may show it, with its tabs.
func safeLine(line string) string {
	parts := strings.Split(strings.TrimRight(line, "\n"), "\t")
	for i, p := range parts {
		parts[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				return '?'
			}
			return r
		}, p)
	}
	return strings.Join(parts, "\t")
}

func newFixApply(s streams) *cobra.Command {
	var f fixFlags
	var within time.Duration
	var yes bool
	c := &cobra.Command{
		Use:   "apply [ID…]",
		Short: "Change the host as plan shows it",
		Long: `Apply shows the plan, asks for a yes, and carries it out group by group: it writes the journal, makes the changes, runs the
program's own check, has the service read its configuration, asks the service at its ports, and evaluates the controls again.
What goes wrong anywhere takes the whole group back. A file that is not as the plan saw it is not touched.

A change of SSH is taken back by itself, unless somebody signs in anew within the time of --confirm-within and runs doorward fix
confirm. With --root only files are changed; checks are run there with --exec-in-root.`,
		Example: `  doorward fix apply I-03 I-43
  doorward fix apply --profile idoit --yes
  doorward fix apply I-71 --app cmdb --app-kind idoit --app-root /var/www/html/i-doit`,
	}
	fixHostFlags(c, &f)
	fixAppFlags(c, &f)
	c.Flags().DurationVar(&within, "confirm-within", 5*time.Minute, "how long a change of SSH holds unless it is confirmed")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !yes && !isTerminal(s.in) {
			return usage("look at doorward fix plan first, then add --yes", "there is no terminal to ask on")
		}
		fixer, catalogue, cfg, err := openFixer(c.Context(), s, f)
		if err != nil {
			return err
		}
		defer fixer.Close()
		plan, err := makePlan(c.Context(), fixer, catalogue, cfg, f, args)
		if err != nil {
			return err
		}
		showPlan(s.out, plan)
		if len(plan.Groups) == 0 {
			return nil
		}
		if !yes {
			if !agreed(c.Context(), s) {
				return failure("", "nothing was changed")
			}
		}
		outcomes, err := fixer.Apply(c.Context(), plan, fix.ApplyOptions{ConfirmWithin: within})
		return errors.Join(showOutcomes(s, outcomes), err)
	}
	return c
}

// agreed asks on the terminal. Whoever gives up with ctrl-C has not agreed.
func agreed(ctx context.Context, s streams) bool {
	fmt.Fprint(s.err, "Make these changes? Type yes: ")
	answers := make(chan bool, 1)
	go func() {
		line, err := readLine(s.in)
		answers <- err == nil && strings.TrimSpace(line) == "yes"
	}()
	select {
	case yes := <-answers:
		return yes
	case <-ctx.Done(): // the reader stays blocked in the terminal; the process is about to end
		fmt.Fprintln(s.err)
		return false
	}
}

// showOutcomes tells what became of each group; what is not in force is the error.
func showOutcomes(s streams, outcomes []fix.Outcome) error {
	failed := 0
	for _, o := range outcomes {
		for _, n := range o.Notes {
			fmt.Fprintf(s.out, "%s: note: %s\n", o.Entry.ID, oneLine(n))
		}
		switch {
		case o.Err != nil:
			failed++
			fmt.Fprintf(s.out, "%s: not in force: %s\n", o.Entry.ID, oneLine(o.Err.Error()))
		case o.Entry.Status == fix.Unconfirmed:
			fmt.Fprintf(s.out, "%s: in force until %s; sign in anew and run: doorward fix confirm %s\n", o.Entry.ID, o.Entry.Deadline.Local().Format(time.TimeOnly), o.Entry.ID)
		default:
			fmt.Fprintf(s.out, "%s: in force; to take it back: doorward fix undo %s\n", o.Entry.ID, o.Entry.ID)
		}
	}
	if failed > 0 {
		return failure("what is not in force was taken back; doorward fix history shows it", "%d of %d could not be brought into force", failed, len(outcomes))
	}
	return nil
}
