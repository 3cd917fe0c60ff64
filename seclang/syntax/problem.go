package syntax

import (
	"fmt"
	"strings"
)

// Place is where something stands.
type Place struct {
	File string
	Line int // from 1; the first line of a directive that goes over several
}

// String is the place as compilers write it: file:line.
func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Problem is one thing wrong, or worth knowing, at its place.
type Problem struct {
	Place   Place
	Message string
}

// String is the problem in one line: file:line: message.
func (p Problem) String() string { return p.Place.String() + ": " + p.Message }

// Errors is everything that keeps the rules from being used, in the order it was found. It is never empty.
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

func (p *parser) errorf(at Place, format string, args ...any) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, Problem{Place: at, Message: fmt.Sprintf(format, args...)})
	}
}

func (p *parser) note(at Place, format string, args ...any) {
	if len(p.rules.Notes) < maxProblems {
		p.rules.Notes = append(p.rules.Notes, Problem{Place: at, Message: fmt.Sprintf(format, args...)})
	}
}
