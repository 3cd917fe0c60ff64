package sigma

import "slices"

// automaton finds which of many texts are in a text, in one pass over it (Aho and Corasick, 1975). Its table is dense over
// the bytes that the texts use, so that a step is one look-up and a hostile text costs no more than another.
type automaton struct {
	class   [256]uint16 // of a byte; 0 is every byte that no text has
	classes int
	next    []int32   // state × class
	out     [][]int32 // by state: what its texts stand for
	seen    []uint32  // by state: the last pass that told what it stands for
	pass    uint32
}

// Texts are cut, since only few of those that share their first bytes are ever told apart by the rest, and the table
// stays small.
const (
	cutLong   = 8
	cutShort  = 5
	manyTexts = 5000
)

// newAutomaton takes the texts with what each stands for.
func newAutomaton(texts map[string][]int32) *automaton {
	a := &automaton{classes: 1}
	limit := cutLong
	if len(texts) > manyTexts {
		limit = cutShort
	}
	keys := sortedKeys(texts)
	for _, text := range keys {
		for _, b := range []byte(text) {
			if a.class[b] == 0 {
				a.class[b] = uint16(a.classes)
				a.classes++
			}
		}
	}
	a.grow()
	for _, text := range keys {
		state := int32(0)
		for _, b := range []byte(text[:min(len(text), limit)]) {
			at := int(state)*a.classes + int(a.class[b])
			if a.next[at] == 0 {
				a.next[at] = a.grow()
			}
			state = a.next[at]
		}
		a.out[state] = append(a.out[state], texts[text]...)
	}
	a.link()
	a.seen = make([]uint32, len(a.out))
	return a
}

// grow adds a state and returns its number.
func (a *automaton) grow() int32 {
	a.next = append(a.next, make([]int32, a.classes)...)
	a.out = append(a.out, nil)
	return int32(len(a.out) - 1)
}

// link fills in where each state goes when the text goes on otherwise, nearest states first.
func (a *automaton) link() {
	fail := make([]int32, len(a.out))
	var queue []int32
	for _, state := range a.next[:a.classes] {
		if state != 0 {
			queue = append(queue, state)
		}
	}
	for i := 0; i < len(queue); i++ {
		state := queue[i]
		a.out[state] = append(a.out[state], a.out[fail[state]]...)
		slices.Sort(a.out[state])
		a.out[state] = slices.Compact(a.out[state])
		for c := range a.classes {
			at := int(state)*a.classes + c
			elsewhere := a.next[int(fail[state])*a.classes+c]
			if a.next[at] == 0 {
				a.next[at] = elsewhere
				continue
			}
			fail[a.next[at]] = elsewhere
			queue = append(queue, a.next[at])
		}
	}
}

// begin starts a pass: what was told in the same pass is not told again.
func (a *automaton) begin() {
	if a.pass++; a.pass == 0 {
		clear(a.seen)
		a.pass = 1
	}
}

// find tells what the texts in s stand for.
func (a *automaton) find(s []byte, tell func(int32)) {
	state := int32(0)
	for _, b := range s {
		state = a.next[int(state)*a.classes+int(a.class[b])]
		if out := a.out[state]; len(out) > 0 && a.seen[state] != a.pass {
			a.seen[state] = a.pass
			for _, id := range out {
				tell(id)
			}
		}
	}
}
