package fix

import (
	"fmt"
	"strings"
)

const (
	diffContext = 3         // lines around what differs
	diffCells   = 4_000_000 // of the table that finds the shortest way; above it, the middle is shown as replaced
)

// unified is the difference of two texts in the unified format of diff -u; empty when there is none.
func unified(oldName, newName, a, b string) string {
	if a == b {
		return ""
	}
	edits := compare(splitLines(a), splitLines(b))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	for from := 0; from < len(edits); {
		for from < len(edits) && edits[from].sign == ' ' {
			from++
		}
		if from == len(edits) {
			break
		}
		to, last := from, from
		for ; to < len(edits) && to-last <= 2*diffContext; to++ {
			if edits[to].sign != ' ' {
				last = to
			}
		}
		writeHunk(&out, edits, max(0, from-diffContext), min(len(edits), last+diffContext+1))
		from = last + 1
	}
	return out.String()
}

// edit is one line of a difference: kept, taken away or added.
type edit struct {
	sign byte // ' ', '-' or '+'
	line string
}

func writeHunk(out *strings.Builder, edits []edit, from, to int) {
	count := func(part []edit, but byte) (n int) {
		for _, e := range part {
			if e.sign != but {
				n++
			}
		}
		return n
	}
	begin := func(before, length int) int { // an empty side is said to begin at the line before
		if length == 0 {
			return before
		}
		return before + 1
	}
	olds, news := count(edits[from:to], '+'), count(edits[from:to], '-')
	fmt.Fprintf(out, "@@ -%d,%d +%d,%d @@\n", begin(count(edits[:from], '+'), olds), olds, begin(count(edits[:from], '-'), news), news)
	for _, e := range edits[from:to] {
		out.WriteByte(e.sign)
		out.WriteString(strings.TrimSuffix(e.line, "\n"))
		out.WriteByte('\n')
		if !strings.HasSuffix(e.line, "\n") {
			out.WriteString("\\ No newline at end of file\n")
		}
	}
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	lines := strings.SplitAfter(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// compare finds a shortest way from a to b, line by line.
func compare(a, b []string) []edit {
	var head, tail []edit
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head, a, b = append(head, edit{' ', a[0]}), a[1:], b[1:]
	}
	end := 0
	for end < len(a) && end < len(b) && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	for _, line := range a[len(a)-end:] {
		tail = append(tail, edit{' ', line})
	}
	return append(append(head, middle(a[:len(a)-end], b[:len(b)-end])...), tail...)
}

func middle(a, b []string) []edit {
	var edits []edit
	if len(a)*len(b) > diffCells {
		for _, line := range a {
			edits = append(edits, edit{'-', line})
		}
		for _, line := range b {
			edits = append(edits, edit{'+', line})
		}
		return edits
	}
	longest := make([][]int32, len(a)+1) // of the common lines of a[i:] and b[j:]
	for i := range longest {
		longest[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			edits = append(edits, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || longest[i+1][j] >= longest[i][j+1]):
			edits = append(edits, edit{'-', a[i]})
			i++
		default:
			edits = append(edits, edit{'+', b[j]})
			j++
		}
	}
	return edits
}
