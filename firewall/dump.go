package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// kernelElement is an element of a set as the kernel tells it.
type kernelElement struct {
	key     []byte
	timeout uint64 // milliseconds; 0: for good
	expires uint64 // milliseconds that are left
}

// dumpSet reads all elements of a set of our table. The library's way asks in small pieces, and the kernel walks the whole set from
// its beginning for each: of 100,000 elements that is the most of a second. Here the pieces are as large as the kernel makes them.
func dumpSet(name string) ([]kernelElement, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("reach the kernel's firewall: %w", err)
	}
	defer unix.Close(fd)
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := errors.Join(unix.Bind(fd, kernel), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})); err != nil {
		return nil, fmt.Errorf("reach the kernel's firewall: %w", err)
	}
	buf := make([]byte, 256<<10)
	const tries = 5
	for range tries {
		if err := unix.Sendto(fd, dumpRequest(name), 0, kernel); err != nil {
			return nil, fmt.Errorf("read the set %s: %w", name, err)
		}
		list, whole, err := receiveDump(fd, buf)
		if err != nil {
			return nil, fmt.Errorf("read the set %s: %w", name, err)
		}
		if whole {
			return list, nil
		}
	}
	return nil, fmt.Errorf("read the set %s: it changed each time while it was read", name)
}

const (
	messageHead = 16 // struct nlmsghdr
	familyHead  = 4  // struct nfgenmsg
)

// dumpRequest is the message that asks for all elements of a set.
func dumpRequest(name string) []byte {
	b := make([]byte, messageHead, 128)
	binary.NativeEndian.PutUint16(b[4:], unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETSETELEM)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = append(b, unix.NFPROTO_INET, 0, 0, 0)
	for kind, text := range []string{unix.NFTA_SET_ELEM_LIST_TABLE: TableName, unix.NFTA_SET_ELEM_LIST_SET: name} {
		if text == "" {
			continue
		}
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(text)+1))
		b = binary.NativeEndian.AppendUint16(b, uint16(kind))
		b = append(b, text...)
		b = append(b, make([]byte, 1+(4-(len(text)+1)%4)%4)...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// receiveDump reads the answers; whole is false when the set changed meanwhile, so that elements may be missing.
func receiveDump(fd int, buf []byte) (list []kernelElement, whole bool, err error) {
	whole = true
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		for rest := buf[:n]; len(rest) >= messageHead; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < messageHead || size > len(rest) {
				return nil, false, errors.New("an answer that is cut off")
			}
			message := rest[messageHead:size]
			kind, flags := binary.NativeEndian.Uint16(rest[4:]), binary.NativeEndian.Uint16(rest[6:])
			whole = whole && flags&unix.NLM_F_DUMP_INTR == 0
			switch kind {
			case unix.NLMSG_DONE:
				return list, whole, nil
			case unix.NLMSG_ERROR:
				if len(message) >= 4 {
					return nil, false, unix.Errno(-int32(binary.NativeEndian.Uint32(message)))
				}
				return nil, false, errors.New("an error without a number")
			case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM:
				if len(message) >= familyHead {
					list = appendElements(list, message[familyHead:])
				}
			}
			rest = rest[min(align(size), len(rest)):]
		}
	}
}

func align(n int) int { return (n + 3) &^ 3 }

// attributes walks along netlink's attributes and calls f with the type and content of each.
func attributes(b []byte, f func(kind uint16, content []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:size])
		b = b[min(align(size), len(b)):]
	}
}

// appendElements reads the elements of one message.
func appendElements(list []kernelElement, message []byte) []kernelElement {
	attributes(message, func(kind uint16, all []byte) {
		if kind != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return
		}
		attributes(all, func(_ uint16, one []byte) {
			var e kernelElement
			attributes(one, func(kind uint16, content []byte) {
				switch {
				case kind == unix.NFTA_SET_ELEM_KEY:
					attributes(content, func(_ uint16, key []byte) { e.key = append([]byte(nil), key...) })
				case kind == unix.NFTA_SET_ELEM_TIMEOUT && len(content) == 8:
					e.timeout = binary.BigEndian.Uint64(content)
				case kind == unix.NFTA_SET_ELEM_EXPIRATION && len(content) == 8:
					e.expires = binary.BigEndian.Uint64(content)
				}
			})
			list = append(list, e)
		})
	})
	return list
}
