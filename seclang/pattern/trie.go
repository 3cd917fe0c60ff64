package pattern

import "slices"

// trie holds many texts by their first bytes. ASCII letters are one class in both cases. States are numbered by depth.
type trie struct {
	class   [256]uint8
	classes int
	edges   []edges // by state
	ends    []bool  // by state: a text ends there
}

// edges lead on from a state, ordered by class.
type edges struct {
	class []uint8
	to    []uint32
}

func (e *edges) find(class uint8) (uint32, bool) {
	for i, c := range e.class {
		if c == class {
			return e.to[i], true
		}
	}
	return 0, false
}

// fold takes an ASCII letter as lower case.
func fold(b byte) byte {
	if b-'A' < 26 {
		return b + 'a' - 'A'
	}
	return b
}

func newTrie(texts []string) *trie {
	t := &trie{classes: 1}
	for _, text := range texts {
		for i := range len(text) {
			if b := fold(text[i]); t.class[b] == 0 {
				t.class[b] = uint8(t.classes)
				t.classes++
			}
		}
	}
	for b := byte('A'); b <= 'Z'; b++ {
		t.class[b] = t.class[fold(b)]
	}
	t.grow()
	t.insert(texts)
	return t
}

func (t *trie) grow() uint32 {
	t.edges = append(t.edges, edges{})
	t.ends = append(t.ends, false)
	return uint32(len(t.edges) - 1)
}

// insert goes through all texts a byte at a time, which numbers the states by depth.
func (t *trie) insert(texts []string) {
	at := make([]uint32, len(texts))
	for depth, more := 0, true; more; depth++ {
		more = false
		for n, text := range texts {
			if len(text) < depth {
				continue
			}
			more = true
			if len(text) == depth {
				t.ends[at[n]] = true
				continue
			}
			e := &t.edges[at[n]]
			class := t.class[text[depth]]
			to, found := e.find(class)
			if !found {
				to = t.grow()
				e = &t.edges[at[n]]
				i, _ := slices.BinarySearch(e.class, class)
				e.class, e.to = slices.Insert(e.class, i, class), slices.Insert(e.to, i, to)
			}
			at[n] = to
		}
	}
}
