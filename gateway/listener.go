package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The kinds of listeners; the names are the keys under "listen" in the configuration.
const (
	kindHTTPS = "https"
	kindHTTP  = "http"
	kindPlain = "plain"
)

// listener is one open listening socket; what it accepts is in the connection table.
type listener struct {
	net.Listener
	kind  string
	conns *connTable
}

// Accept waits for a connection that the table has room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tracked := l.conns.admit(conn, time.Now()); tracked != nil {
			return tracked, nil
		}
	}
}

// openListeners opens every address of cfg, or none. sockets are those that systemd passed, by name; those
// that cfg names, by name or by address, are taken out.
func openListeners(cfg ListenConfig, sockets map[string][]net.Listener, conns *connTable) ([]*listener, error) {
	var open []*listener
	for _, group := range []struct {
		kind      string
		addresses []string
	}{{kindHTTPS, cfg.HTTPS}, {kindHTTP, cfg.HTTP}, {kindPlain, cfg.Plain}} {
		for i, address := range group.addresses {
			found, err := listen(group.kind, address, sockets)
			if err != nil {
				closeListeners(open)
				return nil, fmt.Errorf("listen.%s[%d]: %w", group.kind, i, err)
			}
			for _, socket := range found {
				open = append(open, &listener{Listener: socket, kind: group.kind, conns: conns})
			}
		}
	}
	return open, nil
}

func closeListeners(open []*listener) {
	for _, l := range open {
		l.Close()
	}
}

// listen opens one address: host:port, fd:NAME or unix:PATH (plain only).
func listen(kind, address string, sockets map[string][]net.Listener) ([]net.Listener, error) {
	if name, ok := strings.CutPrefix(address, "fd:"); ok {
		return takeSockets(kind, name, sockets)
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if kind != kindPlain {
			return nil, fmt.Errorf("%q: only listen.plain may be a unix socket", address)
		}
		l, err := listenUnix(path)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is not host:port, fd:NAME or unix:PATH: %w", address, err)
	}
	if kind == kindPlain && !loopbackHost(host) {
		return nil, fmt.Errorf("%q: without TLS the gateway listens on 127.0.0.0/8, ::1, localhost or a unix socket only", address)
	}
	if l := takeBound(address, sockets); l != nil {
		return []net.Listener{l}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		if name := heldBy(address, sockets); name != "" && errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s: systemd listens at %s for us; name fd:%s here, or change ListenStream of that socket unit: %w",
				address, sockets[name][0].Addr(), name, syscall.EADDRINUSE)
		}
		return nil, listenError(address, err)
	}
	return []net.Listener{l}, nil
}

// takeBound takes the socket that systemd passed and that is bound to just this address; nil if there is none. The packaged
// socket units hold ports 443 and 80 whatever the configuration calls them: opening them once more could only fail.
func takeBound(address string, sockets map[string][]net.Listener) net.Listener {
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil || want.Port == 0 {
		return nil // net.Listen says what is wrong with it
	}
	for name, list := range sockets {
		for i, l := range list {
			bound, ok := l.Addr().(*net.TCPAddr)
			if !ok || bound.Port != want.Port || bound.Zone != want.Zone {
				continue
			}
			// No address at all is every one of both families.
			if len(want.IP) == 0 && bound.IP.IsUnspecified() || bound.IP.Equal(want.IP) {
				if sockets[name] = slices.Delete(slices.Clone(list), i, i+1); len(sockets[name]) == 0 {
					delete(sockets, name)
				}
				return l
			}
		}
	}
	return nil
}

// heldBy is the name of a socket that systemd passed, and nothing has taken, at the port of address; empty if there is none.
func heldBy(address string, sockets map[string][]net.Listener) (name string) {
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return ""
	}
	for name, list := range sockets {
		if bound, ok := list[0].Addr().(*net.TCPAddr); ok && bound.Port == want.Port {
			return name
		}
	}
	return ""
}

// listenError says what to do about the two errors that people meet.
func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is taken by another program; stop it or name another address here: %w", address, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s needs a privilege that this process lacks; name a port from 1024 up here, or fd:NAME with a systemd socket: %w",
			address, syscall.EACCES)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

// takeSockets returns the sockets that systemd passed as FileDescriptorName=name (sd_listen_fds(3)).
func takeSockets(kind, name string, sockets map[string][]net.Listener) ([]net.Listener, error) {
	found := sockets[name]
	if len(found) == 0 {
		return nil, fmt.Errorf("fd:%s: systemd passed no socket of that name, or another setting has it; the socket unit needs FileDescriptorName=%s", name, name)
	}
	if kind == kindPlain {
		for _, l := range found {
			if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
				return nil, fmt.Errorf("fd:%s: %s is not a loopback address; without TLS the gateway listens on loopback or a unix socket only", name, tcp)
			}
		}
	}
	delete(sockets, name)
	return found, nil
}

// listenUnix opens a unix socket that its owner and group may use. A socket file that nobody listens on any
// more, as a killed process leaves it, is replaced; a living one is not.
func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("unix:%s exists and is not a socket", path)
		}
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			conn.Close()
			return nil, listenError("unix:"+path, syscall.EADDRINUSE)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the old socket unix:%s: %w", path, err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, listenError("unix:"+path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("set the mode of unix:%s: %w", path, err)
	}
	return l, nil
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
