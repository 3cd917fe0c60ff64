package facts

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Versions of the protocol as they stand in its messages.
const (
	ssl3  = 0x0300
	tls10 = 0x0301
	tls11 = 0x0302
	tls12 = 0x0303
	tls13 = 0x0304
)

const maxHandshake = 256 << 10 // bytes of a server's answer to one ClientHello, certificates with it

// errRefused says that the server answered and does not want what was offered.
var errRefused = errors.New("refused")

// errNoTLS says that what answers does not speak TLS.
var errNoTLS = errors.New("it does not speak TLS")

// offer is what a ClientHello offers.
type offer struct {
	version  uint16
	suites   []suite
	name     string // for the server name; empty sends none
	compress bool   // offers DEFLATE beside no compression
}

// answer is what the server chose, and, up to TLS 1.2, what it showed in the clear.
type answer struct {
	version     uint16
	suite       uint16
	compression uint8
	secure      bool     // it knows secure renegotiation (RFC 5746)
	chain       [][]byte // certificates, DER
	dhBits      int      // of the group of a DHE suite
}

// signatures are what a client of those days and of today can verify. RSA and DSA with SHA-1 are among them.
func signatures() []uint16 {
	return []uint16{0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601,
		0x0402, 0x0303, 0x0301, 0x0203, 0x0201, 0x0202, 0x0101}
}

// hello builds the record with the ClientHello (RFC 8446, section 4.1.2; RFC 5246, section 7.4.1.2; RFC 6101 for SSL 3.0,
// which has no extensions).
func (o offer) hello() ([]byte, error) {
	random := make([]byte, 64)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddUint8(22)
	b.AddUint16(min(o.version, tls10))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(1)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(min(o.version, tls12))
			b.AddBytes(random[:32])
			b.AddUint8LengthPrefixed(func(*cryptobyte.Builder) {})
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, s := range o.suites {
					b.AddUint16(s.id)
				}
				if o.version == ssl3 {
					b.AddUint16(0x00ff) // stands for the extension of RFC 5746
				}
			})
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
				if o.compress {
					b.AddUint8(1)
				}
				b.AddUint8(0)
			})
			if o.version > ssl3 {
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { o.extensions(b, random[32:]) })
			}
		})
	})
	return b.Bytes()
}

func (o offer) extensions(b *cryptobyte.Builder, key []byte) {
	extension := func(kind uint16, fill func(b *cryptobyte.Builder)) {
		b.AddUint16(kind)
		b.AddUint16LengthPrefixed(fill)
	}
	list := func(values []uint16) func(b *cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, v := range values {
					b.AddUint16(v)
				}
			})
		}
	}
	if _, err := netip.ParseAddr(o.name); err != nil && o.name != "" { // addresses are not allowed here (RFC 6066)
		extension(0, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(o.name)) })
			})
		})
	}
	extension(10, list([]uint16{29, 23, 24, 25, 256, 257, 258})) // groups: X25519, P-256, P-384, P-521, ffdhe2048 to 4096
	extension(11, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0}) })
	if o.version >= tls12 {
		extension(13, list(signatures()))
	}
	if o.version < tls13 {
		extension(0xff01, func(b *cryptobyte.Builder) { b.AddUint8(0) })
		return
	}
	extension(43, func(b *cryptobyte.Builder) { b.AddBytes([]byte{2, 3, 4}) })
	// Any 32 bytes are a key of X25519; the exchange ends at the server's answer.
	extension(51, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(29)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(key) })
		})
	})
}

// ask sends the offer and reads the answer: as far as the ServerHello, or, with all, as far as the server speaks in the
// clear. errRefused and errNoTLS are answers too; any other error says nothing about the server.
func (o offer) ask(conn net.Conn, all bool) (answer, error) {
	message, err := o.hello()
	if err != nil {
		return answer{}, err
	}
	if err := conn.SetDeadline(time.Now().Add(probeTime)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(message); err != nil {
		return answer{}, err
	}
	a, err := readAnswer(conn, all && o.version < tls13)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errNoTLS) {
		// An alert, the end of the connection or its reset: servers say no in each of these ways.
		return a, fmt.Errorf("%w: %s", errRefused, err)
	}
	if err == nil && !slices.ContainsFunc(o.suites, func(s suite) bool { return s.id == a.suite }) {
		return a, fmt.Errorf("%w: it chose what was not offered", errRefused)
	}
	return a, err
}

// readAnswer reads a server's first flight.
func readAnswer(r io.Reader, all bool) (answer, error) {
	var a answer
	var buffer []byte
	seen := false
	for total := 0; total < maxHandshake; {
		kind, part, err := readRecord(r)
		if err != nil {
			return a, err
		}
		total += len(part) + 5
		if kind != 22 {
			return a, fmt.Errorf("a record of type %d", kind)
		}
		buffer = append(buffer, part...)
		for len(buffer) >= 4 {
			n := 4 + int(binary.BigEndian.Uint32([]byte{0, buffer[1], buffer[2], buffer[3]}))
			if len(buffer) < n {
				break
			}
			kind, body := buffer[0], buffer[4:n]
			buffer = buffer[n:]
			if !seen && kind != 2 {
				return a, errors.New("the first message is no ServerHello")
			}
			seen = true
			if !a.take(kind, body) {
				return a, errors.New("a message that cannot be read")
			}
			if kind == 14 || kind == 2 && !all {
				return a, nil
			}
		}
	}
	return a, errors.New("too long an answer")
}

// readRecord returns the next record's type and content. An alert is an error.
func readRecord(r io.Reader) (uint8, []byte, error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint16(header[3:]))
	if header[1] != 3 || header[0] < 20 || header[0] > 23 || n == 0 || n > 16384+2048 {
		return 0, nil, errNoTLS
	}
	content := make([]byte, n)
	if _, err := io.ReadFull(r, content); err != nil {
		return 0, nil, err
	}
	if header[0] == 21 {
		return 0, nil, fmt.Errorf("alert %d", content[len(content)-1])
	}
	return header[0], content, nil
}

// take reads one message of the handshake; those that say nothing to us are skipped.
func (a *answer) take(kind uint8, body []byte) bool {
	s := cryptobyte.String(body)
	switch kind {
	case 2:
		return a.takeHello(s)
	case 11:
		var list, one cryptobyte.String
		if !s.ReadUint24LengthPrefixed(&list) {
			return false
		}
		for !list.Empty() {
			if !list.ReadUint24LengthPrefixed(&one) {
				return false
			}
			a.chain = append(a.chain, slices.Clone(one))
		}
	case 12:
		var prime cryptobyte.String
		if name := nameOf(a.suite); strings.HasPrefix(name, "DHE-") || strings.Contains(name, "ADH-") {
			if !s.ReadUint16LengthPrefixed(&prime) {
				return false
			}
			a.dhBits = len(bytes.TrimLeft(prime, "\x00")) * 8
		}
	}
	return true
}

func (a *answer) takeHello(s cryptobyte.String) bool {
	var session, extensions, value cryptobyte.String
	if !s.ReadUint16(&a.version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16(&a.suite) || !s.ReadUint8(&a.compression) {
		return false
	}
	if s.Empty() {
		return true
	}
	if !s.ReadUint16LengthPrefixed(&extensions) {
		return false
	}
	for !extensions.Empty() {
		var kind uint16
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&value) {
			return false
		}
		switch kind {
		case 43:
			if !value.ReadUint16(&a.version) {
				return false
			}
		case 0xff01:
			a.secure = true
		}
	}
	return true
}

// nameOf is the suite's name; empty when it is not known.
func nameOf(id uint16) string {
	for _, s := range suites() {
		if s.id == id {
			return s.name
		}
	}
	return ""
}
