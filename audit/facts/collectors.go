package facts

import "time"

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("accounts", collectAccounts),
		read("apache", collectApache).slow(10 * time.Second),
		read("application", collectApplication).slow(applicationTime),
		read("apt", collectApt),
		read("asterisk", collectAsterisk),
		read("backups", collectBackups),
		read("canaries", collectCanaries).slow(canaryTime),
		read("cron", collectCron),
		read("firewall", collectFirewall).slow(8 * time.Second),
		read("http", collectHTTP).slow(httpTime),
		read("ids", collectIDS),
		read("interfaces", collectInterfaces).slow(interfaceTime),
		read("keys", collectKeys),
		read("listeners", collectListeners),
		read("logins", collectLogins),
		read("logs", collectLogs),
		read("mac", collectMAC),
		read("mail", collectMail).slow(mailTime),
		read("mariadb", collectMariaDB),
		read("monitoring", collectMonitoring),
		read("network", collectNetwork),
		read("nginx", collectNginx).slow(10 * time.Second),
		read("outside", collectOutside),
		read("packages", collectPackages),
		read("pam", collectPAM),
		read("php", collectPHP).slow(10 * time.Second),
		read("policy", collectPolicy),
		read("postgres", collectPostgres),
		read("processes", collectProcesses),
		read("sshd", collectSshd).slow(6 * time.Second), // one sshd -T for every kind of client
		read("storage", collectStorage),
		read("sudo", collectSudo),
		read("system", collectSystem),
		read("tls", collectTLS).slow(tlsTime),
		read("trees", collectTrees).slow(treesTime),
		read("units", collectUnits),
		read("updates", collectUpdates).slow(10 * time.Second),                 // some 50 MB of lists
		read("vulnerabilities", collectVulnerabilities).slow(15 * time.Second), // some 100 MB of JSON
		read("web", collectWeb).slow(10 * time.Second),
	}
}
