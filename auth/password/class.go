package password

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Classes is a set of kinds of character (D-05, M-03). The zero value is the empty set.
type Classes uint8

// The kinds of character. Letter is for guides that want letters and care for no case.
const (
	Lower  Classes = 1 << iota // a lower-case letter of any script
	Upper                      // an upper-case or title-case letter
	Digit                      // a decimal digit of any script
	Symbol                     // anything that is neither letter, mark nor digit; a space too
	Letter                     // a letter of any case, or of a script without case
)

// classNames are the words for the classes, in the order of their bits.
func classNames() []string { return []string{"lower", "upper", "digit", "symbol", "letter"} }

// ParseClasses reads the words lower, upper, digit, symbol and letter. An unknown word is an error that names
// the known ones.
func ParseClasses(words []string) (Classes, error) {
	var set Classes
	for _, word := range words {
		i := slices.Index(classNames(), word)
		if i < 0 {
			return 0, fmt.Errorf("class %q is not known; known: %s", word, strings.Join(classNames(), ", "))
		}
		set |= 1 << i
	}
	return set, nil
}

// Has tells whether all of other are in the set.
func (c Classes) Has(other Classes) bool { return c&other == other }

// String lists the words, or says none.
func (c Classes) String() string {
	var words []string
	for i, word := range classNames() {
		if c.Has(1 << i) {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// demands tells whether a password that satisfies c always satisfies other too: lower or upper is a letter.
func (c Classes) demands(other Classes) bool {
	if c&(Lower|Upper) != 0 {
		c |= Letter
	}
	return c.Has(other)
}

// classesOf tells which kinds of character the text has.
func classesOf(text string) Classes {
	var set Classes
	for _, r := range text {
		switch {
		case unicode.IsLetter(r):
			set |= Letter
			if unicode.IsLower(r) {
				set |= Lower
			} else if unicode.IsUpper(r) || unicode.IsTitle(r) {
				set |= Upper
			}
		case unicode.IsDigit(r):
			set |= Digit
		case !unicode.IsMark(r):
			set |= Symbol
		}
	}
	return set
}
