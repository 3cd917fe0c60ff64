package waf

import "github.com/doorward/doorward/seclang"

// Work is what the engine has done for the inspection until now: the bytes that it looked at, and what did not fit.
func (i *Inspection) Work() (looked int, dropped seclang.Dropped) { return i.tx.Looked(), i.tx.Dropped }

// Automata counts what the automata of the site's rules did since they were compiled: instructions looked at while states were
// made, and texts that went to Go's regexp.
func (s *Site) Automata() (steps, fallbacks uint64) {
	u := s.current.Load().program.Usage()
	return u.Steps, u.Fallbacks
}
