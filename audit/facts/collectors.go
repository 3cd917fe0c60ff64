package facts

import "time"

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("apache", collectApache).slow(10 * time.Second),
		read("nginx", collectNginx).slow(10 * time.Second),
		read("php", collectPHP).slow(10 * time.Second),
		read("policy", collectPolicy),
		read("system", collectSystem),
		read("web", collectWeb).slow(10 * time.Second),
	}
}
