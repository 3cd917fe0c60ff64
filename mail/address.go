package mail

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// parseAddress reads one bare address (local@domain) into the form in which it goes to a mail server.
//
// A domain outside ASCII is turned into its ASCII form (IDNA, RFC 5891), which every server takes. A local part
// outside ASCII is refused: it would need SMTPUTF8 (RFC 6531) at every server on the way, and where one lacks it the
// link would be lost without a word. So are quoted local parts and address literals, which nobody has, but which can
// hold spaces, commas and second addresses.
func parseAddress(text string) (string, error) {
	// Two @ are never an address: programs differ in which one they split at.
	local, domain, _ := strings.Cut(text, "@")
	if strings.Count(text, "@") != 1 || len(text) > 254 {
		return "", errors.New("is not one e-mail address")
	}
	for _, r := range local {
		if r >= utf8.RuneSelf {
			return "", errors.New("has letters outside ASCII before the @, which not every mail server delivers")
		}
	}
	if !validLocal(local) {
		return "", errors.New("is not one e-mail address")
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !validDomain(strings.ToLower(ascii)) || len(local)+1+len(ascii) > 254 {
		return "", errors.New("has no usable domain after the @")
	}
	return local + "@" + strings.ToLower(ascii), nil
}

// validLocal takes a dot-atom (RFC 5322 3.2.3) of at most 64 characters.
func validLocal(local string) bool {
	if local == "" || len(local) > 64 || local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return false
	}
	for _, r := range local {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
			return false
		}
	}
	return true
}

// parseMailbox reads the configuration's `Name <address>` or bare address.
func parseMailbox(text string) (netmail.Address, error) {
	parsed, err := netmail.ParseAddress(text)
	if err != nil {
		return netmail.Address{}, fmt.Errorf("%q is not one e-mail address, with or without a name before <...>", text)
	}
	address, err := parseAddress(parsed.Address)
	if err != nil {
		return netmail.Address{}, fmt.Errorf("%q %w", parsed.Address, err)
	}
	name, err := headerText(parsed.Name)
	if err != nil {
		return netmail.Address{}, fmt.Errorf("the name in %q %w", text, err)
	}
	return netmail.Address{Name: name, Address: address}, nil
}

// maxHeaderText is the longest subject or name, in bytes.
const maxHeaderText = 250

// headerText judges a text that becomes a header's value. It must be one line that can be seen. Runs of spaces
// become one, because a long header is folded at its spaces, and a line of spaces alone is the end of the header to
// some servers.
func headerText(text string) (string, error) {
	switch {
	case !utf8.ValidString(text):
		return "", errors.New("is not UTF-8")
	case len(text) > maxHeaderText:
		return "", fmt.Errorf("is longer than %d bytes", maxHeaderText)
	}
	for _, r := range text {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return "", errors.New("holds a line break or another control character")
		}
	}
	// A text that only looks like an encoded word (RFC 2047) must not be decoded into something else.
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "=?", "= ?"), nil
}
