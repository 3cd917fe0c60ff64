package facts

import "time"

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("accounts", collectAccounts),
		read("apache", collectApache),
		read("application", collectApplication).slow(applicationTime),
		read("apt", collectApt),
		read("asterisk", collectAsterisk),
		read("backups", collectBackups),
		read("canaries", collectCanaries),
		read("cron", collectCron),
		read("firewall", collectFirewall),
		read("http", collectHTTP).slow(httpTime),
		read("ids", collectIDS),
		read("interfaces", collectInterfaces),
		read("keys", collectKeys),
		read("listeners", collectListeners),
		read("logins", collectLogins),
		read("logs", collectLogs),
		read("mac", collectMAC),
		read("mail", collectMail).slow(mailTime),
		read("mariadb", collectMariaDB),
		read("monitoring", collectMonitoring),
		read("network", collectNetwork),
		read("nginx", collectNginx),
		read("outside", collectOutside),
		read("packages", collectPackages),
		read("pam", collectPAM),
		read("php", collectPHP),
		read("policy", collectPolicy),
		read("postgres", collectPostgres),
		read("processes", collectProcesses),
		read("sshd", collectSshd),
		read("storage", collectStorage),
		read("sudo", collectSudo),
		read("system", collectSystem),
		read("tls", collectTLS).slow(tlsTime),
		read("trees", collectTrees),
		read("units", collectUnits),
		read("updates", collectUpdates),
		read("vulnerabilities", collectVulnerabilities).slow(15 * time.Second), // some 100 MB of JSON
		read("watch", collectWatch),
		read("web", collectWeb),
	}
}
