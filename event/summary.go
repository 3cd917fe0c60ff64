package event

import (
	"encoding/binary"
	"errors"
	"slices"
)

// summaryKeys is how many values a summary keeps. Between two prunings it may hold twice as many.
const summaryKeys = 512

// summary counts the most frequent values of a stream in bounded memory (Misra and Gries 1982, with the
// pruning of many counters at once). A count is never too high, and too low by no more than lost, which is
// at most the events divided by summaryKeys: a value that is more frequent than that is always there,
// however many others a stranger makes up. Two summaries added keep the promise for both streams together.
type summary struct {
	counts  map[string]int64
	lost    int64
	last    string // the value counted last: values come in bursts,
	pending int64  // and how often it was, not yet in counts
}

// add counts value n times.
func (s *summary) add(value string, n int64) {
	if value != s.last {
		s.flush()
		s.last = value
	}
	s.pending += n
}

// flush puts the last burst into counts.
func (s *summary) flush() {
	if s.pending == 0 {
		return
	}
	if s.counts == nil {
		s.counts = map[string]int64{}
	}
	s.counts[s.last] += s.pending
	if s.pending = 0; len(s.counts) > 2*summaryKeys {
		s.prune()
	}
}

// prune keeps at most summaryKeys values: the count of the first that does not fit is taken from all.
func (s *summary) prune() {
	s.flush()
	if len(s.counts) <= summaryKeys {
		return
	}
	all := make([]int64, 0, len(s.counts))
	for _, count := range s.counts {
		all = append(all, count)
	}
	slices.Sort(all)
	less := all[len(all)-1-summaryKeys]
	for value, count := range s.counts {
		if count <= less {
			delete(s.counts, value)
		} else {
			s.counts[value] = count - less
		}
	}
	s.lost += less
}

func (s *summary) reset() {
	clear(s.counts)
	s.lost, s.last, s.pending = 0, "", 0
}

func (s *summary) empty() bool { return len(s.counts) == 0 && s.lost == 0 && s.pending == 0 }

// append writes the summary: how many counts were lost, how many values there are, and each with its count.
func (s *summary) append(b []byte) []byte {
	s.prune()
	b = binary.AppendUvarint(b, uint64(s.lost))
	b = binary.AppendUvarint(b, uint64(len(s.counts)))
	for value, count := range s.counts {
		b = appendText(b, value)
		b = binary.AppendUvarint(b, uint64(count))
	}
	return b
}

var errSummary = errors.New("a top list is damaged")

// mergeFrom adds what append wrote.
func (s *summary) mergeFrom(b []byte) error {
	lost, b, ok := readUvarint(b)
	if !ok {
		return errSummary
	}
	count, b, ok := readUvarint(b)
	if !ok {
		return errSummary
	}
	for range count {
		var value string
		var n uint64
		if value, b, ok = readText(b); !ok {
			return errSummary
		}
		if n, b, ok = readUvarint(b); !ok {
			return errSummary
		}
		s.add(value, int64(n))
	}
	s.lost += int64(lost)
	return nil
}
