package facts

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

const maxLines = 100 // of one answer of a text protocol

// Interfaces are the other servers that the application talks to, as declared, probed for TLS.
type Interfaces struct {
	Links []Link `cel:"links"`
	// Mail are those of them by which mail is sent. It is missing where none is declared.
	Mail []Link `cel:"mail"`
	// Complete is true. It is missing, with the reason, when a declared interface could not be probed.
	Complete bool `cel:"complete"`
}

// Link is a connection to another server.
type Link struct {
	Address string `cel:"address"` // as declared: ldaps://ldap.example.com
	Scheme  string `cel:"scheme"`
	// TLS says that the connection is encrypted, from the beginning or by STARTTLS. Fault says why not, or why it is not trusted.
	TLS     bool      `cel:"tls"`
	Version string    `cel:"version"` // TLSv1.2, TLSv1.3, …
	Trusted bool      `cel:"trusted"` // by this system's roots, for the name
	Fault   string    `cel:"fault"`
	Expires time.Time `cel:"expires"`
	Origin  string    `cel:"origin"`
}

// linkPorts are the schemes of interfaces and their usual ports.
func linkPorts() map[string]string {
	return map[string]string{
		"ldaps": "636", "smtps": "465", "imaps": "993", "pop3s": "995", "https": "443", "tls": "443",
		"ldap+starttls": "389", "smtp+starttls": "587", "imap+starttls": "143", "pop3+starttls": "110", "postgres+starttls": "5432", "mysql+starttls": "3306",
		"ldap": "389", "smtp": "25", "imap": "143", "pop3": "110", "http": "80", "postgres": "5432", "mysql": "3306",
	}
}

func collectInterfaces(ctx context.Context, h *Host, t Target) (Interfaces, []Missing) {
	switch {
	case !h.Live():
		return Interfaces{}, missing("%s", ErrNotLive)
	case len(t.Interfaces) == 0:
		return Interfaces{}, missing("no interface to another server is declared (audit.interfaces)")
	case len(t.Interfaces) > maxTargets:
		return Interfaces{}, missing("audit.interfaces has more than %d", maxTargets)
	}
	p, err := newProber(t)
	if err != nil {
		return Interfaces{}, missing("%s", err)
	}
	links, gone := sift(side(probesAtOnce, t.Interfaces, func(text string) looked[Link] {
		e, err := parseEndpoint(text, linkPorts())
		if err != nil {
			return looked[Link]{err: err}
		}
		link, err := p.link(ctx, e)
		return looked[Link]{link, err}
	}), t.Interfaces)
	i := Interfaces{Links: links, Complete: true}
	for _, link := range links {
		if strings.HasPrefix(link.Scheme, "smtp") {
			i.Mail = append(i.Mail, link)
		}
	}
	if len(i.Mail) == 0 {
		gone = append(gone, Missing{"mail", "no server by which mail is sent is declared or answers (audit.interfaces, smtp+starttls://…)"})
	}
	return i, gone
}

// link connects as the scheme says.
func (p *prober) link(ctx context.Context, e endpoint) (Link, error) {
	l := Link{Address: e.text, Scheme: e.scheme, Origin: e.origin()}
	protocol, upgrade := strings.CutSuffix(e.scheme, "+starttls")
	if !upgrade && !strings.HasSuffix(e.scheme, "s") {
		l.Fault, l.Origin = "it is declared without TLS", "audit.interfaces"
		return l, nil
	}
	conn, err := p.dialTrue(ctx, e.host, e.port)
	if err != nil {
		return l, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(probeTime)); err != nil {
		return l, err
	}
	if upgrade {
		if err := startTLS(conn, protocol); errors.Is(err, errRefused) {
			l.Fault = "it offers no TLS: " + err.Error()
			return l, nil
		} else if err != nil {
			return l, err
		}
	}
	var chain [][]byte
	config := lenient(e.host)
	config.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error { chain = raw; return nil }
	client := tls.Client(conn, config)
	if err := client.HandshakeContext(ctx); err != nil {
		var timeout net.Error
		if ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout() {
			return l, err
		}
		l.Fault = err.Error()
		return l, nil
	}
	state := client.ConnectionState()
	l.TLS, l.Version = true, strings.Replace(strings.TrimSuffix(tls.VersionName(state.Version), ".0"), "TLS ", "TLSv", 1)
	roots, err := x509.SystemCertPool()
	if err != nil {
		return l, fmt.Errorf("read the system's roots: %w", err)
	}
	seen := shown{}
	for _, der := range chain {
		if cert, err := x509.ParseCertificate(der); err == nil {
			seen.chain = append(seen.chain, cert)
		}
	}
	c := judgeChain(seen, e.host, roots, p.now)
	l.Trusted, l.Fault, l.Expires = c.Trusted, c.Fault, c.Expires
	return l, nil
}

// startTLS asks a server for TLS in its own protocol. errRefused is its no.
func startTLS(conn net.Conn, protocol string) error {
	switch protocol {
	case "ldap":
		return startLDAP(conn)
	case "postgres":
		if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
			return err
		}
		reply := make([]byte, 1)
		if _, err := io.ReadFull(conn, reply); err != nil {
			return err
		}
		if reply[0] != 'S' {
			return errRefused
		}
		return nil
	case "mysql":
		return startMySQL(conn)
	}
	// A server that has sent more than its answer in the clear would have it read after the handshake; one byte at a time
	// leaves nothing behind in a buffer.
	r := bufio.NewReaderSize(onebyte{conn}, 16)
	say := func(text string) error { _, err := io.WriteString(conn, text+"\r\n"); return err }
	switch protocol {
	case "smtp":
		return startSMTP(r, say)
	case "imap":
		if _, err := readReply(r, "* OK", ""); err != nil {
			return err
		}
		if err := say("a STARTTLS"); err != nil {
			return err
		}
		_, err := readReply(r, "a OK", "")
		return err
	case "pop3":
		if _, err := readReply(r, "+OK", ""); err != nil {
			return err
		}
		if err := say("STLS"); err != nil {
			return err
		}
		_, err := readReply(r, "+OK", "")
		return err
	}
	return fmt.Errorf("STARTTLS of %s is not known", protocol)
}

// startSMTP reads the greeting, and asks where EHLO names STARTTLS (RFC 3207).
func startSMTP(r *bufio.Reader, say func(string) error) error {
	if _, err := readReply(r, "220", "-"); err != nil {
		return err
	}
	if err := say("EHLO doorward-audit"); err != nil {
		return err
	}
	lines, err := readReply(r, "250", "-")
	if err != nil {
		return err
	}
	if lines = strings.ToUpper(lines); !strings.Contains(lines, "-STARTTLS\n") && !strings.Contains(lines, " STARTTLS\n") {
		return fmt.Errorf("%w: EHLO names no STARTTLS", errRefused)
	}
	if err := say("STARTTLS"); err != nil {
		return err
	}
	_, err = readReply(r, "220", "-")
	return err
}

// onebyte reads one byte at a time.
type onebyte struct{ r io.Reader }

func (o onebyte) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }

// readReply reads the lines of an answer that must begin with want. more is what follows it in all lines but the last.
func readReply(r *bufio.Reader, want, more string) (string, error) {
	var all strings.Builder
	for range maxLines {
		var line []byte
		for {
			b, err := r.ReadByte()
			if err != nil {
				return "", err
			}
			if b == '\n' || len(line) >= 1000 {
				break
			}
			line = append(line, b)
		}
		text := strings.TrimRight(string(line), "\r")
		rest, ok := strings.CutPrefix(text, want)
		if !ok {
			return "", fmt.Errorf("%w: %.80q", errRefused, text)
		}
		all.WriteString(rest + "\n")
		if more == "" || !strings.HasPrefix(rest, more) {
			return all.String(), nil
		}
	}
	return "", fmt.Errorf("%w: an answer without an end", errRefused)
}

// startLDAP sends the extended request of RFC 4511, section 4.14.
func startLDAP(conn net.Conn) error {
	request := append([]byte{0x30, 0x1d, 2, 1, 1, 0x77, 0x18, 0x80, 0x16}, "1.3.6.1.4.1.1466.20037"...)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	n := int(head[1])
	if n >= 0x80 { // the long form: that many bytes of length
		size := make([]byte, n-0x80)
		if len(size) > 2 {
			return fmt.Errorf("%w: not LDAP", errRefused)
		}
		if _, err := io.ReadFull(conn, size); err != nil {
			return err
		}
		n = 0
		for _, b := range size {
			n = n<<8 | int(b)
		}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	s := cryptobyte.String(body)
	var id, code int64
	var answer cryptobyte.String
	if head[0] != 0x30 || !s.ReadASN1Integer(&id) || !s.ReadASN1(&answer, 0x78) || !answer.ReadASN1Int64WithTag(&code, 0x0a) {
		return fmt.Errorf("%w: not LDAP", errRefused)
	}
	if code != 0 {
		return fmt.Errorf("%w: LDAP result %d", errRefused, code)
	}
	return nil
}

// startMySQL reads the server's greeting and asks for TLS.
func startMySQL(conn net.Conn) error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	body := make([]byte, min(int(head[0])|int(head[1])<<8|int(head[2])<<16, 4096))
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	at := strings.IndexByte(string(body), 0) // the end of the version's name
	if at < 0 || body[0] != 10 || len(body) < at+16 {
		return fmt.Errorf("%w: not MySQL", errRefused)
	}
	const encrypted, newer, safe = 0x800, 0x200, 0x8000
	if binary.LittleEndian.Uint16(body[at+14:])&encrypted == 0 {
		return errRefused
	}
	request := make([]byte, 36)
	request[0], request[3] = 32, head[3]+1
	binary.LittleEndian.PutUint32(request[4:], encrypted|newer|safe)
	binary.LittleEndian.PutUint32(request[8:], 1<<24-1)
	request[12] = 33
	_, err := conn.Write(request)
	return err
}
