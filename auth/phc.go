package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Bounds on a stored hash's parameters. A hash may come from another system's export, so whoever wrote it
// must not be able to choose a cost that takes this server's memory or minutes of its time.
const (
	MaxMemoryKiB   = 256 << 10 // 256 MiB
	MaxTime        = 16        // passes
	MaxParallelism = 16        // lanes

	minMemoryKiB = 64 // below this argon2 is no password hash; it is low for tests only
	saltBytes    = 16
	keyBytes     = 32
	maxPHC       = 512 // longer than any string within the bounds
)

// PHC is an argon2id hash with its parameters, as one string of the PHC format
// (https://github.com/P-H-C/phc-string-format): $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH.
type PHC struct {
	MemoryKiB   uint32
	Time        uint32
	Parallelism uint8
	Salt        []byte // 8 to 64 bytes
	Hash        []byte // 16 to 64 bytes
}

// ParsePHC reads an argon2id PHC string, version 19. It accepts exactly what String writes, so every hash has one
// spelling; parameters outside the bounds of this package are an error. The error never contains the
// hash.
func ParsePHC(s string) (PHC, error) {
	if len(s) > maxPHC {
		return PHC{}, fmt.Errorf("parse password hash: longer than %d bytes", maxPHC)
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" {
		return PHC{}, fmt.Errorf("parse password hash: want five fields, each after a $")
	}
	if parts[1] != "argon2id" {
		return PHC{}, fmt.Errorf("parse password hash: only argon2id is known")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return PHC{}, fmt.Errorf("parse password hash: only version %d of argon2id is known", argon2.Version)
	}
	var p PHC
	if err := p.parseCost(parts[3]); err != nil {
		return PHC{}, fmt.Errorf("parse password hash: %w", err)
	}
	var err error
	if p.Salt, err = parsePart(parts[4], 8, 64); err != nil {
		return PHC{}, fmt.Errorf("parse password hash: salt: %w", err)
	}
	if p.Hash, err = parsePart(parts[5], 16, 64); err != nil {
		return PHC{}, fmt.Errorf("parse password hash: hash: %w", err)
	}
	return p, nil
}

func (p *PHC) parseCost(s string) error {
	costs := strings.Split(s, ",")
	if len(costs) != 3 {
		return fmt.Errorf("want the parameters m, t and p")
	}
	var values [3]uint64
	for i, want := range []struct {
		name      string
		low, high uint64
	}{{"m", minMemoryKiB, MaxMemoryKiB}, {"t", 1, MaxTime}, {"p", 1, MaxParallelism}} {
		number, found := strings.CutPrefix(costs[i], want.name+"=")
		value, err := strconv.ParseUint(number, 10, 32)
		// The second spelling of a number (+1, 01) would be a second spelling of the hash.
		if !found || err != nil || strconv.FormatUint(value, 10) != number {
			return fmt.Errorf("parameter %d is not %s=NUMBER", i+1, want.name)
		}
		if value < want.low || value > want.high {
			return fmt.Errorf("%s=%d is not between %d and %d", want.name, value, want.low, want.high)
		}
		values[i] = value
	}
	if values[0] < 8*values[2] {
		return fmt.Errorf("m=%d is less than 8 KiB for each of %d lanes", values[0], values[2])
	}
	p.MemoryKiB, p.Time, p.Parallelism = uint32(values[0]), uint32(values[1]), uint8(values[2])
	return nil
}

func parsePart(s string, low, high int) ([]byte, error) {
	// Strict refuses set bits after the last byte, but not line breaks.
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("not base64 without padding")
	}
	if len(b) < low || len(b) > high {
		return nil, fmt.Errorf("%d bytes, not between %d and %d", len(b), low, high)
	}
	return b, nil
}

// String writes the hash in PHC format. It is a secret: an attacker who has it can guess without being seen.
func (p PHC) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Time, p.Parallelism,
		base64.RawStdEncoding.EncodeToString(p.Salt), base64.RawStdEncoding.EncodeToString(p.Hash))
}

// matches computes the hash of the password with p's parameters and compares it in constant time.
func (p PHC) matches(password []byte) bool {
	got := argon2.IDKey(password, p.Salt, p.Time, p.MemoryKiB, p.Parallelism, uint32(len(p.Hash)))
	return subtle.ConstantTimeCompare(got, p.Hash) == 1
}

// sameCost tells whether p was made with the parameters that c asks for.
func (p PHC) sameCost(c HashConfig) bool {
	return p.MemoryKiB == c.MemoryKiB && p.Time == c.Time && p.Parallelism == c.Parallelism &&
		len(p.Hash) == keyBytes && len(p.Salt) == saltBytes
}

// newPHC hashes the password with a fresh salt.
func newPHC(password []byte, c HashConfig) PHC {
	p := PHC{MemoryKiB: c.MemoryKiB, Time: c.Time, Parallelism: c.Parallelism, Salt: make([]byte, saltBytes)}
	_, _ = rand.Read(p.Salt) // never fails: crypto/rand ends the program instead
	p.Hash = argon2.IDKey(password, p.Salt, p.Time, p.MemoryKiB, p.Parallelism, keyBytes)
	return p
}

// dummyPHC is what a password is checked against when there is no account: the same work, and no password
// has this hash, since nobody knows one of all zeros.
func dummyPHC(c HashConfig) PHC {
	return PHC{MemoryKiB: c.MemoryKiB, Time: c.Time, Parallelism: c.Parallelism,
		Salt: make([]byte, saltBytes), Hash: make([]byte, keyBytes)}
}
