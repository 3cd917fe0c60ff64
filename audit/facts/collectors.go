package facts

import "time"

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("policy", collectPolicy),
		read("system", collectSystem),
		read("packages", collectPackages),
		read("updates", collectUpdates).slow(10 * time.Second),                 // some 50 MB of lists
		read("vulnerabilities", collectVulnerabilities).slow(15 * time.Second), // some 100 MB of JSON
		read("apt", collectApt),
		read("units", collectUnits),
		read("ids", collectIDS),
		read("storage", collectStorage),
		read("mac", collectMAC),
		read("logs", collectLogs),
		read("backups", collectBackups),
		read("monitoring", collectMonitoring),
	}
}
