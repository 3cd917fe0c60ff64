package facts

import (
	"crypto/md5" // to recognise passwords that are hashed by it
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strconv"
	"strings"
)

// cryptAlphabet is the base 64 of crypt(3).
const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// crypt64 writes the n lowest groups of six bits of v, least first.
func crypt64(out *strings.Builder, v uint, n int) {
	for range n {
		out.WriteByte(cryptAlphabet[v&63])
		v >>= 6
	}
}

// shaCrypt is a password hashed by sha256crypt or sha512crypt, as Ulrich Drepper's specification "Unix crypt using SHA-256
// and SHA-512" has it.
type shaCrypt struct {
	long   bool // SHA-512
	rounds int
	salt   string
	digest string // in crypt64
}

func readSHACrypt(text string) (shaCrypt, bool) {
	c := shaCrypt{long: strings.HasPrefix(text, "$6$"), rounds: 5000}
	parts := strings.Split(text, "$")
	if len(parts) == 5 {
		n, ok := strings.CutPrefix(parts[2], "rounds=")
		rounds, err := strconv.Atoi(n)
		if !ok || err != nil {
			return c, false
		}
		c.rounds = max(1000, rounds)
		parts = append(parts[:2], parts[3:]...)
	}
	if len(parts) != 4 || len(parts[2]) > 16 {
		return c, false
	}
	c.salt, c.digest = parts[2], parts[3]
	return c, true
}

// compute hashes a password as c was.
func (c shaCrypt) compute(password string) string {
	sum := sha256.New
	if c.long {
		sum = sha512.New
	}
	p, s := []byte(password), []byte(c.salt)
	digest := func(parts ...[]byte) []byte {
		h := sum()
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	b := digest(p, s, p)
	h := sum()
	h.Write(p)
	h.Write(s)
	h.Write(stretch(b, len(p)))
	for n := len(p); n > 0; n >>= 1 {
		if n&1 == 1 {
			h.Write(b)
		} else {
			h.Write(p)
		}
	}
	a := h.Sum(nil)
	pp := stretch(digest(repeat(p, len(p))), len(p))
	ss := stretch(digest(repeat(s, 16+int(a[0]))), len(s))
	h = sum()
	for i := range c.rounds {
		h.Reset()
		roundOf(h, i, a, pp, ss)
		a = h.Sum(a[:0])
	}
	return c.encode(a)
}

// roundOf writes what one round of sha256crypt, sha512crypt or md5crypt hashes.
func roundOf(h hash.Hash, i int, a, p, s []byte) {
	first, last := a, p
	if i%2 == 1 {
		first, last = p, a
	}
	h.Write(first)
	if i%3 != 0 {
		h.Write(s)
	}
	if i%7 != 0 {
		h.Write(p)
	}
	h.Write(last)
}

// encode writes the digest with its bytes in the order of the specification: three columns, whose turn moves on.
func (c shaCrypt) encode(a []byte) string {
	var out strings.Builder
	third, move := len(a)/3, 1 // 21 of 64 bytes, 10 of 32
	if !c.long {
		move = 2
	}
	for i := range third {
		x := [3]int{i, i + third, i + 2*third}
		turn := i * move % 3
		crypt64(&out, uint(a[x[turn]])<<16|uint(a[x[(turn+1)%3]])<<8|uint(a[x[(turn+2)%3]]), 4)
	}
	if c.long {
		crypt64(&out, uint(a[63]), 2)
	} else {
		crypt64(&out, uint(a[31])<<8|uint(a[30]), 3)
	}
	return out.String()
}

// stretch is the first n bytes of b repeated.
func stretch(b []byte, n int) []byte {
	out := make([]byte, 0, n+len(b))
	for len(out) < n {
		out = append(out, b...)
	}
	return out[:n]
}

// repeat is b, n times.
func repeat(b []byte, n int) []byte { return stretch(b, n*len(b)) }

// md5Crypt hashes a password as the hash given was: by the algorithm of FreeBSD's crypt of 1994.
func md5Crypt(password, like string) string {
	salt, _, _ := strings.Cut(strings.TrimPrefix(like, "$1$"), "$")
	p, s := []byte(password), []byte(salt[:min(len(salt), 8)])
	sum := func(parts ...[]byte) []byte {
		h := md5.New()
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	h := md5.New()
	h.Write(p)
	h.Write([]byte("$1$"))
	h.Write(s)
	h.Write(stretch(sum(p, s, p), len(p)))
	for n := len(p); n > 0; n >>= 1 {
		if n&1 == 1 {
			h.Write([]byte{0})
		} else {
			h.Write(p[:1])
		}
	}
	a := h.Sum(nil)
	for i := range 1000 {
		h.Reset()
		roundOf(h, i, a, p, s)
		a = h.Sum(a[:0])
	}
	var out strings.Builder
	out.WriteString("$1$" + string(s) + "$")
	for _, x := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		crypt64(&out, uint(a[x[0]])<<16|uint(a[x[1]])<<8|uint(a[x[2]]), 4)
	}
	crypt64(&out, uint(a[11]), 2)
	return out.String()
}
