package password

import (
	"slices"
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

// plain is the text in the form in which guesses are compared; it is not what is hashed.
func plain(text string) string { return bare(fold(text)) }

// fold makes upper and lower case one, in the way that package auth does for names. Folding can undo the
// composition, so it is repeated until nothing changes.
func fold(text string) string {
	for range 4 {
		next := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text)))
		if next == text {
			break
		}
		text = next
	}
	return text
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

func isNoWord(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) }

// names are the words that a guesser knows of a person and a site.
type names struct {
	set     map[string]bool
	longest int // runes
}

// namesOf splits names, addresses and hosts into words. ours are those of every account here.
func namesOf(who Subject, ours []string) names {
	words := names{set: make(map[string]bool)}
	umlauts := strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue") // Müller writes Mueller where a keyboard lacks the ü
	add := func(text string) {
		if len(text) > maxBytes {
			return
		}
		folded := fold(text)
		for word := range strings.FieldsFuncSeq(bare(folded)+" "+umlauts.Replace(folded), isNoWord) {
			n := utf8.RuneCountInString(word)
			if n >= minWordRunes && n <= maxWordRunes && len(words.set) < maxWords && strings.ContainsFunc(word, unicode.IsLetter) {
				words.set[word] = true
				words.longest = max(words.longest, n)
			}
		}
	}
	for _, text := range slices.Concat([]string{who.Name, who.Email, who.DisplayName}, ours, who.Context) {
		if len(words.set) == maxWords {
			break
		}
		add(text)
	}
	return words
}
