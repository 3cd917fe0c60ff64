package fail2ban

import (
	"maps"
	"slices"
	"strings"
)

// trie is the texts of a gate, letter by letter.
type trie struct {
	next   []map[uint8]int
	fail   []int
	accept []uint64
}

func (t *trie) node() int {
	t.next = append(t.next, map[uint8]int{})
	t.fail = append(t.fail, 0)
	t.accept = append(t.accept, 0)
	return len(t.next) - 1
}

// build makes the table of the gate. With fold the case of ASCII letters does not matter, which lets more lines through and never
// fewer. A table that would be too large is none: the gate is open.
func (g *gate) build(texts map[string]uint64, fold bool) {
	if fold {
		lower := map[string]uint64{}
		for text, bits := range texts {
			lower[lowerASCII(text)] |= bits
		}
		texts = lower
	}
	size := 1
	for text := range texts {
		size += len(text)
	}
	if size > maxGateStates {
		g.open = true
		return
	}
	if len(texts) == 0 {
		return
	}
	g.width = uint32(g.classify(texts, fold))
	t := &trie{}
	t.node()
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		at := 0
		for i := range len(text) {
			c := g.classes[text[i]]
			child, ok := t.next[at][c]
			if !ok {
				child = t.node()
				t.next[at][c] = child
			}
			at = child
		}
		t.accept[at] |= texts[text]
	}
	g.fill(t, t.link())
	g.sieve = newSieve(slices.Collect(maps.Keys(texts)), fold)
}

// classify gives each letter of the texts a number; all other bytes are 0. It returns how many numbers there are.
func (g *gate) classify(texts map[string]uint64, fold bool) int {
	var used [256]bool
	for text := range texts {
		for i := range len(text) {
			used[text[i]] = true
		}
	}
	n := 1
	for c := range 256 {
		if used[c] && n < 256 {
			g.classes[c] = uint8(n)
			n++
		}
	}
	if fold {
		for c := 'A'; c <= 'Z'; c++ {
			g.classes[c] = g.classes[c|0x20]
		}
	}
	return n
}

// link finds for each node the longest end of its text that another text starts with, and gives the nodes level by level.
func (t *trie) link() []int {
	var order []int
	level := []int{0}
	for len(level) > 0 {
		order = append(order, level...)
		var deeper []int
		for _, at := range level {
			for _, c := range slices.Sorted(maps.Keys(t.next[at])) {
				child := t.next[at][c]
				if at != 0 {
					f := t.fail[at]
					for f != 0 && !t.has(f, c) {
						f = t.fail[f]
					}
					if t.has(f, c) {
						f = t.next[f][c]
					}
					t.fail[child] = f
				}
				t.accept[child] |= t.accept[t.fail[child]]
				deeper = append(deeper, child)
			}
		}
		level = deeper
	}
	return order
}

func (t *trie) has(node int, c uint8) bool {
	_, ok := t.next[node][c]
	return ok
}

// fill writes the table. Nodes that end no text come first, so that one comparison finds the others.
func (g *gate) fill(t *trie, order []int) {
	number := make([]uint32, len(order))
	n := uint32(0)
	for _, ending := range []bool{false, true} {
		if ending {
			g.first = n * g.width
		}
		for _, at := range order {
			if (t.accept[at] != 0) == ending {
				number[at] = n
				n++
			}
		}
	}
	g.next = make([]uint32, n*g.width)
	g.accept = make([]uint64, n)
	for _, at := range order {
		row := number[at] * g.width
		g.accept[number[at]] = t.accept[at]
		if at != 0 {
			copy(g.next[row:row+g.width], g.next[number[t.fail[at]]*g.width:])
		}
		for c, child := range t.next[at] {
			g.next[row+uint32(c)] = number[child] * g.width
		}
	}
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}
