package transform

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"
)

// length is the number of bytes, in decimal.
func length(s string) string { return strconv.Itoa(len(s)) }

// md5Sum is the raw digest, 16 bytes.
func md5Sum(s string) string {
	sum := md5.Sum([]byte(s))
	return string(sum[:])
}

// sha1Sum is the raw digest, 20 bytes.
func sha1Sum(s string) string {
	sum := sha1.Sum([]byte(s))
	return string(sum[:])
}

func hexEncode(s string) string { return hex.EncodeToString([]byte(s)) }

// hexDecode decodes a text that is hexadecimal as a whole; as in Coraza, any other stays as it is.
func hexDecode(s string) string {
	if len(s)%2 != 0 {
		return s
	}
	for _, c := range []byte(s) {
		if _, ok := unhex(c); !ok {
			return s
		}
	}
	var out strings.Builder
	out.Grow(len(s) / 2)
	for i := 0; i+1 < len(s); i += 2 {
		high, _ := unhex(s[i])
		low, _ := unhex(s[i+1])
		out.WriteByte(high<<4 | low)
	}
	return out.String()
}

func base64Encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// base64Decode decodes up to the first character that does not belong; line ends are skipped.
func base64Decode(s string) string { return decode64(s, false) }

// base64DecodeExt skips what does not belong, and takes the alphabet of URLs as well; only = ends it.
func base64DecodeExt(s string) string { return decode64(s, true) }

func decode64(s string, forgiving bool) string {
	var out strings.Builder
	out.Grow(len(s) * 3 / 4)
	group, have := uint32(0), 0
	for _, c := range []byte(s) {
		six, ok := sixBits(c, forgiving)
		if !ok {
			if c == '\r' || c == '\n' || forgiving && c != '=' {
				continue
			}
			break
		}
		group = group<<6 | six
		if have++; have == 4 {
			out.WriteByte(byte(group >> 16))
			out.WriteByte(byte(group >> 8))
			out.WriteByte(byte(group))
			group, have = 0, 0
		}
	}
	switch have {
	case 2:
		out.WriteByte(byte(group >> 4))
	case 3:
		out.WriteByte(byte(group >> 10))
		out.WriteByte(byte(group >> 2))
	}
	return out.String()
}

// sixBits is the value of one character of base 64.
func sixBits(c byte, url bool) (uint32, bool) {
	switch {
	case 'A' <= c && c <= 'Z':
		return uint32(c - 'A'), true
	case 'a' <= c && c <= 'z':
		return uint32(c-'a') + 26, true
	case '0' <= c && c <= '9':
		return uint32(c-'0') + 52, true
	case c == '+' || url && c == '-':
		return 62, true
	case c == '/' || url && c == '_':
		return 63, true
	}
	return 0, false
}

// utf8ToUnicode writes each character beyond ASCII as %uHHHH, in at least four small digits. A byte that is no UTF-8 is
// U+FFFD, as in Coraza.
func utf8ToUnicode(s string) string {
	first := next(s, 0, high)
	if first == len(s) {
		return s
	}
	out := make([]byte, first, len(s)*2)
	copy(out, s)
	for _, r := range s[first:] {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
			continue
		}
		out = append(out, '%', 'u')
		for limit := rune(0x1000); r < limit; limit >>= 4 {
			out = append(out, '0')
		}
		out = strconv.AppendUint(out, uint64(r), 16)
	}
	return string(out)
}
