package ingest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// stream reads the messages of one connection: LENGTH MESSAGE, or a line each (RFC 6587).
func (s *Syslog) stream(ctx context.Context, c net.Conn, sender netip.Addr) {
	in := bufio.NewReaderSize(c, 16<<10)
	for ctx.Err() == nil {
		_ = c.SetReadDeadline(time.Now().Add(idle)) // a closed connection says so below
		first, err := in.Peek(1)
		if err != nil {
			return
		}
		var text []byte
		var cut bool
		if first[0] >= '1' && first[0] <= '9' {
			text, cut, err = octets(in)
		} else {
			text, cut, err = untilLineEnd(in)
		}
		if err != nil && len(text) == 0 {
			if err == errLength {
				s.count(func(h *Health) { h.Malformed++ })
			}
			return
		}
		if len(text) == 0 || !s.allowed(sender) {
			continue
		}
		select {
		case s.queue <- s.record(sender, string(text), cut): // the sender waits while there is no room
		case <-ctx.Done():
			return
		}
	}
}

// errLength says that a message is longer than anybody sends, so that the frames of the connection are not believed.
var errLength = io.ErrShortBuffer

// octets reads LENGTH MESSAGE. Of a long message the end is left out.
func octets(in *bufio.Reader) (text []byte, cut bool, err error) {
	n := 0
	for {
		c, err := in.ReadByte()
		if err != nil {
			return nil, false, err
		}
		if c == ' ' {
			break
		}
		if c < '0' || c > '9' || n > MaxLine {
			return nil, false, errLength
		}
		n = n*10 + int(c-'0')
	}
	if n > 16*MaxLine {
		return nil, false, errLength
	}
	text = make([]byte, min(n, maxMessage))
	if read, err := io.ReadFull(in, text); err != nil {
		return text[:read], true, err
	}
	_, err = in.Discard(n - len(text))
	return text, n > maxMessage, err
}

// untilLineEnd reads a line. Of a long one the end is left out.
func untilLineEnd(in *bufio.Reader) (text []byte, cut bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		room := maxMessage - len(text)
		text = append(text, part[:min(len(part), room)]...)
		cut = cut || len(part) > room
		if err != bufio.ErrBufferFull {
			return text, cut, err
		}
	}
}

// limiter holds how much each sender may still send.
type limiter struct {
	mu      sync.Mutex
	rate    float64 // messages a second, and twice as many at once
	senders map[netip.Addr]*bucket
	cleared time.Time
}

type bucket struct {
	left float64
	at   time.Time
}

// take says whether sender may send one more.
func (l *limiter) take(sender netip.Addr, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.senders[sender]
	if b == nil {
		if len(l.senders) >= maxSenders {
			if now.Sub(l.cleared) < time.Second { // looking through all of them for each message is what a stranger would like
				return false
			}
			l.cleared = now
			for a, old := range l.senders { // those that were silent for long enough to have it all again
				if now.Sub(old.at) > 2*time.Second {
					delete(l.senders, a)
				}
			}
			if len(l.senders) >= maxSenders {
				return false
			}
		}
		b = &bucket{left: 2 * l.rate, at: now}
		l.senders[sender] = b
	}
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.left = min(2*l.rate, b.left+passed*l.rate)
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
