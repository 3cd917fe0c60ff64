package fail2ban

import "math/bits"

// sieve passes over most of a line before its gate looks at each byte: it looks at four bytes in every so many, and none of the gate's texts
// is so short that it fits between two such looks.
type sieve struct {
	step  int    // from one look to the next; 0: the texts are too short
	fold  uint32 // what is set in four bytes where the case of letters does not matter
	shift uint8
	grams []uint64 // a bit for each value of four bytes of a text that a look can meet
	ends  bool     // a text holds a line end
}

const (
	gram         = 4       // bytes that are looked at together
	maxSieveStep = 12      // more are hardly faster, and let more through
	maxSieveBits = 1 << 18 // 32 KB
)

func newSieve(texts []string, fold bool) sieve {
	s := sieve{step: maxSieveStep}
	for _, text := range texts {
		s.step = min(s.step, len(text)-gram+1)
	}
	if s.step < 2 {
		return sieve{}
	}
	if fold {
		s.fold = 0x20202020
	}
	size := min(maxSieveBits, 1<<bits.Len(uint(32*s.step*len(texts))))
	s.shift, s.grams = uint8(32-bits.TrailingZeros(uint(size))), make([]uint64, size/64)
	for _, text := range texts {
		for i := range s.step {
			at := s.hash(text[i : i+gram])
			s.grams[at>>6] |= 1 << (at & 63)
		}
		for i := range len(text) {
			s.ends = s.ends || text[i] == '\n'
		}
	}
	return s
}

// hash is the number of the bit of four bytes.
func (s *sieve) hash(four string) uint32 {
	_ = four[gram-1]
	v := uint32(four[0]) | uint32(four[1])<<8 | uint32(four[2])<<16 | uint32(four[3])<<24
	return (v | s.fold) * 0x9e3779b1 >> s.shift
}

// sift is scan for a whole line, in which most bytes are passed over.
func (g *gate) sift(line splitLine, mask *uint64) {
	state, clean := g.siftPart(0, line.before, mask)
	state = g.scan(state, line.before[clean:], mask)
	state, clean = g.siftPart(state, line.after, mask)
	if g.sieve.ends {
		g.scan(g.scan(state, line.after[clean:], mask), "\n", mask)
	}
}

// siftPart marks what it finds in a part of a line, from a state on. What begins at clean or later may go on in the next part: for that, the
// bytes from there on are to be scanned in the state that is returned.
func (g *gate) siftPart(state uint32, text string, mask *uint64) (after uint32, clean int) {
	s := &g.sieve
	at := 0
	if state != 0 {
		state, at = g.follow(state, text, 0, 0, mask)
	}
	clean = at
	for at+gram <= len(text) {
		if bit := s.hash(text[at : at+gram]); s.grams[bit>>6]&(1<<(bit&63)) == 0 {
			at += s.step
			continue
		}
		// What begins earlier than that would have been met by the look before.
		state, at = g.follow(0, text, max(clean, at-s.step+1), at+1, mask)
		clean = at
	}
	return state, max(clean, at-s.step+1)
}

// follow scans a text from a place on, at least up to another one and until no text of the gate is begun. It returns the state and the place
// that were reached; the state is 0 unless that is the end.
func (g *gate) follow(state uint32, text string, from, least int, mask *uint64) (after uint32, at int) {
	found := *mask
	next, classes, first := g.next, &g.classes, g.first
	at = from
	for ; at < len(text) && (state != 0 || at < least); at++ {
		state = next[state+uint32(classes[text[at]])]
		if state >= first {
			found |= g.accept[state/g.width]
		}
	}
	*mask = found
	return state, at
}
