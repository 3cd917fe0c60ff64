package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong, or doubtful, in a configuration file, at the place where it stands.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Path    string `json:"path"`   // such as sites[0].hosts[1]; empty for the file as a whole
	Message string `json:"message"`
}

// String is the problem as check prints it: file:line:column: path: message.
func (p Problem) String() string {
	if p.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Path, p.Message)
}

// Errors is everything that keeps a configuration from being used, in the order of the file. It is never
// empty.
type Errors struct {
	Problems []Problem
}

// Error is one line a problem.
func (e *Errors) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// maxProblems keeps a file that is wrong from end to end from filling a terminal or a log.
const maxProblems = 200

// problemList collects problems with their places, which the reader noted per path.
type problemList struct {
	file     string
	places   map[string]place
	problems []Problem
	// unread holds the paths that could not be read: what a later check says about them would be a consequence.
	unread []string
	// broken says that the file has no tree at all, so that nothing else can be judged.
	broken bool
}

// place is where a value stands in the file.
type place struct{ line, column int }

// at adds a problem at a place; beyond maxProblems it is dropped.
func (l *problemList) at(where place, path, message string) {
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, Problem{File: l.file, Line: where.line, Column: where.column, Path: path, Message: message})
	}
}

// report adds a problem at the place of path, or of the nearest part of path that stands in the file: a
// value that is missing is reported where it should have been.
func (l *problemList) report(path, format string, args ...any) {
	if slices.ContainsFunc(l.unread, func(u string) bool { return path != "" && within(u, path) || within(path, u) }) {
		return
	}
	l.at(l.place(path), path, fmt.Sprintf(format, args...))
}

// within tells whether path is parent or stands below it; everything stands below the file's root, "".
func within(path, parent string) bool {
	if parent == "" {
		return true
	}
	rest, found := strings.CutPrefix(path, parent)
	return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// settle ends the reading: from now on problems are about values, and silent about those that were not read.
func (l *problemList) settle() {
	for _, p := range l.problems {
		l.unread = append(l.unread, p.Path)
	}
}

// has tells whether something is wrong with path already.
func (l *problemList) has(path string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return p.Path == path })
}

func (l *problemList) place(path string) place {
	for p := path; p != ""; {
		if where, ok := l.places[p]; ok {
			return where
		}
		cut := strings.LastIndexAny(p, ".[")
		if cut < 0 {
			break
		}
		p = p[:cut]
	}
	return place{line: 1, column: 1}
}

// sorted returns the problems in the order of the file.
func (l *problemList) sorted() []Problem {
	slices.SortStableFunc(l.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return l.problems
}
