package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"
)

const (
	dialLimit = 10 * time.Second
	sendLimit = 30 * time.Second
	// maxDatagram is the longest message over UDP: what every IPv4 and IPv6 path takes in pieces. A longer one is cut.
	maxDatagram = 8 << 10
)

// Server is where messages go.
type Server struct {
	network, address, name string
	roots                  *x509.CertPool
}

// ParseServer reads udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT; the port is 514, or 6514 with TLS, if none is
// given. roots vouch for the server's certificate; nil: those of the system.
func ParseServer(text string, roots *x509.CertPool) (Server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return Server{}, errors.New("a syslog server is udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT")
	}
	s := Server{network: u.Scheme, name: u.Hostname(), roots: roots}
	port := u.Port()
	switch {
	case u.Scheme != "udp" && u.Scheme != "tcp" && u.Scheme != "tls":
		return Server{}, errors.New("a syslog server is reached by udp, tcp or tls")
	case port == "" && u.Scheme == "tls":
		port = "6514"
	case port == "":
		port = "514"
	}
	s.address = net.JoinHostPort(s.name, port)
	return s, nil
}

// Sender is a connection to a server. It is for one goroutine.
type Sender struct {
	conn     net.Conn
	datagram bool
	closed   chan struct{} // a server that reads has nothing to say: whatever ends its side ends the connection
	buf      []byte
}

// Dial connects to the server.
func (s Server) Dial(ctx context.Context) (*Sender, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	var conn net.Conn
	var err error
	switch s.network {
	case "tls":
		d := tls.Dialer{Config: &tls.Config{ServerName: s.name, RootCAs: s.roots, MinVersion: tls.VersionTLS12}}
		conn, err = d.DialContext(ctx, "tcp", s.address)
	default:
		var d net.Dialer
		conn, err = d.DialContext(ctx, s.network, s.address)
	}
	if err != nil {
		return nil, fmt.Errorf("reach syslog server: %w", err)
	}
	n := &Sender{conn: conn, datagram: s.network == "udp", closed: make(chan struct{})}
	if !n.datagram {
		go n.listen()
	}
	return n, nil
}

// listen notices the end of the connection: without it the first messages after a restart of the server would go nowhere.
func (n *Sender) listen() {
	defer close(n.closed)
	var b [256]byte
	for {
		if _, err := n.conn.Read(b[:]); err != nil {
			return
		}
	}
}

// Send writes messages. After an error none of them may have arrived, or some.
func (n *Sender) Send(messages [][]byte) error {
	if err := n.conn.SetWriteDeadline(time.Now().Add(sendLimit)); err != nil {
		return fmt.Errorf("send to syslog server: %w", err)
	}
	n.buf = n.buf[:0]
	for _, m := range messages {
		if n.datagram {
			if _, err := n.conn.Write(m[:min(len(m), maxDatagram)]); err != nil {
				return fmt.Errorf("send to syslog server: %w", err)
			}
			continue
		}
		n.buf = strconv.AppendInt(n.buf, int64(len(m)), 10)
		n.buf = append(append(n.buf, ' '), m...)
	}
	if n.datagram {
		return nil
	}
	if _, err := n.conn.Write(n.buf); err != nil {
		return fmt.Errorf("send to syslog server: %w", err)
	}
	select {
	case <-n.closed:
		return errors.New("send to syslog server: it closed the connection")
	default:
		return nil
	}
}

// Close ends the connection.
func (n *Sender) Close() error {
	err := n.conn.Close()
	if !n.datagram {
		<-n.closed
	}
	return err
}
