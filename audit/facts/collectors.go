package facts

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("apache", collectApache),
		read("nginx", collectNginx),
		read("php", collectPHP),
		read("policy", collectPolicy),
		read("system", collectSystem),
		read("web", collectWeb),
	}
}
