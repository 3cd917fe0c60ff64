package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The messages of sock_diag(7), of which the package unix has no constants.
const (
	sockDiagByFamily = 20
	sockDestroy      = 21

	diagRequestBytes = 56 // struct inet_diag_req_v2
	diagAnswerBytes  = 72 // struct inet_diag_msg
	diagID           = 8  // where struct inet_diag_sockid begins in a request; 4 in an answer
	diagIDBytes      = 48
)

// closeSockets ends the TCP connections of this host whose other end is banned: both sides are told, and the program behind a
// connection stops working for it at once. A kernel without CONFIG_INET_DIAG_DESTROY gives errors.ErrUnsupported; there the
// connections hang until they time out, because no packet of theirs gets through any more.
func closeSockets(banned func(netip.Addr) bool) (closed int, err error) {
	conn, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return 0, fmt.Errorf("reach the kernel's sockets: %w", err)
	}
	defer conn.Close()
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		found, err := conn.Execute(netlink.Message{
			Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump},
			Data:   diagRequest(family, nil),
		})
		if err != nil {
			return closed, fmt.Errorf("list connections: %w", err)
		}
		for _, m := range found {
			if len(m.Data) < diagAnswerBytes || !banned(remote(m.Data)) {
				continue
			}
			_, err := conn.Execute(netlink.Message{
				Header: netlink.Header{Type: sockDestroy, Flags: netlink.Request | netlink.Acknowledge},
				Data:   diagRequest(m.Data[0], m.Data[4:4+diagIDBytes]),
			})
			switch {
			case err == nil:
				closed++
			case errors.Is(err, unix.EOPNOTSUPP):
				return closed, fmt.Errorf("close connections: %w", errors.ErrUnsupported)
			case !errors.Is(err, unix.ENOENT): // it ended by itself meanwhile
				return closed, fmt.Errorf("close a connection: %w", err)
			}
		}
	}
	return closed, nil
}

// diagRequest asks for all TCP sockets that have another end, or for one of them.
func diagRequest(family byte, id []byte) []byte {
	const listening, timeWait, closed = 1 << 10, 1 << 6, 1 << 7
	b := make([]byte, diagRequestBytes)
	b[0], b[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], ^uint32(listening|timeWait|closed))
	copy(b[diagID:], id)
	return b
}

// remote is the other end of a socket in an answer. A socket for both versions of IP has an IPv4 address in IPv6 form.
func remote(answer []byte) netip.Addr {
	const destination = 4 + 2 + 2 + 16
	if answer[0] == unix.AF_INET {
		return netip.AddrFrom4([4]byte(answer[destination : destination+4]))
	}
	return netip.AddrFrom16([16]byte(answer[destination : destination+16])).Unmap()
}
