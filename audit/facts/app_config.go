package facts

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
	// most five tries, one a second. They count as failed sign-ins in the application's log.
	TryDefaultPasswords bool `yaml:"try_default_passwords"`
}
