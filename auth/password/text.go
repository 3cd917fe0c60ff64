package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxBytes is how long an input may be before it is brought to NFKC: room for MaxLength characters in their longest
// decomposed spelling. More is too long without a look at it.
const maxBytes = 16 * MaxLength

// prepare brings a password to the form that is judged and hashed: NFKC, so that the same password typed on another
// keyboard or system is the same (NIST SP 800-63B-4 3.1.1.2). Package auth does the same before it hashes.
func prepare(password string) (text string, problem Problem, ok bool) {
	if len(password) > maxBytes {
		return "", Problem{Code: TooLong, Number: MaxLength}, false
	}
	if !utf8.ValidString(password) {
		return "", Problem{Code: NotText}, false
	}
	text = norm.NFKC.String(password)
	if utf8.RuneCountInString(text) > MaxLength {
		return "", Problem{Code: TooLong, Number: MaxLength}, false
	}
	return text, Problem{}, true
}

// plain is the text in the form in which guesses are compared: case folded, as names are in package auth, and Latin,
// Greek and Cyrillic letters without their accents. It is not what is hashed.
func plain(text string) string {
	for range 4 { // folding can undo the composition
		next := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text)))
		if next == text {
			break
		}
		text = next
	}
	return bare(text)
}

// bare is the text without accents. Other scripts' marks are letters to their readers and stay.
func bare(text string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if r >= 0x0300 && r <= 0x036F {
			return -1
		}
		return r
	}, norm.NFD.String(text)))
}

// Subject is the person whose password it is and where it is for, for the check that it is not built from those
// (NIST SP 800-63B-4 3.1.1.2, ASVS 6.2.11). Context holds the sites' hosts and whatever else names the service.
type Subject struct {
	Name, Email, DisplayName string
	Context                  []string
}

// Caps on what a password is compared with. Names come from strangers where registration is open.
const (
	maxWords     = 256 // of the subject and the configuration together
	maxWordRunes = 64
	minWordRunes = 3 // shorter ones are in every other password
)

// names are the words that a guesser knows of a person and a site.
type names struct {
	set     map[string]bool
	longest int // runes
}

// namesOf splits names, addresses and hosts into words.
func namesOf(who Subject, more []string) names {
	words := names{set: make(map[string]bool)}
	add := func(text string) {
		if len(text) > maxBytes {
			return
		}
		for word := range strings.FieldsFuncSeq(plain(text), func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) }) {
			n := utf8.RuneCountInString(word)
			if n >= minWordRunes && n <= maxWordRunes && len(words.set) < maxWords && strings.ContainsFunc(word, unicode.IsLetter) {
				words.set[word] = true
				words.longest = max(words.longest, n)
			}
		}
	}
	add("doorward")
	for _, text := range []string{who.Name, who.Email, who.DisplayName} {
		add(text)
	}
	for _, text := range more {
		add(text)
	}
	for _, text := range who.Context {
		if len(words.set) == maxWords {
			break
		}
		add(text)
	}
	return words
}
