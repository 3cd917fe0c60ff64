package facts

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const maxSockets = 20_000 // that listen

// socket is one that waits for whoever comes.
type socket struct {
	protocol string // tcp or udp
	addr     netip.AddrPort
	only6    bool // an IPv6 socket that takes no IPv4
	uid      uint32
	inode    uint64
}

// v4 and v6 say from where the socket can be reached at all.
func (s socket) v4() bool {
	return s.addr.Addr().Unmap().Is4() || s.addr.Addr() == netip.IPv6Unspecified() && !s.only6
}
func (s socket) v6() bool { return !s.addr.Addr().Unmap().Is4() }

// outer says whether the address is more than the host's own loopback.
func (s socket) outer() bool { return !s.addr.Addr().Unmap().IsLoopback() }

// readSockets lists the sockets that listen: by netlink, which tells apart IPv6 sockets that take IPv4, or else by
// /proc/net, where all of them count as such.
func readSockets(h *Host) ([]socket, error) {
	all, err := diagSockets()
	if err == nil {
		return all, nil
	}
	all = nil
	for _, p := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := h.ReadFile("/proc/net/" + p)
		if errors.Is(err, fs.ErrNotExist) { // no IPv6
			continue
		}
		if err != nil {
			return nil, err
		}
		some, err := procSockets(strings.TrimSuffix(p, "6"), text)
		if err != nil {
			return nil, fmt.Errorf("/proc/net/%s: %w", p, err)
		}
		all = append(all, some...)
	}
	if len(all) > maxSockets {
		return nil, fmt.Errorf("more than %d sockets listen", maxSockets)
	}
	return all, nil
}

const (
	tcpListen = 10 // the state of a TCP socket that listens
	udpOpen   = 7  // and of a UDP socket that is connected to nobody

	sockDiagByFamily = 20
	inetDiagV6Only   = 11
	inetDiagLen      = 72 // of struct inet_diag_msg
)

func diagSockets() ([]socket, error) {
	var all []socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for protocol, state := range map[uint8]uint32{unix.IPPROTO_TCP: tcpListen, unix.IPPROTO_UDP: udpOpen} {
			question := make([]byte, 56) // struct inet_diag_req_v2
			question[0], question[1] = family, protocol
			binary.NativeEndian.PutUint32(question[4:], 1<<state)
			name := "tcp"
			if protocol == unix.IPPROTO_UDP {
				name = "udp"
			}
			err := netlinkDump(unix.NETLINK_SOCK_DIAG, sockDiagByFamily, question, func(_ uint16, body []byte) {
				if s, ok := diagSocket(name, body); ok && len(all) <= maxSockets {
					all = append(all, s)
				}
			})
			if err != nil {
				return nil, err
			}
		}
	}
	if len(all) > maxSockets {
		return nil, fmt.Errorf("more than %d sockets listen", maxSockets)
	}
	return all, nil
}

func diagSocket(protocol string, b []byte) (socket, bool) {
	if len(b) < inetDiagLen {
		return socket{}, false
	}
	var a netip.Addr
	if b[0] == unix.AF_INET {
		a = netip.AddrFrom4([4]byte(b[8:12]))
	} else {
		a = netip.AddrFrom16([16]byte(b[8:24]))
	}
	s := socket{protocol: protocol, addr: netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[4:])),
		uid: binary.NativeEndian.Uint32(b[64:]), inode: uint64(binary.NativeEndian.Uint32(b[68:]))}
	netlinkAttributes(b[inetDiagLen:], func(kind uint16, value []byte) {
		if kind == inetDiagV6Only && len(value) > 0 {
			s.only6 = value[0] == 1
		}
	})
	return s, s.addr.Port() != 0
}

// procSockets reads a file of /proc/net.
func procSockets(protocol string, text []byte) ([]socket, error) {
	state := "0A"
	if protocol == "udp" {
		state = "07"
	}
	var all []socket
	for line := range strings.Lines(string(text)) {
		w := strings.Fields(line)
		if len(w) < 10 || w[3] != state {
			continue
		}
		addr, ok := procAddr(w[1])
		uid, err1 := strconv.ParseUint(w[7], 10, 32)
		inode, err2 := strconv.ParseUint(w[9], 10, 64)
		if !ok || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("the line %q is no socket", strings.TrimSpace(line))
		}
		if len(all) > maxSockets {
			return nil, fmt.Errorf("more than %d sockets listen", maxSockets)
		}
		if addr.Port() != 0 {
			all = append(all, socket{protocol: protocol, addr: addr, uid: uint32(uid), inode: inode})
		}
	}
	return all, nil
}

// procAddr reads 0100007F:0050: words of four bytes in the machine's order.
func procAddr(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, uint16(n)), true
}
