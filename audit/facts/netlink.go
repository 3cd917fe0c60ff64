package facts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxNetlink  = 32 << 20 // bytes of one dump
	netlinkWait = 2 * time.Second
)

// netlinkDump asks the kernel for a list and calls each with the body of every message. body is what follows the
// header of the question.
func netlinkDump(family int, kind uint16, body []byte, each func(kind uint16, body []byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	wait := unix.NsecToTimeval(int64(netlinkWait))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return err
	}
	question := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	binary.NativeEndian.PutUint32(question, uint32(unix.NLMSG_HDRLEN+len(body)))
	binary.NativeEndian.PutUint16(question[4:], kind)
	binary.NativeEndian.PutUint16(question[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(fd, append(question, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for read := 0; ; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if read += n; read > maxNetlink {
			return fmt.Errorf("the kernel's list is longer than %d MiB", maxNetlink>>20)
		}
		done, err := netlinkMessages(buf[:n], each)
		if done || err != nil {
			return err
		}
	}
}

// netlinkMessages takes apart what one read gave.
func netlinkMessages(b []byte, each func(kind uint16, body []byte)) (done bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		length, kind := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return true, errors.New("the kernel's answer is torn")
		}
		body := b[unix.NLMSG_HDRLEN:length]
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
					return true, unix.Errno(-code)
				}
			}
			return true, nil
		}
		each(kind, body)
		b = b[min(len(b), (length+3)&^3):]
	}
	return false, nil
}

// netlinkAttributes calls each for every attribute.
func netlinkAttributes(b []byte, each func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		length := int(binary.NativeEndian.Uint16(b))
		if length < 4 || length > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:length])
		b = b[min(len(b), (length+3)&^3):]
	}
}
