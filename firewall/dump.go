package firewall

import (
	"bytes"
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
func dumpSet(name string) (list []kernelElement, err error) {
	list, err = dump(dumpRequest(unix.NFT_MSG_GETSETELEM, []string{unix.NFTA_SET_ELEM_LIST_TABLE: TableName, unix.NFTA_SET_ELEM_LIST_SET: name}),
		unix.NFT_MSG_NEWSETELEM, appendElements)
	if err != nil {
		return nil, fmt.Errorf("read the set %s: %w", name, err)
	}
	return list, nil
}

// setCount is how many elements a set has, as the kernel counts them.
type setCount struct {
	name  string
	count int
	known bool // older kernels do not tell it
}

// attributeCount is NFTA_SET_COUNT of linux/netfilter/nf_tables.h.
const attributeCount = 20

// countSets asks how many elements each set of our table has. That takes the kernel no walk through them.
func countSets() ([]setCount, error) {
	list, err := dump(dumpRequest(unix.NFT_MSG_GETSET, []string{unix.NFTA_SET_TABLE: TableName}), unix.NFT_MSG_NEWSET,
		func(list []setCount, message []byte) []setCount {
			var one setCount
			attributes(message, func(kind uint16, content []byte) {
				switch {
				case kind == unix.NFTA_SET_NAME:
					one.name = string(bytes.TrimRight(content, "\x00"))
				case kind == attributeCount && len(content) == 4:
					one.count, one.known = int(binary.BigEndian.Uint32(content)), true
				}
			})
			return append(list, one)
		})
	if err != nil {
		return nil, fmt.Errorf("count the sets' elements: %w", err)
	}
	return list, nil
}

// dump asks for a list of what take reads from messages of a kind.
func dump[T any](request []byte, kind uint16, take func([]T, []byte) []T) ([]T, error) {
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
		if err := unix.Sendto(fd, request, 0, kernel); err != nil {
			return nil, err
		}
		list, whole, err := receiveDump(fd, buf, unix.NFNL_SUBSYS_NFTABLES<<8|kind, take)
		if err != nil {
			return nil, err
		}
		if whole {
			return list, nil
		}
	}
	return nil, errors.New("it changed each time while it was read")
}

const (
	messageHead = 16 // struct nlmsghdr
	familyHead  = 4  // struct nfgenmsg
)

// dumpRequest is the message that asks for a list; texts are its attributes, each at its number.
func dumpRequest(message uint16, texts []string) []byte {
	b := make([]byte, messageHead, 128)
	binary.NativeEndian.PutUint16(b[4:], unix.NFNL_SUBSYS_NFTABLES<<8|message)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = append(b, unix.NFPROTO_INET, 0, 0, 0)
	for kind, text := range texts {
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
func receiveDump[T any](fd int, buf []byte, wanted uint16, take func([]T, []byte) []T) (list []T, whole bool, err error) {
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
			case wanted:
				if len(message) >= familyHead {
					list = take(list, message[familyHead:])
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
