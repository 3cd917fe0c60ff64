package facts

import (
	"net/url"
	"path"
)

// App is an application that the administrator declares: where it lies, and who runs it.
type App struct {
	// Name is what the application is called in evidence.
	Name string `yaml:"name"`
	// Kind is the application's folder: deskpro, faveo, idoit, mor, request-tracker. Default: generic, of which nothing is
	// known.
	Kind string `yaml:"kind"`
	// Root is the folder that holds the application's files.
	Root string `yaml:"root"`
	// Data are the folders that the application writes to, absolute or below root. Default: those that the kind knows.
	Data []string `yaml:"data"`
	// WebUser is the account that the web server runs the application as. Default: www-data.
	WebUser string `yaml:"web_user"`
	// CronUser is the account of the application's scheduled jobs. Default: the web user.
	CronUser string `yaml:"cron_user"`
	// URL is where the application answers, as https://help.example.com/.
	URL string `yaml:"url"`

	// Tools are files that must stay executable, as patterns below root. Default: those that the kind knows.
	Tools []string `yaml:"tools"`
	// TryDefaultPasswords consents to sign-ins at URL with the accounts and passwords that the kind is delivered with: at
	// most five tries, one a second, after one with an account that does not exist. They count as failed sign-ins in the application's log.
	TryDefaultPasswords bool `yaml:"try_default_passwords"`
}

// validate reports what cannot be used.
func (a App) validate(report func(path, format string, args ...any)) {
	if a.Name == "" {
		report("name", "it is missing")
	}
	if !path.IsAbs(a.Root) {
		report("root", "%q is not an absolute path", a.Root)
	}
	if _, err := readAppKind(a.Kind); err != nil {
		report("kind", "%v", err)
	}
	if u, err := url.Parse(a.URL); a.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		report("url", "%q is not like https://help.example.com/", a.URL)
	}
}

// Database is how the audit reaches a database server of the host.
type Database struct {
	// Socket is the server's unix socket (MariaDB) or the folder that holds it (PostgreSQL). Default: what the server's
	// configuration says, else what the distribution uses.
	Socket string `yaml:"socket"`
	// Port is PostgreSQL's port, which names the socket. Default: what the server's configuration says, else 5432.
	Port int `yaml:"port"`
	// User is the account to sign in as. Default: root for MariaDB, postgres for PostgreSQL.
	User string `yaml:"user"`
	// PasswordFile holds the account's password. Default: none, which is enough where the server knows root by its socket.
	PasswordFile string `yaml:"password_file"`
}

// validate reports what cannot be used.
func (d Database) validate(report func(path, format string, args ...any)) {
	if d.Socket != "" && !path.IsAbs(d.Socket) {
		report("socket", "%q is not an absolute path", d.Socket)
	}
	if d.PasswordFile != "" && !path.IsAbs(d.PasswordFile) {
		report("password_file", "%q is not an absolute path", d.PasswordFile)
	}
	if d.Port < 0 || d.Port > 65535 {
		report("port", "%d is no port", d.Port)
	}
}
