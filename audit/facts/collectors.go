package facts

import "time"

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("policy", collectPolicy),
		read("system", collectSystem),
		read("listeners", collectListeners),
		read("firewall", collectFirewall).slow(8 * time.Second),
		read("network", collectNetwork),
		read("processes", collectProcesses),
	}
}
