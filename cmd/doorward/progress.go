package main

import (
	"fmt"
	"os"
	"strings"
)

// progress shows on standard error how far long work is, where that is a terminal. Elsewhere it says nothing.
type progress struct {
	s    streams
	what string
	show bool
}

func newProgress(s streams, what string) *progress {
	file, ok := s.err.(*os.File)
	return &progress{s, what, ok && isTerminal(file)}
}

// set draws how much is done.
func (p *progress) set(done, all int) {
	if p.show && all > 0 {
		const width = 24
		full := width * done / all
		fmt.Fprintf(p.s.err, "\r%s [%s%s] %d/%d", p.what, strings.Repeat("#", full), strings.Repeat(".", width-full), done, all)
	}
}

// end takes the line away.
func (p *progress) end() {
	if p.show {
		fmt.Fprint(p.s.err, "\r\033[K")
	}
}
