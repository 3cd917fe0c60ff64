package facts

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	maxAsked  = 64                     // listeners of one audit that are asked what they speak
	greetWait = 250 * time.Millisecond // for a server that speaks first
	replyWait = 500 * time.Millisecond // for one that answers
)

// serviceOf is what a program speaks, by its file's name; "" for a program that can speak anything. Programs that are
// known are not asked: database servers count connections that end early, and lock out their sender.
func serviceOf(program string) string {
	for _, s := range []struct{ prefix, service string }{
		{"sshd", "ssh"}, {"dropbear", "ssh"}, {"apache2", "http"}, {"httpd", "http"}, {"nginx", "http"}, {"lighttpd", "http"}, {"caddy", "http"},
		{"mariadbd", "mysql"}, {"mysqld", "mysql"}, {"postgres", "postgresql"}, {"redis-server", "redis"}, {"valkey-server", "redis"},
		{"memcached", "memcached"}, {"mongod", "mongodb"}, {"slapd", "ldap"}, {"exim4", "smtp"}, {"master", "smtp"}, {"sendmail", "smtp"},
		{"asterisk", "sip"}, {"kamailio", "sip"}, {"named", "dns"}, {"unbound", "dns"}, {"dnsmasq", "dns"}, {"systemd-resolved", "dns"},
		{"dovecot", "imap"}, {"chronyd", "ntp"}, {"ntpd", "ntp"}, {"dhclient", "dhcp"}, {"systemd-network", "dhcp"}, {"rpcbind", "rpc"},
		{"snmpd", "snmp"}, {"cupsd", "ipp"}, {"avahi-daemon", "mdns"}, {"smbd", "smb"}, {"nmbd", "netbios"}, {"vsftpd", "ftp"},
		{"proftpd", "ftp"}, {"pure-ftpd", "ftp"}, {"telnetd", "telnet"}, {"in.telnetd", "telnet"}, {"rsync", "rsync"},
		{"haproxy", "http"}, {"doorward", "http"},
	} {
		if strings.HasPrefix(program, s.prefix) {
			return s.service
		}
	}
	return ""
}

// portsOf are the ports where a service is looked for; nil for one that has none, or that we do not know.
func portsOf(service string) []int {
	switch service {
	case "ssh":
		return []int{22}
	case "http", "https":
		return []int{80, 443}
	case "mysql":
		return []int{3306, 33060}
	case "postgresql":
		return []int{5432}
	case "redis":
		return []int{6379}
	case "memcached":
		return []int{11211}
	case "mongodb":
		return []int{27017}
	case "ldap":
		return []int{389, 636}
	case "smtp":
		return []int{25, 465, 587}
	case "imap":
		return []int{110, 143, 993, 995}
	case "pop3":
		return []int{110, 995}
	case "ftp":
		return []int{21, 990}
	case "sip":
		return []int{5060, 5061}
	case "vnc":
		return []int{5900}
	}
	return nil
}

// speak asks TCP listeners of programs that are not known what they speak, side by side.
func speak(ctx context.Context, all []Listener) {
	var wait sync.WaitGroup
	asked := 0
	for i := range all {
		l := &all[i]
		if l.Service != "" || l.Protocol != "tcp" || l.PID == 0 || asked == maxAsked {
			continue
		}
		asked++
		wait.Go(func() { l.Service = ask(ctx, l.dialable()) })
	}
	wait.Wait()
}

// ask connects and finds out what is spoken: who speaks first says so; who waits is asked by HTTP.
func ask(ctx context.Context, address string) string {
	d := net.Dialer{Timeout: replyWait}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return ""
	}
	defer c.Close()
	if text := hear(c, greetWait); len(text) > 0 {
		return greeting(text)
	}
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: doorward-audit\r\n\r\n")); err != nil {
		return ""
	}
	return spokenHTTP(hear(c, replyWait))
}

// hear returns the first bytes that come within a time.
func hear(c net.Conn, within time.Duration) []byte {
	buf := make([]byte, 256)
	_ = c.SetReadDeadline(time.Now().Add(within)) // without a deadline the read fails, and nothing is heard
	n, _ := c.Read(buf)                           // what came before an error counts
	return buf[:n]
}

// greeting is the protocol that begins with text.
func greeting(text []byte) string {
	upper := bytes.ToUpper(text)
	switch {
	case bytes.HasPrefix(text, []byte("SSH-")):
		return "ssh"
	case len(text) > 5 && text[2] == 0 && text[3] == 0 && (text[4] == 10 || text[4] == 0xff): // a packet of the handshake, or of an error
		return "mysql"
	case bytes.HasPrefix(text, []byte("RFB ")):
		return "vnc"
	case bytes.HasPrefix(text, []byte("+OK")):
		return "pop3"
	case bytes.HasPrefix(text, []byte("* OK")), bytes.HasPrefix(text, []byte("* PREAUTH")):
		return "imap"
	case bytes.HasPrefix(text, []byte("220")) && bytes.Contains(upper, []byte("SMTP")):
		return "smtp"
	case bytes.HasPrefix(text, []byte("220")):
		return "ftp"
	case bytes.HasPrefix(text, []byte{0xff, 0xfd}), bytes.HasPrefix(text, []byte{0xff, 0xfb}):
		return "telnet"
	case bytes.HasPrefix(text, []byte("Asterisk Call Manager")):
		return "ami"
	case bytes.HasPrefix(text, []byte("@RSYNCD")):
		return "rsync"
	}
	return ""
}

// spokenHTTP is the protocol that answers so to a request by HTTP.
func spokenHTTP(text []byte) string {
	switch {
	case bytes.HasPrefix(text, []byte{0x15, 0x03}): // an alert of TLS
		return "tls"
	case bytes.HasPrefix(text, []byte("HTTP/")) && bytes.Contains(text, []byte(" 400 ")) && bytes.Contains(bytes.ToUpper(text), []byte("HTTPS")):
		return "https"
	case bytes.HasPrefix(text, []byte("HTTP/")):
		return "http"
	case bytes.HasPrefix(text, []byte("-ERR")), bytes.HasPrefix(text, []byte("-DENIED")):
		return "redis"
	case bytes.HasPrefix(text, []byte("ERROR\r\n")):
		return "memcached"
	case len(text) > 0 && text[0] == 'E' && bytes.Contains(text, []byte("FATAL")):
		return "postgresql"
	}
	return ""
}
