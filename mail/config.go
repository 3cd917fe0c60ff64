package mail

import (
	"net/netip"
	"strings"
	"time"
)

// How the connection is encrypted: the values of Config.Encryption.
const (
	StartTLS = "starttls" // begins in plain text and is refused if the server does not offer TLS (RFC 3207)
	Implicit = "implicit" // TLS from the first byte (RFC 8314)
	Off      = "off"      // plain text, to this machine only
)

// Config says which server takes outgoing mail. It is the `mail` section of the configuration file. The zero value
// of every field means its default, which SetDefaults fills in.
type Config struct {
	// Host is the mail server: a host name or an address. Without one nothing is mailed.
	Host string `yaml:"host"`
	// Port is the server's port. Default: 587 with starttls, 465 with implicit, 25 with off.
	Port int `yaml:"port"`
	// Encryption is starttls (required: a server that does not offer it gets nothing), implicit (TLS from the first byte)
	// or off, which only a server on this machine (localhost, 127.0.0.1, ::1) may have. At least TLS 1.2, and the
	// server's certificate is always verified. Default: starttls (F-46).
	Encryption string `yaml:"tls"`
	// CAFile holds the authorities, PEM, to trust in place of the system's.
	CAFile string `yaml:"ca_file"`
	// ServerName is the name to expect in the server's certificate. Default: host.
	ServerName string `yaml:"server_name"`
	// Username is the account at the server, if it wants one. It is never sent over an unencrypted connection.
	Username string `yaml:"username"`
	// PasswordFile holds the account's password in its first line; it is read again for each message.
	PasswordFile string `yaml:"password_file"`
	// From is the sender: an address, or a name and an address in angle brackets. Needed when host is set.
	From string `yaml:"from"`
	// ReplyTo is where answers go. Default: the sender.
	ReplyTo string `yaml:"reply_to"`
	// Hello is the name that Doorward calls itself by when it greets the server (EHLO). Default: the name of this
	// machine if it has a dot, else the domain of the sender.
	Hello string `yaml:"hello"`
	// Timeout is how long one try to deliver one message may take. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
}

// Enabled tells whether there is a server to send by.
func (c Config) Enabled() bool { return c.Host != "" }

// SetDefaults replaces zero values by the defaults.
func (c *Config) SetDefaults() {
	if c.Encryption == "" {
		c.Encryption = StartTLS
	}
	if c.Port == 0 {
		c.Port = map[string]int{Implicit: 465, Off: 25}[c.Encryption]
	}
	if c.Port == 0 {
		c.Port = 587
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
}

// Validate reports every value that cannot be used; call SetDefaults before. The paths are relative to the section
// that holds these settings. It does not look at the files that they name.
func (c Config) Validate(report func(path, format string, args ...any)) {
	if c.Encryption != StartTLS && c.Encryption != Implicit && c.Encryption != Off {
		report("tls", "%q is not one of starttls, implicit, off", c.Encryption)
	}
	if c.Port < 1 || c.Port > 65535 {
		report("port", "%d is not between 1 and 65535", c.Port)
	}
	if c.Timeout < time.Second || c.Timeout > maxTimeout {
		report("timeout", "%v is not between %v and %v", c.Timeout, time.Second, maxTimeout)
	}
	for _, name := range []struct{ key, value string }{{"host", c.Host}, {"server_name", c.ServerName}, {"hello", c.Hello}} {
		if name.value != "" && !validHost(name.value) {
			report(name.key, "%q is not a host name or an address", name.value)
		}
	}
	c.validateSender(report)
	c.validateAccount(report)
}

func (c Config) validateSender(report func(path, format string, args ...any)) {
	if c.From != "" {
		if _, err := parseMailbox(c.From); err != nil {
			report("from", "%v", err)
		}
	} else if c.Host != "" {
		report("from", "is missing; give the address that mail comes from, for instance: Helpdesk <helpdesk@example.org>")
	}
	if c.ReplyTo != "" {
		if _, err := parseMailbox(c.ReplyTo); err != nil {
			report("reply_to", "%v", err)
		}
	}
	if c.Host == "" && (c.From != "" || c.Username != "" || c.PasswordFile != "") {
		report("host", "is missing, so nothing would be mailed; give the mail server, or remove the section")
	}
}

func (c Config) validateAccount(report func(path, format string, args ...any)) {
	if strings.ContainsFunc(c.Username, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		report("username", "holds a control character")
	}
	switch {
	case c.Username != "" && c.PasswordFile == "":
		report("password_file", "is missing; give the file that holds the password of %s", c.Username)
	case c.Username == "" && c.PasswordFile != "":
		report("username", "is missing; give the account whose password is in password_file")
	}
	if c.Encryption != Off {
		return
	}
	if c.Host != "" && !loopback(c.Host) {
		report("tls", "off sends mail in plain text, which is refused to %s: only a server on this machine (localhost, "+
			"127.0.0.1, ::1) may have it; use starttls or implicit", c.Host)
	}
	if c.Username != "" {
		report("username", "would be sent in plain text, because tls is off; remove username and password_file, or use starttls or implicit")
	}
}

// maxTimeout bounds Config.Timeout, and with it how long a message that a process took with it stays untouched.
const maxTimeout = 5 * time.Minute

// loopback tells whether host is this machine for everybody.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// validHost tells whether host is an address, or a name of letters, digits, hyphens and dots.
func validHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	return validDomain(strings.ToLower(strings.TrimSuffix(host, ".")))
}

// validDomain tells whether a name in lower case is a domain as mail servers know it (RFC 5321 4.1.2).
func validDomain(domain string) bool {
	if len(domain) > 253 {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') {
				return false
			}
		}
	}
	return true
}
