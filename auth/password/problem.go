package password

import "fmt"

// Code names a reason why a password is refused. It is stable: texts in other languages are found by it.
type Code string

// The reasons. Their sentences in English are those of Problem.String.
const (
	TooShort    Code = "too-short"    // fewer characters than Problem.Number
	TooLong     Code = "too-long"     // more characters than Problem.Number
	NotText     Code = "not-text"     // not UTF-8
	NoLower     Code = "class-lower"  // the policy wants a lower-case letter
	NoUpper     Code = "class-upper"  // … an upper-case letter
	NoDigit     Code = "class-digit"  // … a digit
	NoSymbol    Code = "class-symbol" // … a symbol
	NoLetter    Code = "class-letter" // … a letter of any case
	Common      Code = "common"       // a common password or a variant of one
	Context     Code = "context"      // built from the person's own names or words that belong to the site
	Predictable Code = "predictable"  // a sequence, a line on the keyboard, a repetition
	Guessable   Code = "guessable"    // zxcvbn's score is lower than Problem.Number

	// These two are for callers: they are not found by looking at the password alone.
	Breached Code = "breached" // Checker.Breached found it
	Reused   Code = "reused"   // one of the last Problem.Number passwords of that account
)

// Codes lists every code, so that a catalogue of texts can be checked for completeness.
func Codes() []Code {
	return []Code{TooShort, TooLong, NotText, NoLower, NoUpper, NoDigit, NoSymbol, NoLetter, Common, Context, Predictable,
		Guessable, Breached, Reused}
}

// Problem is one reason why a password is refused. Number is the limit it misses where the code has one, else 0. It says
// nothing of the password itself, not even its length, so it may be logged.
type Problem struct {
	Code   Code
	Number int
}

// String is the problem as an English sentence for the person who chose the password.
func (p Problem) String() string {
	switch p.Code {
	case TooShort:
		return fmt.Sprintf("The password needs at least %d characters.", p.Number)
	case TooLong:
		return fmt.Sprintf("The password may have at most %d characters.", p.Number)
	case NotText:
		return "The password has characters that cannot be read."
	case NoLower:
		return "The password needs a lower-case letter."
	case NoUpper:
		return "The password needs an upper-case letter."
	case NoDigit:
		return "The password needs a digit."
	case NoSymbol:
		return "The password needs a character that is neither letter nor digit."
	case NoLetter:
		return "The password needs a letter."
	case Common:
		return "The password is a common one, or nearly so. Several words that have nothing to do with each other are better."
	case Context:
		return "The password is built from your name, your address or words that belong to this site, which others try first."
	case Predictable:
		return "The password is a sequence, a line of keys or a repetition."
	case Guessable:
		return "The password is too easy to guess. Several words that have nothing to do with each other are better."
	case Breached:
		return "The password is in a list of stolen passwords."
	case Reused:
		if p.Number <= 1 {
			return "The password is the one you have now."
		}
		return fmt.Sprintf("The password is one of the last %d you had.", p.Number)
	}
	return "The password cannot be used."
}
