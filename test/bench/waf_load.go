package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// wafConnections is how many connections are kept alive. Few, because this program and the upstream share the machine.
const wafConnections = 8

// What an answer holds, and a rule of CRS finds, where the firewall must refuse it.
const leak = "<p>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right syntax</p>"

// Pages are made before, so that the upstream costs little.
const (
	shortPages, shortLength = 256, 10 << 10
	longPages, longLength   = 64, 100 << 10
)

// newWAFUpstream is the application: pages that differ from request to request.
func newWAFUpstream(t *traffic) http.Handler {
	short, long := make([]string, shortPages), make([]string, longPages)
	for n := range short {
		short[n] = t.page(n, shortLength, "")
	}
	for n := range long {
		long[n] = t.page(n, longLength, "")
	}
	leaks := map[string]string{"/leak/short": t.page(0, shortLength, leak), "/leak/long": t.page(0, longLength, leak)}
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a broken body shows at the other end
		n := int(count.Add(1))
		page := short[n%shortPages]
		switch {
		case strings.HasPrefix(r.URL.Path, "/leak/"):
			page = leaks[r.URL.Path]
		case strings.HasPrefix(r.URL.Path, "/long/"):
			page = long[n%longPages]
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(page)))
		_, _ = io.WriteString(w, page)
	})
}

// loader sends requests to one server over connections that it keeps.
type loader struct {
	traffic *traffic
	address string
	conns   []*wafConn
}

type wafConn struct {
	net.Conn
	reader *bufio.Reader
}

func (l *loader) close() {
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

func dialWAF(address string) (*wafConn, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &wafConn{Conn: conn, reader: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// do sends one request and reads the whole answer.
func (c *wafConn) do(request []byte) (status int, length int64, err error) {
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		return 0, 0, err
	}
	if _, err := c.Write(request); err != nil {
		return 0, 0, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, 0, err
	}
	length, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, length, err
}

// send sends the requests from first on; request makes each. Every answer must be a whole page.
func (l *loader) send(ctx context.Context, first, count int, request func(n int) []byte) error {
	for len(l.conns) < wafConnections {
		c, err := dialWAF(l.address)
		if err != nil {
			return err
		}
		l.conns = append(l.conns, c)
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	failures := make([]error, len(l.conns))
	for i, c := range l.conns {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				status, length, err := c.do(request(first + n))
				if err == nil && (status != http.StatusOK || length < shortLength-512) {
					err = fmt.Errorf("answered %d with %d bytes", status, length)
				}
				if err != nil {
					failures[i] = fmt.Errorf("request %d: %w", first+n, err)
					return
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(append(failures, ctx.Err())...)
}

// attack sends one request on a connection of its own and tells whether the firewall stopped it: by a status, or, where an
// answer leaks, by breaking off, which is what nginx does when the headers have been sent already.
func (l *loader) attack(request []byte, leaks bool) (stopped bool, err error) {
	c, err := dialWAF(l.address)
	if err != nil {
		return false, err
	}
	defer c.Close()
	status, length, err := c.do(request)
	switch {
	case status == http.StatusForbidden, err != nil && leaks:
		return true, nil
	case err == nil && status == http.StatusOK && length >= shortLength-512:
		return false, nil
	}
	return false, fmt.Errorf("answered %d with %d bytes: %w", status, length, err)
}
