package syntax

import (
	"fmt"
	"strings"
)

// line is one directive with its continued lines put together.
type line struct {
	at   Place
	text string
}

// logicalLines puts a text's lines together: a backslash at the end of a line goes on with the next one. A line that begins
// with "#" is a comment, between continued lines too, and does not go on.
func logicalLines(file, text string) []line {
	var lines []line
	var open strings.Builder
	number, start := 0, 0
	for len(text) > 0 {
		physical, rest, _ := strings.Cut(text, "\n")
		text = rest
		number++
		physical = strings.TrimRight(physical, " \t\r")
		if strings.HasPrefix(strings.TrimLeft(physical, " \t"), "#") {
			continue
		}
		if start == 0 {
			start = number
		}
		before, more := strings.CutSuffix(physical, `\`)
		open.WriteString(before)
		if more && text != "" {
			continue
		}
		if whole := strings.TrimSpace(open.String()); whole != "" {
			lines = append(lines, line{at: Place{File: file, Line: start}, text: whole})
		}
		open.Reset()
		start = 0
	}
	if whole := strings.TrimSpace(open.String()); whole != "" { // the file ended in a comment after a continued line
		lines = append(lines, line{at: Place{File: file, Line: start}, text: whole})
	}
	return lines
}

// words splits a directive: words are parted by blanks, and one that holds blanks stands in double or single quotes, in
// which a backslash keeps the quote from ending it. No other backslash is touched, since expressions are full of them.
func words(text string) ([]string, error) {
	var all []string
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" {
			return all, nil
		}
		quote := text[0]
		if quote != '"' && quote != '\'' {
			word, rest, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
			all = append(all, word)
			text = text[len(text)-len(rest):]
			continue
		}
		word, rest, ok := quoted(text)
		if !ok {
			return nil, fmt.Errorf("a quote %c has no end", quote)
		}
		if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			return nil, fmt.Errorf("a blank is missing after the closing quote, before %.20q", rest)
		}
		all = append(all, word)
		text = rest
	}
}

// quoted reads a word in quotes, and says what follows it.
func quoted(text string) (word, rest string, ok bool) {
	quote := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == quote:
			i++
			b.WriteByte(quote)
		case text[i] == '\\' && i+1 < len(text):
			b.WriteString(text[i : i+2])
			i++
		case text[i] == quote:
			return b.String(), text[i+1:], true
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", false
}
