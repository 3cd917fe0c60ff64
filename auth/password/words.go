package password

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/doorward/doorward/rules"
)

// wordList is what everybody tries first: the common passwords, the words that belong to every installation, and the
// lines on keyboards, of rules/passwords. The words are slices of the one text they were read from; with their table
// they take two megabytes.
type wordList struct {
	common  map[string]struct{}
	longest int        // runes of the longest common password
	context []string   // words of every installation
	walks   []walkLine // forwards and backwards
}

// walkLine is a line of keys; at holds the places in runes where each of its characters stands.
type walkLine struct {
	keys []rune
	at   map[rune][]int
}

func loadWords() (*wordList, error) {
	list := &wordList{common: make(map[string]struct{}, 30000)}
	err := eachLine("common.txt", func(line string) {
		list.common[line] = struct{}{}
		list.longest = max(list.longest, utf8.RuneCountInString(line))
	})
	if err != nil {
		return nil, err
	}
	if err := eachLine("context.txt", func(line string) { list.context = append(list.context, line) }); err != nil {
		return nil, err
	}
	err = eachLine("walks.txt", func(line string) {
		keys := []rune(plain(line))
		list.addWalk(keys)
		back := slices.Clone(keys)
		slices.Reverse(back)
		list.addWalk(back)
	})
	return list, err
}

func (l *wordList) addWalk(keys []rune) {
	line := walkLine{keys: keys, at: make(map[rune][]int)}
	for i, r := range keys {
		line.at[r] = append(line.at[r], i)
	}
	l.walks = append(l.walks, line)
}

// walk is how many characters at the beginning of text follow one of the lines.
func (l *wordList) walk(text []rune) int {
	longest := 0
	for _, line := range l.walks {
		for _, start := range line.at[text[0]] {
			n := 0
			for n < len(text) && start+n < len(line.keys) && text[n] == line.keys[start+n] {
				n++
			}
			longest = max(longest, n)
		}
	}
	return longest
}

// eachLine reads a file of rules/passwords, without its comments and empty lines.
func eachLine(file string, do func(line string)) error {
	text, err := fs.ReadFile(rules.Passwords(), file)
	if err != nil {
		return fmt.Errorf("read list of passwords: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && !strings.HasPrefix(line, "# ") && line != "#" {
			do(line)
		}
	}
	return nil
}
