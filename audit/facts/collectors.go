package facts

// collectors lists every fact that can be read, by name.
func collectors() []collector {
	return []collector{
		read("policy", collectPolicy),
		read("system", collectSystem),
		read("tls", collectTLS).slow(tlsTime),
		read("http", collectHTTP).slow(httpTime),
		read("canaries", collectCanaries).slow(canaryTime),
		read("interfaces", collectInterfaces).slow(interfaceTime),
		read("mail", collectMail).slow(mailTime),
		read("outside", collectOutside),
	}
}
