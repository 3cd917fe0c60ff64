package detect

import (
	"net/netip"
	"strings"
)

// Caps on what is read and kept of a message for its signature.
const (
	maxSigned    = 1000 // bytes of the message
	maxSignature = 200  // bytes of the signature
)

// Signature is a message without what changes from one time to the next: quoted texts, addresses, paths, URLs, hexadecimal words and numbers
// are folded into placeholders, so that one mistake of a program has one signature (D-21). It reads at most 1,000 bytes and returns at
// most 200.
func Signature(message string) string {
	if len(message) > maxSigned {
		message = strings.ToValidUTF8(message[:maxSigned], "")
	}
	var b strings.Builder
	for len(message) > 0 && b.Len() < maxSignature {
		c := message[0]
		switch {
		case isSpace(c):
			message = strings.TrimLeft(message, " \t\r\n\v\f")
			if b.Len() > 0 && message != "" {
				b.WriteByte(' ')
			}
			continue
		case strings.IndexByte("\"'`", c) >= 0:
			if end := strings.IndexByte(message[1:], closing(c)); end >= 0 {
				b.WriteString("<text>")
				message = message[end+2:]
				continue
			}
		}
		n := wordLength(message)
		b.WriteString(foldWord(message[:n]))
		message = message[n:]
	}
	text := b.String()
	if len(text) > maxSignature {
		text = text[:maxSignature]
	}
	return strings.ToValidUTF8(text, "")
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// closing is the quotation mark that ends what c began: some programs write `so'.
func closing(c byte) byte {
	if c == '`' {
		return '\''
	}
	return c
}

// wordLength is how long the word at the beginning is, at least one byte. An apostrophe within a word belongs to it.
func wordLength(s string) int {
	url := false
	for i := range len(s) {
		c := s[i]
		if isSpace(c) || strings.IndexByte("\"`()[]{}<>|", c) >= 0 || !url && strings.IndexByte(",;=", c) >= 0 {
			return max(i, 1)
		}
		url = url || c == ':' && strings.HasPrefix(s[i:], "://")
	}
	return len(s)
}

// foldWord is the placeholder of a word that changes from one time to the next, or the word with its numbers folded.
func foldWord(word string) string {
	core := strings.TrimRight(word, ".:!?'")
	tail := word[len(core):]
	switch {
	case core == "":
		return word
	case strings.Contains(core, "://"):
		return "<url>" + tail
	case isAddress(core):
		return "<address>" + tail
	case len(core) > 1 && core[0] == '/', strings.Count(core, "/") > 1, strings.Contains(core, `\`):
		return "<path>" + tail
	case strings.Contains(core, "@"):
		return "<mail>" + tail
	case isHex(core):
		return "<hex>" + tail
	}
	return foldNumbers(core) + tail
}

func isAddress(word string) bool {
	if strings.IndexByte(word, '.') < 0 && strings.Count(word, ":") < 2 {
		return false
	}
	if _, err := netip.ParseAddr(word); err == nil {
		return true
	}
	_, err := netip.ParseAddrPort(word)
	return err == nil
}

// isHex tells words such as 0x7f3a, 7f3a9c01d2 and a UUID. A word of letters alone is none: it may be English.
func isHex(word string) bool {
	if rest, found := strings.CutPrefix(word, "0x"); found && rest != "" {
		return strings.Trim(rest, "0123456789abcdefABCDEF") == ""
	}
	digits := 0
	for i := range len(word) {
		switch c := word[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F', c == '-' && i > 0:
		default:
			return false
		}
	}
	return digits > 0 && digits < len(word) && len(word) >= 8
}

func foldNumbers(word string) string {
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		if c := word[i]; c < '0' || c > '9' {
			b.WriteByte(c)
			continue
		}
		for i+1 < len(word) && (word[i+1] >= '0' && word[i+1] <= '9' || word[i+1] == '.' && i+2 < len(word) && word[i+2] >= '0' && word[i+2] <= '9') {
			i++
		}
		b.WriteString("<n>")
	}
	return b.String()
}
