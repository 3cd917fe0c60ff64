package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxInput is how many characters a name, an e-mail address or a password may have. Longer ones never
// match; nothing is cut off to make it fit (ASVS 6.2.9 asks for at least 64).
const maxInput = 256

// fold makes the key under which a name or an e-mail address is stored and looked up, so that ZOË, zoë and
// the spelling with a combining mark are one account: compatibility composition (NFKC) and case folding,
// repeated until stable, because folding can undo the composition.
func fold(s string) string {
	for range 4 {
		next := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
		if next == s {
			break
		}
		s = next
	}
	return s
}

// usable tells whether the input can be looked up at all: not empty, not too long, valid UTF-8 and without
// characters that a person cannot see (control, format, unassigned, line separators). PostgreSQL refuses NUL and
// invalid UTF-8 where SQLite stores them, and a name with a line break would forge lines in every log it reaches.
func usable(s string) bool {
	if s == "" || !short(s) || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) {
			return false
		}
	}
	return true
}

// short tells whether the input has no more characters than allowed. Bytes that are not UTF-8 count as one each.
func short(s string) bool {
	return len(s) <= utf8.UTFMax*maxInput && utf8.RuneCountInString(s) <= maxInput
}

// loginKey reads what was typed into the name field. It is looked up as an e-mail address if it contains an
// @, else as a name; ok is false for what can be neither. Two @ are never an e-mail address: where one
// program reads the part after the first and another the part after the last, one person becomes another.
func loginKey(login string) (key string, email, ok bool) {
	if !short(login) {
		return "", false, false
	}
	if login = strings.TrimSpace(login); !usable(login) {
		return "", false, false
	}
	key = fold(login)
	if strings.ContainsRune(key, '@') {
		return key, true, validEmail(key)
	}
	return key, false, true
}

// validName tells whether a new account may be called this: letters, marks, digits and . _ - +, beginning
// with a letter or digit. No @, so that a name is never mistaken for an e-mail address; no space, colon
// or quote, because names travel in headers, log lines and command lines.
func validName(name string) bool {
	if !usable(name) || !short(fold(name)) {
		return false
	}
	for i, r := range fold(name) {
		letter := unicode.IsLetter(r) || unicode.IsDigit(r)
		if !letter && (i == 0 || !unicode.IsMark(r) && !strings.ContainsRune("._-+", r)) {
			return false
		}
	}
	return true
}

// validEmail tells whether the address can be an account's: exactly one @ with something on both sides,
// nothing invisible, no space, quote, comma or angle bracket (which would need RFC 5322 quoting), no more than
// 254 bytes (RFC 5321 4.5.3.1.3).
func validEmail(address string) bool {
	if !usable(address) || len(address) > 254 {
		return false
	}
	local, domain, _ := strings.Cut(fold(address), "@")
	if local == "" || domain == "" || strings.ContainsRune(domain, '@') {
		return false
	}
	return !strings.ContainsFunc(local+domain, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsGraphic(r) || strings.ContainsRune(`",;:<>()[]\`, r)
	})
}

// preparePassword makes the bytes that are hashed: NFKC, so that the same password typed on another
// keyboard or system is the same (NIST SP 800-63B 3.1.1.2). ok is false for what cannot be a password here:
// empty, longer than 256 characters, not UTF-8.
func preparePassword(password string) (prepared []byte, ok bool) {
	// Composing takes several characters for one; sixteen bytes each is more than any composition needs.
	if password == "" || len(password) > 16*maxInput || !utf8.ValidString(password) {
		return nil, false
	}
	if password = norm.NFKC.String(password); !short(password) {
		return nil, false
	}
	return []byte(password), true
}
