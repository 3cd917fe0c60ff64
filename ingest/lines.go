package ingest

import "bytes"

// splitter makes lines of the bytes of one file.
type splitter struct {
	rest []byte // the beginning of a line whose end has not been read
	max  int    // longest line; 0 is MaxLine
	skip bool   // rest was given on as a cut line, and what comes is the rest of it
}

// next cuts the complete lines, with the carriage return that one may end in, out of chunk, and keeps the beginning of the last one. used is how many bytes of chunk belong to
// lines that were given on or skipped: the place to go on after a restart is that far behind the beginning of rest.
func (s *splitter) next(chunk []byte, add func(line []byte, cut bool)) {
	for len(chunk) > 0 {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			s.keep(chunk, add)
			return
		}
		line := chunk[:end]
		chunk = chunk[end+1:]
		switch {
		case s.skip:
			s.skip = false
		case len(s.rest)+len(line) > s.longest():
			s.keep(line, add)
			s.skip = false
		case len(s.rest) > 0:
			s.rest = append(s.rest, line...)
			add(s.rest, false)
			s.rest = s.rest[:0]
		default:
			add(line, false)
		}
	}
}

func (s *splitter) longest() int {
	if s.max > 0 {
		return s.max
	}
	return MaxLine
}

// keep holds the beginning of a line. One that is too long is given on, cut.
func (s *splitter) keep(part []byte, add func(line []byte, cut bool)) {
	if s.skip {
		return
	}
	if room := s.longest() - len(s.rest); len(part) > room {
		s.rest = append(s.rest, part[:room]...)
		add(s.rest, true)
		s.rest, s.skip = nil, true
		return
	}
	s.rest = append(s.rest, part...)
}

// flush gives on what is there of a line whose end will not come.
func (s *splitter) flush(add func(line []byte, cut bool)) {
	if len(s.rest) > 0 {
		add(s.rest, false)
	}
	s.rest, s.skip = nil, false
}

// trimCR takes off the carriage return that a line ends in.
func trimCR(line []byte) []byte { return bytes.TrimSuffix(line, []byte{'\r'}) }
