package demo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// Refusal is an error that the person who started the demo can do something about. Hint says what.
type Refusal struct {
	What string
	Hint string
	// Usage is true when the command line itself was wrong.
	Usage bool
}

// Error says what was refused, without the hint.
func (r *Refusal) Error() string { return r.What }

// parsePort reads the value of a flag such as --listen. The demo is for this machine only: its passwords
// are printed, so that no other address is taken.
func parsePort(flag, value string) (int, error) {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return 0, &Refusal{Usage: true, What: fmt.Sprintf("--%s %q is not an address", flag, value),
			Hint: fmt.Sprintf("write --%s 127.0.0.1:PORT, such as 127.0.0.1:8443; port 0 lets the system choose", flag)}
	}
	addr, err := netip.ParseAddr(host)
	if !strings.EqualFold(host, "localhost") && (err != nil || (addr != v4 && addr != v6)) {
		return 0, &Refusal{Usage: true, What: fmt.Sprintf("--%s %q: the demo listens on 127.0.0.1 and ::1 only, because it prints its passwords", flag, value),
			Hint: fmt.Sprintf("write --%s 127.0.0.1:%s; to serve others, write a configuration with \"doorward init\"", flag, port)}
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, &Refusal{Usage: true, What: fmt.Sprintf("--%s %q: the port is not a number from 0 to 65535", flag, value),
			Hint: "port 0 lets the system choose one"}
	}
	return int(number), nil
}

var (
	v4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	v6 = netip.IPv6Loopback()
)

// place is a port that is free on every loopback address of this machine, held until release.
type place struct {
	port      int
	listeners []net.Listener
	note      string // what the person should know, or empty
}

// addresses are host:port for each loopback address.
func (p *place) addresses() []string {
	var addresses []string
	for _, l := range p.listeners {
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

func (p *place) release() {
	for _, l := range p.listeners {
		l.Close()
	}
}

// hold takes the port on 127.0.0.1 and ::1. For port 0 it looks for one that is free on both.
func hold(flag string, port int) (*place, error) {
	const attempts = 20
	for attempt := 1; ; attempt++ {
		p, err := holdOnce(port)
		if err == nil {
			return p, nil
		}
		if port == 0 && attempt < attempts && errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		return nil, holdError(flag, port, err)
	}
}

func holdOnce(port int) (*place, error) {
	four, err := net.Listen("tcp4", netip.AddrPortFrom(v4, uint16(port)).String())
	if err != nil {
		return nil, err
	}
	chosen := four.Addr().(*net.TCPAddr).Port
	p := &place{port: chosen, listeners: []net.Listener{four}}
	six, err := net.Listen("tcp6", netip.AddrPortFrom(v6, uint16(chosen)).String())
	switch {
	case err == nil:
		p.listeners = append(p.listeners, six)
	case errors.Is(err, syscall.EADDRINUSE):
		p.release()
		return nil, err
	default:
		p.note = fmt.Sprintf("this machine has no ::1, so port %d is open on 127.0.0.1 only", chosen)
	}
	return p, nil
}

func holdError(flag string, port int, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &Refusal{What: fmt.Sprintf("port %d is in use by another program", port),
			Hint: fmt.Sprintf("choose another one with --%s 127.0.0.1:PORT (port 0 lets the system choose), or stop the other program; perhaps a demo is running already", flag)}
	case errors.Is(err, syscall.EACCES):
		return &Refusal{What: fmt.Sprintf("port %d needs a privilege that this process does not have", port),
			Hint: fmt.Sprintf("choose one from 1024 up with --%s 127.0.0.1:PORT", flag)}
	}
	return fmt.Errorf("listen on port %d for --%s: %w", port, flag, err)
}
