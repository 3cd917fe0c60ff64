package facts

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// WebServer is one site of a web server with what it inherits: a virtual host of Apache, Apache's server outside of
// them, or a server block of nginx.
type WebServer struct {
	Program string `cel:"program"` // apache or nginx
	Name    string `cel:"name"`    // its first name; empty when it has none
	// Serves is whether a request can reach it: something listens where it answers. Apache's server outside of
	// the virtual hosts serves only where none of them does.
	Serves bool `cel:"serves"`
	// Public is whether it answers on an address that is not loopback nor a socket in the file system.
	Public bool   `cel:"public"`
	TLS    bool   `cel:"tls"`  // whether it speaks TLS on any of its ports
	Root   string `cel:"root"` // its document root; empty when it has none
	// Tokens is ServerTokens (lower case: full, os, minor, minimal, major, prod) or server_tokens (on, off, build, or a text).
	Tokens Setting `cel:"tokens"`
	// HidesServer is whether the server itself leaves the Server header out, or sends one that names no program
	// (nginx's headers-more, ModSecurity's SecServerSignature). Apache's "Header unset Server" does nothing.
	HidesServer bool `cel:"hides_server"`
	// AccessLog is where every request is logged: a file, a pipe or syslog; empty when that is nowhere, or only for some.
	AccessLog Setting `cel:"access_log"`
	// ErrorLog is where errors go; empty when that is nowhere.
	ErrorLog Setting `cel:"error_log"`
	LogLevel Setting `cel:"log_level"` // of the error log, lower case, without the levels of single modules
	// SSL are directives of TLS that are set, by name in lower case: sslprotocol, sslciphersuite, ssl_protocols, ….
	SSL    map[string]Setting `cel:"ssl"`
	Origin string             `cel:"origin"`
}

// WebPlace is a part of a site to which one set of rules applies: the document root, an alias, or a folder, location or
// .htaccess below them that changes something.
type WebPlace struct {
	Program string `cel:"program"`
	Server  string `cel:"server"` // the site's name
	URL     string `cel:"url"`    // where it begins; empty when that is not known
	Path    string `cel:"path"`   // the folder; empty when it is not of the file system
	// Serves and Public are as for its site.
	Serves bool `cel:"serves"`
	Public bool `cel:"public"`
	// Access is who gets in: all, some (addresses, accounts or other conditions), none.
	Access string `cel:"access"`
	// Listing is whether a folder without an index page is listed. It asks for the option and for the module.
	Listing bool `cel:"listing"`
	// Options are Apache's options in force, sorted and in lower case; empty for nginx.
	Options []string `cel:"options"`
	// Override is what .htaccess files may change, in lower case: none, all, or the classes. Empty for nginx.
	Override string `cel:"override"`
	// Signature is ServerSignature in lower case, or for nginx what server_tokens says, which its error pages follow.
	Signature string `cel:"signature"`
	// PHP is how a .php file is run here: module, an address as unix:/run/php/php8.2-fpm.sock or 127.0.0.1:9000; empty when
	// it is not.
	PHP string `cel:"php"`
	// TLS is whether the site speaks TLS. TLSEnv is what PHP is told of it: std (SSLOptions +StdEnvVars: protocol, cipher and
	// certificate), https (the variable HTTPS alone), forwarded (from the header of a proxy), or empty.
	TLS    bool   `cel:"tls"`
	TLSEnv string `cel:"tls_env"`
	// Headers are the headers that the server adds to answers, by name in lower case.
	Headers map[string]string `cel:"headers"`
	// Condition is set where the rules apply only under a condition that is not decided here (<If>, a pattern for names).
	Condition string `cel:"condition"`
	Origin    string `cel:"origin"` // what decides on its listing, or on its signature when only that is there
}

// WebListen is an address on which a web server is configured to listen.
type WebListen struct {
	Program  string `cel:"program"`
	Address  string `cel:"address"` // 0.0.0.0, ::, 127.0.0.1 or a socket's file
	Port     int    `cel:"port"`    // 0 for a socket's file
	Loopback bool   `cel:"loopback"`
	// Declared is whether the port is one of audit.open_ports.
	Declared bool   `cel:"declared"`
	Origin   string `cel:"origin"`
}

// maxPlaces bounds how many parts of sites are told apart.
const maxPlaces = 2_000

func (l WebListen) inner() bool { return l.Loopback || l.Port == 0 }

// newListen makes a listening address of its host part, which may be empty or a star for every address, and its port.
func newListen(program, host, port, origin string, t Target) WebListen {
	l := WebListen{Program: program, Origin: origin}
	l.Port, _ = strconv.Atoi(port)
	host = strings.Trim(host, "[]")
	switch {
	case host == "" || host == "*" || host == "_default_":
		l.Address = "0.0.0.0"
	case host == "localhost":
		l.Address, l.Loopback = "127.0.0.1", true
	default:
		l.Address = host
		if a, err := netip.ParseAddr(host); err == nil {
			l.Address, l.Loopback = a.String(), a.IsLoopback()
		}
	}
	declared := t.OpenPorts
	if len(declared) == 0 {
		declared = []string{"tcp/80", "tcp/443"}
	}
	l.Declared = slices.Contains(declared, "tcp/"+port)
	return l
}

// lies says whether name is dir or below it.
func lies(name, dir string) bool {
	return name == dir || dir == "/" || len(name) > len(dir) && name[len(dir)] == '/' && name[:len(dir)] == dir
}
