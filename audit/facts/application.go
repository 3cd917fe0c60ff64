package facts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const applicationTime = 15 * time.Second // of reading and, with consent, signing in

// Application is what the declared applications are configured to do, by their own files and, on the running system, their
// databases. What is known of a kind of application stands in rules/apps/KIND/host.yaml and accounts.yaml.
type Application struct {
	Apps []AppState `cel:"apps"`
	// Versions are those that the applications state of themselves. Missing where nothing says it.
	Versions []AppVersion `cel:"versions"`
	// Databases are those that the applications' configuration names.
	Databases []AppDatabase `cel:"databases"`
	// DatabasesHere is true, and missing where a database is on another host, whose accounts are not known here.
	DatabasesHere bool `cel:"databases_here"`
	// Secrets are passwords in the configuration, beside those of databases: admin_center. The values are not kept.
	Secrets []AppSecret `cel:"secrets"`
	// Settings are other values of the configuration, by the name that the kind gives them.
	Settings []AppSetting `cel:"settings"`
	// Accounts are those that an application is delivered with, as its database has them.
	Accounts []AppAccount `cel:"accounts"`
	// DefaultPasswords tells for each of them whether a password of the delivery still works, by comparing with the stored
	// one and, with consent, by signing in.
	DefaultPasswords []AppDefaultPassword `cel:"default_passwords"`
	// Admins are the accounts with all rights.
	Admins []AppAdmin `cel:"admins"`
	// Hashes count the stored passwords by the way in which they are kept. Accounts without a password are not counted.
	Hashes []AppHashes `cel:"hashes"`
	// Defaults are what a new account gets: balance, postpaid, credit.
	Defaults []AppDefault `cel:"defaults"`
	// Outbound are the hosts that the applications have to reach.
	Outbound []AppOutbound `cel:"outbound"`
}

// AppState is one declared application.
type AppState struct {
	App    string `cel:"app"`
	Kind   string `cel:"kind"`
	Root   string `cel:"root"`
	URL    string `cel:"url"`
	Origin string `cel:"origin"`
}

// AppVersion is the installed version of an application.
type AppVersion struct {
	App     string `cel:"app"`
	Version string `cel:"version"`
	Origin  string `cel:"origin"`
}

// AppDatabase is an application's database, as its configuration names it.
type AppDatabase struct {
	App    string `cel:"app"`
	Engine string `cel:"engine"` // mysql, postgresql, sqlite
	User   string `cel:"user"`
	Host   string `cel:"host"`
	Name   string `cel:"name"`
	// The password itself is not kept.
	PasswordSet    bool `cel:"password_set"`
	PasswordLength int  `cel:"password_length"` // characters
	// PasswordCommon says that everybody tries it first, or that it is a user's, database's or application's name.
	PasswordCommon bool `cel:"password_common"`
	// Readable says that every account of the host may read the file that the password stands in.
	Readable bool   `cel:"readable"`
	Origin   string `cel:"origin"`

	password string
}

// AppSecret is a password in an application's configuration.
type AppSecret struct {
	App      string `cel:"app"`
	Name     string `cel:"name"`
	Set      bool   `cel:"set"`
	Scheme   string `cel:"scheme"` // how it is kept: plain, bcrypt, md5, …
	Length   int    `cel:"length"` // characters, when it is plain
	Common   bool   `cel:"common"` // everybody tries it first, or it is the account's name
	Readable bool   `cel:"readable"`
	Origin   string `cel:"origin"`
}

// AppSetting is a value of an application's configuration.
type AppSetting struct {
	App    string `cel:"app"`
	Name   string `cel:"name"`
	Value  string `cel:"value"`
	Origin string `cel:"origin"`
}

// AppAccount is an account that an application is delivered with.
type AppAccount struct {
	App     string `cel:"app"`
	Name    string `cel:"name"`
	Exists  bool   `cel:"exists"`
	Enabled bool   `cel:"enabled"` // it may sign in
	Scheme  string `cel:"scheme"`  // how its password is kept
	Origin  string `cel:"origin"`
}

// AppDefaultPassword says whether an account still has a password of the delivery.
type AppDefaultPassword struct {
	App    string `cel:"app"`
	Name   string `cel:"name"`
	Works  bool   `cel:"works"`
	How    string `cel:"how"` // stored password, sign-in
	Origin string `cel:"origin"`
}

// AppAdmin is an account with all rights in its application.
type AppAdmin struct {
	App    string `cel:"app"`
	Name   string `cel:"name"`
	Origin string `cel:"origin"`
}

// AppHashes counts stored passwords of one kind.
type AppHashes struct {
	App    string `cel:"app"`
	Scheme string `cel:"scheme"`
	// Slow says that the scheme is salted and made to be slow: bcrypt, argon2, scrypt, PBKDF2, SHA-crypt.
	Slow   bool   `cel:"slow"`
	Count  int    `cel:"count"`
	Origin string `cel:"origin"`
}

// AppDefault is what a new account of an application gets.
type AppDefault struct {
	App    string  `cel:"app"`
	Name   string  `cel:"name"`
	Value  string  `cel:"value"`
	Number float64 `cel:"number"` // of value; 0 when it is empty
	Origin string  `cel:"origin"`
}

// AppOutbound is a host that an application has to reach.
type AppOutbound struct {
	App    string `cel:"app"`
	Host   string `cel:"host"`
	Port   int    `cel:"port"`
	Origin string `cel:"origin"`
}

// appReader reads one application after the other.
type appReader struct {
	h       *Host
	t       Target
	facts   Application
	lost    map[string][]string // by field
	common  map[string]bool     // passwords that everybody tries
	compare int                 // stored passwords that may still be compared; each may cost a quarter of a second
}

func collectApplication(ctx context.Context, h *Host, t Target) (Application, []Missing) {
	if len(t.Apps) == 0 {
		return Application{}, missing(noApps)
	}
	common, err := commonPasswords()
	if err != nil {
		return Application{}, missing("%s", because(err))
	}
	ctx, cancel := context.WithDeadline(ctx, t.deadline(ctx))
	defer cancel()
	r := &appReader{h: h, t: t, facts: Application{DatabasesHere: true}, lost: map[string][]string{}, common: common, compare: maxCompared}
	for _, app := range t.Apps {
		r.application(ctx, app)
	}
	var lost []Missing
	for field, reasons := range r.lost {
		lost = append(lost, Missing{field, oneReason(reasons)})
	}
	return r.facts, lost
}

// lose says that fields are missing for an application.
func (r *appReader) lose(app App, reason string, fields ...string) {
	for _, field := range fields {
		if len(r.lost[field]) < 20 {
			r.lost[field] = append(r.lost[field], app.Name+": "+reason)
		}
	}
}

func (r *appReader) application(ctx context.Context, app App) {
	r.facts.Apps = append(r.facts.Apps, AppState{app.Name, app.Kind, app.Root, app.URL, "audit.apps"})
	kind, err := readAppKind(app.Kind)
	if err != nil {
		r.lose(app, because(err), "versions", "databases", "secrets", "settings", "accounts", "default_passwords", "admins", "hashes", "defaults", "outbound")
		return
	}
	for _, o := range kind.Outbound {
		r.facts.Outbound = append(r.facts.Outbound, AppOutbound{app.Name, o.Host, o.Port, o.Source})
	}
	values, unread := kind.read(r.h, app.Root)
	if len(unread) > 0 {
		r.lose(app, oneReason(unread), "databases", "secrets", "settings")
	}
	r.version(app, kind, values)
	r.settings(app, kind, values)
	database, err := r.database(app, kind, values)
	if err != nil {
		r.lose(app, because(err), "databases")
	}
	r.stored(ctx, app, kind, database, err)
	r.signIns(ctx, app, kind)
}

// version looks for what the application says of itself.
func (r *appReader) version(app App, kind appKind, values map[string]Setting) {
	if s := values[kind.VersionKey]; s.Value != "" && s.Value != unreadable {
		r.facts.Versions = append(r.facts.Versions, AppVersion{app.Name, s.Value, s.Origin})
		return
	}
	if v, err := packageVersion(r.h, kind.Package); err == nil && v != "" {
		r.facts.Versions = append(r.facts.Versions, AppVersion{app.Name, v, dpkgStatus})
		return
	}
	r.lose(app, "nothing says which version is installed", "versions")
}

// settings takes the values that the kind names.
func (r *appReader) settings(app App, kind appKind, values map[string]Setting) {
	for _, want := range kind.Settings {
		prefix, all := strings.CutSuffix(want.Key, ".*")
		for key, s := range values {
			account := strings.TrimPrefix(key, prefix+".")
			switch {
			case key != want.Key && !(all && strings.HasPrefix(key, prefix+".")):
			case s.Value == unreadable:
				r.lose(app, s.Origin+": "+want.Name+" is computed", map[bool]string{true: "secrets", false: "settings"}[want.Secret])
			case want.Secret:
				r.secret(app, kind, want.Name, account, s)
			default:
				r.facts.Settings = append(r.facts.Settings, AppSetting{app.Name, want.Name, s.Value, s.Origin})
			}
		}
	}
}

func (r *appReader) secret(app App, kind appKind, name, account string, s Setting) {
	secret := AppSecret{App: app.Name, Name: name, Set: s.Value != "", Readable: r.readable(s.Origin), Origin: s.Origin}
	secret.Scheme, _ = passwordScheme(s.Value)
	if secret.Scheme == "plain" {
		secret.Length, secret.Common = len([]rune(s.Value)), r.isCommon(s.Value, account, app.Kind, "admin", "idoit")
	}
	for _, candidate := range append(kind.passwords(), account) {
		if secret.Common || !secret.Set {
			break
		}
		matches, compared := r.matches(s.Value, candidate)
		if secret.Common = matches; !compared {
			r.lose(app, s.Origin+" is kept as "+secret.Scheme+", which is not compared", "secrets")
		}
	}
	r.facts.Secrets = append(r.facts.Secrets, secret)
}

// readable says whether every account may read the file of an origin.
func (r *appReader) readable(origin string) bool {
	name := origin
	if at := strings.LastIndexByte(origin, ':'); at > 0 {
		name = origin[:at]
	}
	info, err := r.h.Stat(name)
	return err == nil && info.Mode().Perm()&0o004 != 0
}

// isCommon says whether a password is one that everybody tries, or one of names.
func (r *appReader) isCommon(password string, names ...string) bool {
	lower := strings.ToLower(password)
	for _, name := range names {
		if lower == strings.ToLower(name) && name != "" {
			return true
		}
	}
	return r.common[lower]
}

// database finds which database the application uses. The first of the kind's descriptions that names one counts.
func (r *appReader) database(app App, kind appKind, values map[string]Setting) (AppDatabase, error) {
	first := func(keys []string) (Setting, error) {
		for _, key := range keys {
			if s, ok := values[key]; ok {
				if s.Value == unreadable {
					return s, fmt.Errorf("%s: %s is computed", s.Origin, key)
				}
				return s, nil
			}
		}
		return Setting{}, nil
	}
	for _, keys := range kind.Databases {
		engine := engineOf(keys.Engine)
		if s, ok := values[keys.Engine]; ok {
			engine = engineOf(s.Value)
		}
		user, err1 := first(keys.User)
		password, err2 := first(keys.Password)
		host, err3 := first(keys.Host)
		name, err4 := first(keys.Name)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return AppDatabase{}, err
		}
		if engine == "" || user.Origin == "" && name.Origin == "" {
			continue
		}
		d := AppDatabase{App: app.Name, Engine: engine, User: user.Value, Host: host.Value, Name: name.Value, Origin: user.Origin,
			PasswordSet: password.Value != "", PasswordLength: len([]rune(password.Value)), password: password.Value}
		if d.Origin == "" {
			d.Origin = name.Origin
		}
		d.PasswordCommon = d.PasswordSet && r.isCommon(password.Value, user.Value, name.Value, app.Kind, app.Name)
		d.Readable = d.PasswordSet && r.readable(password.Origin)
		r.facts.Databases = append(r.facts.Databases, d)
		if !d.local() {
			r.lose(app, "its database is on another host, "+d.Host, "databases_here")
		}
		return d, nil
	}
	if len(kind.Databases) == 0 {
		return AppDatabase{}, fmt.Errorf("where an application of the kind %s keeps its data is not known", cmp.Or(app.Kind, "generic"))
	}
	return AppDatabase{}, errors.New("its configuration names no database")
}

// local says whether the database is on this host.
func (d AppDatabase) local() bool {
	return d.Engine == "sqlite" || d.Host == "" || strings.HasPrefix(d.Host, "/") || isLocal(d.Host)
}

// engineOf names a database engine in one way.
func engineOf(name string) string {
	switch strings.ToLower(name) {
	case "mysql", "mysqli", "mysql2", "mariadb", "pdo_mysql":
		return "mysql"
	case "pg", "pgsql", "postgres", "postgresql":
		return "postgresql"
	case "sqlite", "sqlite3":
		return "sqlite"
	}
	return ""
}

func number(value string) (float64, bool) {
	if value == "" {
		return 0, true
	}
	n, err := strconv.ParseFloat(value, 64)
	return n, err == nil
}
