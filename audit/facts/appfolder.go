package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/rules"
)

// appKind is what Doorward knows of an application on its host: rules/apps/KIND/host.yaml and accounts.yaml.
type appKind struct {
	// Data are the folders that the application writes to.
	Data []appPath `yaml:"data"`
	// DataSetting is the key of the configuration that moves the data elsewhere.
	DataSetting string `yaml:"data_setting"`
	// Tools must stay executable; path.Match patterns below root.
	Tools []appPath `yaml:"tools"`
	// Configs are the configuration files; of a key that stands in several, the last counts.
	Configs []appConfigFile `yaml:"config"`
	// VersionKey is the key of the configuration that tells the version; Package is the Debian package that does.
	VersionKey string `yaml:"version_key"`
	Package    string `yaml:"package"`
	// Databases say under which keys the configuration names the database.
	Databases []appDatabaseKeys `yaml:"databases"`
	// Settings are further keys worth telling.
	Settings []appSettingKey `yaml:"settings"`
	// Outbound are the hosts that the application itself has to reach.
	Outbound []appHost `yaml:"outbound"`

	accounts appAccounts
}

// appPath is a path below the application's root, and where that is said.
type appPath struct {
	Path   string `yaml:"path"`
	Source string `yaml:"source"`
}

type appConfigFile struct {
	File   string `yaml:"file"`   // a pattern; absolute, or below root
	Format string `yaml:"format"` // php, env, ini, perl, yaml
	// Optional says that an installation may do without it.
	Optional bool   `yaml:"optional"`
	Source   string `yaml:"source"`
}

// appDatabaseKeys are lists of keys: the first that is set counts.
type appDatabaseKeys struct {
	Engine   string   `yaml:"engine"` // mysql, postgresql, sqlite; or the key whose value says so
	User     []string `yaml:"user"`
	Password []string `yaml:"password"`
	Host     []string `yaml:"host"`
	Name     []string `yaml:"name"`
	Source   string   `yaml:"source"`
}

type appSettingKey struct {
	Name   string `yaml:"name"`
	Key    string `yaml:"key"`
	Secret bool   `yaml:"secret"` // only whether it is set, how long and how common is told
	Source string `yaml:"source"`
}

type appHost struct {
	Host   string `yaml:"host"`
	Port   int    `yaml:"port"`
	Source string `yaml:"source"`
}

// appAccounts is rules/apps/KIND/accounts.yaml.
type appAccounts struct {
	// Accounts are delivered with the application, with the passwords they have at first.
	Accounts []struct {
		Name      string   `yaml:"name"`
		Passwords []string `yaml:"passwords"`
		Source    string   `yaml:"source"`
		// Confidence is low where the source does not show it for every version.
		Confidence string `yaml:"confidence"`
		Why        string `yaml:"why"`
	} `yaml:"accounts"`
	// Users selects name, stored password and 1 or 0 for whether the account may sign in; Admins selects names.
	Users  appQuery `yaml:"users"`
	Admins appQuery `yaml:"admins"`
	// Defaults select one value each: what a new account gets.
	Defaults []struct {
		Name   string `yaml:"name"`
		SQL    string `yaml:"sql"`
		Source string `yaml:"source"`
	} `yaml:"defaults"`
	SignIn *appSignIn `yaml:"sign_in"`
}

type appQuery struct {
	SQL    string `yaml:"sql"`
	Source string `yaml:"source"`
}

// appSignIn is the application's form to sign in.
type appSignIn struct {
	Path     string `yaml:"path"`
	User     string `yaml:"user"`
	Password string `yaml:"password"`
	// Fields are sent beside them.
	Fields map[string]string `yaml:"fields"`
	// Status of a sign-in that succeeded; one that fails has to answer another.
	Status int    `yaml:"status"`
	Source string `yaml:"source"`
}

// paths lists where the paths are, without their sources.
func (appKind) paths(all []appPath) []string {
	var found []string
	for _, p := range all {
		found = append(found, p.Path)
	}
	return found
}

// readAppKind reads what is known of a kind of application. An empty kind, and generic, are known to have nothing.
func readAppKind(kind string) (appKind, error) {
	var k appKind
	if kind == "" {
		return k, nil
	}
	if strings.ContainsAny(kind, "/\\") || strings.HasPrefix(kind, ".") {
		return k, fmt.Errorf("kind %q is no name of an application folder", kind)
	}
	if _, err := fs.Stat(rules.Apps(), kind); err != nil {
		return k, fmt.Errorf("kind %q is not known", kind)
	}
	for name, into := range map[string]any{"host.yaml": &k, "accounts.yaml": &k.accounts} {
		text, err := fs.ReadFile(rules.Apps(), path.Join(kind, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return k, err
		}
		if err := yaml.UnmarshalWithOptions(text, into, yaml.Strict()); err != nil {
			return k, fmt.Errorf("apps/%s/%s: %s", kind, name, strings.TrimSpace(yaml.FormatError(err, false, true)))
		}
	}
	return k, nil
}

// read reads all configuration files of the kind below root into one map of keys. The missing are files that are there and
// cannot be read, and the pattern of files of which there is none.
func (k appKind) read(h *Host, root string) (map[string]Setting, []string) {
	values, lost := map[string]Setting{}, []string{}
	for _, config := range k.Configs {
		pattern := config.File
		if !path.IsAbs(pattern) {
			pattern = path.Join(root, pattern)
		}
		files, err := h.Glob(pattern)
		if err != nil {
			lost = append(lost, because(err))
			continue
		}
		if len(files) == 0 && !config.Optional {
			lost = append(lost, pattern+" is not there")
		}
		for _, name := range files {
			text, err := h.ReadFile(name)
			if err == nil {
				err = ReadAppConfig(config.Format, name, text, values)
			}
			if err != nil {
				lost = append(lost, because(err))
			}
		}
	}
	return values, lost
}
