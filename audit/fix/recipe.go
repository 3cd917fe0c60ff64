package fix

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// recipes is what rules/fixes says: which repair brings which control into force, and how services are told.
type recipes struct {
	Services  []service  `yaml:"services"`
	Repairs   []repair   `yaml:"repairs"`
	Passwords []password `yaml:"passwords"`
}

// repair is one way to bring controls into force. Of its kinds of change several may be there; they are planned in this order.
type repair struct {
	Controls []string `yaml:"controls"`
	Title    string   `yaml:"title"`
	// Service is checked, reloaded and probed; empty where there is none.
	Service string `yaml:"service"`
	// Needs are patterns of paths, one of which has to be there; else the repair means nothing on this host.
	Needs []string `yaml:"needs"`
	// Named repairs are planned only when their control is named, not for a profile, because somebody may depend on what
	// they take away. Why tells on what.
	Named bool   `yaml:"named"`
	Why   string `yaml:"why"`
	// Always is planned also where its controls pass: a seal by hand is not known to unseal, and a password is changed again.
	Always bool `yaml:"always"`
	// Partial repairs bring a part of the control into force; that it still fails is then no reason to take them back.
	Partial bool `yaml:"partial"`

	SSHD       map[string]string `yaml:"sshd"` // a directive that has to hold for everybody, and its value
	KeyLogin   bool              `yaml:"key_login"`
	Silence    []silence         `yaml:"silence"`
	Edit       []rewrite         `yaml:"edit"`
	Beside     []beside          `yaml:"beside"`
	Enable     []string          `yaml:"enable_modules"` // of Apache, which what is written needs
	Write      []writing         `yaml:"write"`
	Remove     []string          `yaml:"remove"` // patterns of links and files
	Unused     []module          `yaml:"unused_modules"`
	Sysctl     map[string]string `yaml:"sysctl"`
	UnitsOff   []string          `yaml:"units_off"`
	Attributes []attributeRule   `yaml:"attributes"`
	Settings   []setting         `yaml:"settings"`
	Replace    []replacing       `yaml:"replace"`
	Create     []creation        `yaml:"create"`
	MariaDB    string            `yaml:"mariadb"`    // anonymous, open, root, outside, test
	PostgreSQL string            `yaml:"postgresql"` // trust, remote
	Cron       string            `yaml:"cron"`       // errors, writable
	Asterisk   string            `yaml:"asterisk"`   // calls, secrets, trunks, manager
	Accounts   string            `yaml:"accounts"`   // guessed
	App        string            `yaml:"app"`        // owner, readonly, seal, data, password, rights

	// Restart says that the service takes the change at its next start only; sign-ins of that moment are cut.
	Restart bool `yaml:"restart"`
}

// setting is a value that a database server has to have, whatever its other files say.
type setting struct {
	Of    string `yaml:"of"` // mariadb, postgresql
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
	Good  string `yaml:"good"` // values that may stay, a regular expression
}

// replacing changes a part of lines.
type replacing struct {
	Files   []string `yaml:"files"` // patterns
	Pattern string   `yaml:"pattern"`
	With    string   `yaml:"with"`
}

// creation is an empty file that has to be there.
type creation struct {
	Path  string `yaml:"path"`
	Mode  string `yaml:"mode"` // octal
	Group string `yaml:"group"`
}

// silence makes comments of lines that would win over what is written elsewhere.
type silence struct {
	Files   []string `yaml:"files"`   // patterns
	Pattern string   `yaml:"pattern"` // of a line, a regular expression
	Except  string   `yaml:"except"`  // lines that may stay
	Comment string   `yaml:"comment"` // what begins a comment
}

// rewrite gives lines another text.
type rewrite struct {
	Files   []string `yaml:"files"`   // patterns
	Pattern string   `yaml:"pattern"` // of a line, a regular expression
	With    string   `yaml:"with"`    // what takes the place of the match; $1 is its first group
}

// beside puts a line into every block of nginx that has lines of its own of the kind, because such a block inherits none.
type beside struct {
	Files []string `yaml:"files"`
	Key   string   `yaml:"key"` // the directive, as add_header
	Line  string   `yaml:"line"`
}

// writing puts lines into a file of Doorward's own, one in every folder that Folder, a pattern, finds.
type writing struct {
	Folder  string   `yaml:"folder"`
	File    string   `yaml:"file"`
	Comment string   `yaml:"comment"`
	Lines   []string `yaml:"lines"`
	// Keyed says that a line takes the place of one with the same first word.
	Keyed bool `yaml:"keyed"`
	// Merge says that a value is a list with commas, to which what php.ini and the other files of the folder set is added:
	// ours is read last, and would take it away.
	Merge bool `yaml:"merge"`
	// Link is the folder, beside Folder, in which a link of the same name switches the file on.
	Link string `yaml:"link"`
}

// module is a module of Apache that is switched off while no line of the configuration matches Used.
type module struct {
	Name string `yaml:"name"`
	Used string `yaml:"used"`
}

// attributeRule takes rights away from paths.
type attributeRule struct {
	Paths []string `yaml:"paths"` // patterns
	Most  string   `yaml:"most"`  // the bits of the mode that may stay, octal
	Owner string   `yaml:"owner"`
	Group string   `yaml:"group"`
}

// password says where an application keeps the password of its database account.
type password struct {
	Kind  string         `yaml:"kind"`
	Files []passwordFile `yaml:"files"`
	// Rows are statements that put {new} where {old} is, for {user}; taking back swaps both. Table has to be there.
	Rows []passwordRows `yaml:"rows"`
}

// passwordFile finds values by regular expressions with one group each.
type passwordFile struct {
	Path     string `yaml:"path"` // below the application's root
	User     string `yaml:"user"`
	Password string `yaml:"password"`
}

type passwordRows struct {
	Table     string `yaml:"table"`
	Statement string `yaml:"statement"`
}

// readRecipes reads every *.yaml file of tree, and tells everything that is wrong at once.
func readRecipes(tree fs.FS) (recipes, error) {
	var all recipes
	names, err := fs.Glob(tree, "*.yaml")
	if err != nil {
		return all, err
	}
	var errs []error
	for _, name := range names {
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return all, err
		}
		var one recipes
		if err := yaml.UnmarshalWithOptions(text, &one, yaml.Strict()); err != nil {
			errs = append(errs, fmt.Errorf("read repairs %s: %s", name, strings.TrimSpace(yaml.FormatError(err, false, true))))
		}
		all.Services = append(all.Services, one.Services...)
		all.Repairs = append(all.Repairs, one.Repairs...)
		all.Passwords = append(all.Passwords, one.Passwords...)
	}
	for _, r := range all.Repairs {
		for _, p := range r.problems(all) {
			errs = append(errs, fmt.Errorf("repair of %s: %s", strings.Join(r.Controls, ", "), p))
		}
	}
	return all, errors.Join(errs...)
}

// problems tells what is wrong with a repair.
func (r repair) problems(all recipes) []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if len(r.Controls) == 0 || r.Title == "" {
		add("it has no controls or no title")
	}
	if r.Service != "" && all.service(r.Service) == nil {
		add("there is no service %q", r.Service)
	}
	if r.Named && r.Why == "" {
		add("it is done only when it is named, and why does not say why")
	}
	patterns := slices.Concat(r.Needs, r.Remove)
	for _, s := range r.Silence {
		patterns = append(patterns, s.Files...)
		for _, x := range []string{s.Pattern, s.Except} {
			if _, err := regexp.Compile(x); err != nil {
				add("%v", err)
			}
		}
	}
	for _, e := range r.Edit {
		patterns = append(patterns, e.Files...)
		if _, err := regexp.Compile(e.Pattern); err != nil {
			add("edit: %v", err)
		}
	}
	for _, b := range r.Beside {
		patterns = append(patterns, b.Files...)
		if b.Key == "" || !strings.HasPrefix(b.Line, b.Key+" ") {
			add("beside: %q does not begin with %q", b.Line, b.Key)
		}
	}
	for _, w := range r.Write {
		patterns = append(patterns, w.Folder)
		if w.File == "" || path.Base(w.File) != w.File || len(w.Lines) == 0 {
			add("write: %q is no file name, or it has no lines", w.File)
		}
	}
	for _, m := range r.Unused {
		if _, err := regexp.Compile(m.Used); err != nil || m.Name == "" {
			add("unused_modules: %s: %v", m.Name, err)
		}
	}
	for _, s := range r.Settings {
		if _, err := regexp.Compile(s.Good); err != nil || s.Good == "" || s.Name == "" || s.Of != "mariadb" && s.Of != "postgresql" {
			add("settings: %s of %s: %v", s.Name, s.Of, err)
		}
	}
	for _, s := range r.Replace {
		patterns = append(patterns, s.Files...)
		if _, err := regexp.Compile(s.Pattern); err != nil || s.Pattern == "" {
			add("replace: %q: %v", s.Pattern, err)
		}
	}
	for _, c := range r.Create {
		patterns = append(patterns, c.Path)
	}
	for _, a := range r.Attributes {
		patterns = append(patterns, a.Paths...)
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || !path.IsAbs(p) {
			add("%q is no absolute pattern", p)
		}
	}
	return found
}

func (all recipes) service(name string) *service {
	for i := range all.Services {
		if all.Services[i].Name == name {
			return &all.Services[i]
		}
	}
	return nil
}
