package facts

import "time"

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("accounts", collectAccounts),
		read("apache", collectApache).slow(10 * time.Second),
		read("application", collectApplication).slow(applicationTime),
		read("asterisk", collectAsterisk),
		read("canaries", collectCanaries).slow(canaryTime),
		read("cron", collectCron),
		read("http", collectHTTP).slow(httpTime),
		read("interfaces", collectInterfaces).slow(interfaceTime),
		read("keys", collectKeys),
		read("logins", collectLogins),
		read("mail", collectMail).slow(mailTime),
		read("mariadb", collectMariaDB),
		read("nginx", collectNginx).slow(10 * time.Second),
		read("outside", collectOutside),
		read("pam", collectPAM),
		read("php", collectPHP).slow(10 * time.Second),
		read("policy", collectPolicy),
		read("postgres", collectPostgres),
		read("sshd", collectSshd).slow(6 * time.Second), // one sshd -T for every kind of client
		read("sudo", collectSudo),
		read("system", collectSystem),
		read("tls", collectTLS).slow(tlsTime),
		read("trees", collectTrees).slow(treesTime),
		read("web", collectWeb).slow(10 * time.Second),
	}
}
