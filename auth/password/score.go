package password

import (
	"maps"
	"slices"

	"github.com/ccojocar/zxcvbn-go/match"
	"github.com/ccojocar/zxcvbn-go/matching"
	"github.com/ccojocar/zxcvbn-go/scoring"
)

// maxScored is how many characters zxcvbn sees at a time, because its time grows with the square of them. Of a longer
// password its beginning and its end are judged and the better one counts: the whole is at least as hard to guess as a
// part of it, and 48 characters are far more than the highest score needs. So the cap makes no password pass that is
// weak as a whole; a long one that is weak at both ends is refused, whatever stands between.
const maxScored = 48

// score is zxcvbn's estimate of a prepared password: 0 (under a million guesses) to 4 (over a million million), see
// docs/passwords.md. known are words that the guesser tries, too.
func score(text string, known names) int {
	words := slices.Sorted(maps.Keys(known.set)) // sorted, because the rank in the list counts
	seen := []rune(bare(text))
	if len(seen) <= maxScored {
		return scoreOf(seen, words)
	}
	return max(scoreOf(seen[:maxScored], words), scoreOf(seen[len(seen)-maxScored:], words))
}

func scoreOf(seen []rune, words []string) int {
	text := ascii(seen)
	matches := matching.Omnimatch(text, words, matching.FilterL33tMatcher)
	// zxcvbn reads digits and symbols as letters in every combination, hundreds of them for a text with all of
	// them, each looked up anew. Two readings find what people write and bound the time.
	for reading := range 2 {
		read := unleet(text, reading)
		if read == text {
			continue
		}
		for _, m := range matching.Omnimatch(read, words, wordsOnly) {
			if m.Token != text[m.I:m.J+1] {
				m.Entropy++ // one bit for having written it otherwise
				matches = append(matches, m)
			}
		}
	}
	return scoring.MinimumEntropyMatchSequence(text, matches).Score
}

// wordsOnly leaves out every matcher that does not look words up.
func wordsOnly(m match.Matcher) bool {
	return matching.FilterL33tMatcher(m) || matching.FilterSpatialMatcher(m) || matching.FilterRepeatMatcher(m) ||
		matching.FilterSequenceMatcher(m) || matching.FilterDateSepMatcher(m) || matching.FilterDateWithoutSepMatcher(m)
}

// ascii makes a text in which each character is one byte, because zxcvbn counts in bytes in one place and in
// characters in another, and would take six Cyrillic letters for twelve symbols. A character outside of ASCII becomes one of
// 31 control characters: it counts as a symbol, and the same one again is seen as the same.
func ascii(seen []rune) string {
	text := make([]byte, len(seen))
	for i, r := range seen {
		if r < 0x80 {
			text[i] = byte(r)
		} else {
			text[i] = byte(1 + r%31)
		}
	}
	return string(text)
}
