package event

import (
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// An id is a UUIDv7 (RFC 9562 5.7) that is never stored as such: 48 bits are the milliseconds of the
// event's time, the next 10 its microseconds (RFC 9562 6.2, method 3) and 62 a tail. The time is stored
// anyway and the tail in 8 bytes, so that an id costs a quarter of its text, and an event is found by its
// id without an index, because the rows stand in the order of time.
const (
	tailBits = 62
	tailMask = 1<<tailBits - 1
	// orderBits are the lowest bits of a tail, a count: they keep events of one microsecond in order.
	orderBits = 20
	orderMask = 1<<orderBits - 1
)

// NewID makes an id for an event of time at, for a caller that must name the event before it is written.
// An id is unique, not secret.
func NewID(at time.Time) string { return formatID(at.UnixMicro(), rand.Int64()&tailMask) }

func formatID(micros, tail int64) string {
	millis, rest := micros/1000, micros%1000
	high := uint64(millis)<<16 | 7<<12 | uint64(rest)<<2
	low := uint64(0b10)<<tailBits | uint64(tail)
	var raw [16]byte
	for i := range 8 {
		raw[i] = byte(high >> (56 - 8*i))
		raw[8+i] = byte(low >> (56 - 8*i))
	}
	var text [36]byte
	hex.Encode(text[0:8], raw[0:4])
	hex.Encode(text[9:13], raw[4:6])
	hex.Encode(text[14:18], raw[6:8])
	hex.Encode(text[19:23], raw[8:10])
	hex.Encode(text[24:36], raw[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// parseID returns the microseconds and the tail of an id of this package.
func parseID(id string) (micros, tail int64, ok bool) {
	u, err := uuid.Parse(id)
	if err != nil || len(id) != 36 || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
		return 0, 0, false
	}
	var high, low uint64
	for i := range 8 {
		high = high<<8 | uint64(u[i])
		low = low<<8 | uint64(u[8+i])
	}
	rest := high >> 2 & 0x3ff
	if high&3 != 0 || rest > 999 {
		return 0, 0, false
	}
	return int64(high>>16)*1000 + int64(rest), int64(low & tailMask), true
}
