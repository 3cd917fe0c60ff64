package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// answerLimit bounds what is read on one connection, in bytes: all that is asked for is a few entries.
const answerLimit = 4 << 20

// connection is one connection to the directory. It ends with its context, whatever it waits for.
type connection struct {
	*ldap.Conn
	stop func() bool
}

// Close ends the connection.
func (c connection) Close() {
	c.stop()
	_ = c.Conn.Close() // nothing is waited for any more
}

// connect opens a connection that is encrypted as configured and bound to nobody.
func (d *Directory) connect(ctx context.Context) (connection, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, d.target.network, d.target.address)
	if err != nil {
		return connection{}, d.failed("connect", err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(d.cfg.Timeout)
	}
	if err := raw.SetDeadline(deadline); err != nil {
		return connection{}, errors.Join(d.failed("connect", err), raw.Close())
	}
	limited := &limitedConn{Conn: raw, left: answerLimit}
	var conn net.Conn = limited
	if d.target.tls {
		secured := tls.Client(limited, d.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // the handshake's error is the one that tells
			return connection{}, d.failed("connect: TLS", err)
		}
		conn = secured
	}
	l := ldap.NewConn(conn, d.target.tls)
	l.SetTimeout(d.cfg.Timeout)
	l.Start()
	c := connection{l, context.AfterFunc(ctx, func() { _ = raw.Close() })}
	if d.target.startTLS {
		if err := l.StartTLS(d.tls); err != nil {
			c.Close()
			return connection{}, d.failed("start TLS", err)
		}
	}
	return c, nil
}

// connectAsService opens a connection that may search.
func (d *Directory) connectAsService(ctx context.Context) (connection, error) {
	conn, err := d.connect(ctx)
	if err != nil || d.cfg.BindDN == "" {
		return conn, err
	}
	if err := conn.Bind(d.cfg.BindDN, d.password); err != nil {
		conn.Close()
		return connection{}, d.failed("bind as "+d.cfg.BindDN, err)
	}
	return conn, nil
}

// limitedConn reads no more than a number of bytes, so that a directory cannot fill the memory.
type limitedConn struct {
	net.Conn
	left int // only the connection's one reader uses it
}

func (c *limitedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the directory sent more than %d bytes", answerLimit)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
