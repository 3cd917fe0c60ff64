package facts

import "time"

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("accounts", collectAccounts),
		read("apache", collectApache).slow(10 * time.Second),
		read("cron", collectCron),
		read("keys", collectKeys),
		read("logins", collectLogins),
		read("nginx", collectNginx).slow(10 * time.Second),
		read("pam", collectPAM),
		read("php", collectPHP).slow(10 * time.Second),
		read("policy", collectPolicy),
		read("sshd", collectSshd).slow(6 * time.Second), // one sshd -T for every kind of client
		read("sudo", collectSudo),
		read("system", collectSystem),
		read("web", collectWeb).slow(10 * time.Second),
	}
}
