package transform

import "strings"

// replaceComments makes one space of each comment of C. One that is not closed reaches to the end.
func replaceComments(s string) string {
	e := edit{s: s}
	for i := 0; ; {
		start := strings.Index(s[i:], "/*")
		if start < 0 {
			return e.text()
		}
		start += i
		i = len(s)
		if n := strings.Index(s[start+2:], "*/"); n >= 0 {
			i = start + 2 + n + 2
		}
		e.put(start, i, ' ')
	}
}

// removeComments removes the comments of C and HTML; a comment of SQL's two kinds (-- and #) removes the rest of the
// text. As in Coraza, either end closes either comment, what stands right behind it is copied even if it opens another
// one, a comment at the very end leaves a NUL, and one that is not closed a space.
func removeComments(s string) string {
	e := edit{s: s}
	for i := next(s, 0, mark); i < len(s); i = next(s, i, mark) {
		open := commentOpens(s[i:])
		if open == 0 {
			if s[i] == '#' || s[i] == '-' && i+1 < len(s) && s[i+1] == '-' {
				e.drop(i, len(s))
				return e.text()
			}
			i++
			continue
		}
		end := i + open
		for end < len(s) && commentCloses(s[end:]) == 0 {
			end++
		}
		if end == len(s) {
			e.put(i, end, ' ')
			return e.text()
		}
		end += commentCloses(s[end:])
		if end == len(s) {
			e.put(i, end, 0)
			return e.text()
		}
		e.drop(i, end)
		i = end + 1
	}
	return e.text()
}

// commentOpens is the length of the mark at the front of s that opens a comment, or 0.
func commentOpens(s string) int {
	switch {
	case strings.HasPrefix(s, "/*"):
		return 2
	case strings.HasPrefix(s, "<!--"):
		return 4
	}
	return 0
}

// commentCloses is the length of the mark at the front of s that closes a comment, or 0.
func commentCloses(s string) int {
	switch {
	case strings.HasPrefix(s, "*/"):
		return 2
	case strings.HasPrefix(s, "-->"):
		return 3
	}
	return 0
}

// removeCommentsChar removes the marks of comments and keeps what they enclose.
func removeCommentsChar(s string) string {
	e := edit{s: s}
	for i := next(s, 0, mark); i < len(s); i = next(s, i, mark) {
		n := 0
		switch s[i] {
		case '#':
			n = 1
		case '/', '<':
			n = commentOpens(s[i:])
		case '*', '-':
			n = commentCloses(s[i:])
			if n == 0 && strings.HasPrefix(s[i:], "--") {
				n = 2
			}
		}
		if n > 0 {
			e.drop(i, i+n)
		}
		i += max(n, 1)
	}
	return e.text()
}
