package facts

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("policy", collectPolicy),
		read("system", collectSystem),
		read("application", collectApplication).slow(applicationTime),
		read("asterisk", collectAsterisk),
		read("mariadb", collectMariaDB),
		read("postgres", collectPostgres),
		read("trees", collectTrees).slow(treesTime),
	}
}
