package facts

// App is an application folder of the host, as the administrator declares it.
type App struct {
	// Name is what reports call it.
	Name string `yaml:"name"`
	// Kind is the application folder of Doorward that knows it: deskpro, faveo, idoit, mor. Empty is any other.
	Kind string `yaml:"kind"`
	// Root is the folder that holds its programs.
	Root string `yaml:"root"`
	// Data are the folders that hold what people gave it: no web server may serve them.
	Data []string `yaml:"data"`
	// WebUser is the account as which the web server runs it. Default: the one that the server's configuration names.
	WebUser string `yaml:"web_user"`
	// CronUser is the account as which its scheduled tasks run.
	CronUser string `yaml:"cron_user"`
	// URL is where people reach it: https://help.example.com/
	URL string `yaml:"url"`
}
