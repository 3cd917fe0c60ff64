package sigma

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong in a file of rules, at the place where it stands.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // from 1
	Message string `json:"message"`
}

// String is the problem in one line: file:line: message.
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message) }

// Errors is everything that keeps files of rules from being used, as it was found. It is never empty.
type Errors struct{ Problems []Problem }

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

// problems collects what is wrong.
type problems struct {
	file string
	list []Problem
}

func (p *problems) at(line int, format string, args ...any) {
	p.in(p.file, line, format, args...)
}

func (p *problems) in(file string, line int, format string, args ...any) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, Problem{File: file, Line: line, Message: fmt.Sprintf(format, args...)})
	}
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &Errors{Problems: p.list}
}
