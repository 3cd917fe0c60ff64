package seclang

import (
	"strings"

	"github.com/doorward/doorward/seclang/syntax"
	"github.com/doorward/doorward/seclang/transform"
)

// cache is what a transaction has made of its values so far.
type cache struct {
	cells   []cell // 0 is none
	values  []nodeValue
	bits    []uint64
	sources []sourceItems
	groups  []groupBits
	single  [syntax.Variables]int32 // cells of the variables that are no collections
	age     uint32                  // counts the phases: what was collected before is collected again
}

// cell is one value of the request or the answer.
type cell struct {
	text  string
	kinds transform.Kinds
	bits  int32 // 1 + where the words of the text are in bits; 0 is not looked for yet
	at    int32 // 1 + its first node in values; 0 is none, as long as no step changes anything
}

// nodeValue is what a cell is at a node of the tree.
type nodeValue struct {
	text  string
	known bool
	kinds transform.Kinds // as in a cell
	bits  int32           // as in a cell
}

// sourceItems are the values of a source.
type sourceItems struct {
	age   uint32
	items []cellItem
}

type cellItem struct {
	item
	cell int32
}

// groupBits are the words that any value of a group has.
type groupBits struct {
	age  uint32
	bits int32 // 1 + where they are in bits; 0 is a group without values
}

// maxCached is how many values may stay in a pooled transaction's room; one that saw more gives it back.
const maxCached = 1 << 16

// reset forgets everything and keeps the room.
func (c *cache) reset() {
	if cap(c.values) > maxCached || cap(c.bits) > maxCached || cap(c.cells) > maxCached {
		*c = cache{}
		return
	}
	clear(c.cells)
	clear(c.values)
	c.cells, c.values, c.bits = c.cells[:0], c.values[:0], c.bits[:0]
	for i := range c.sources {
		clear(c.sources[i].items)
		c.sources[i] = sourceItems{items: c.sources[i].items[:0]}
	}
	clear(c.groups)
	clear(c.single[:])
	c.age = 0
}

// prepare makes room for what the plan holds.
func (c *cache) prepare(p *plan) {
	if c.sources == nil {
		c.sources = make([]sourceItems, len(p.sources))
		c.groups = make([]groupBits, len(p.groups))
	}
}

// maxLookedThrough is how long a text may be that is looked through for what steps change; of a longer one everything is believed.
const maxLookedThrough = 4 << 10

// cellOf makes a cell for a text.
func (t *Transaction) cellOf(text string) int32 {
	c := &t.cache
	if len(c.cells) == 0 {
		c.cells = append(c.cells, cell{})
	}
	c.cells = append(c.cells, cell{text: text, kinds: kindsOf(text)})
	return int32(len(c.cells) - 1)
}

// unchanged says whether a cell is known to be at a node, and at all on the way there, what it is.
func (t *Transaction) unchanged(number, n int32) bool {
	return t.cache.cells[number].kinds&t.program.plan.nodes[n].changes == 0
}

// valueAt is what a cell is at a node.
func (t *Transaction) valueAt(number, n int32) string {
	text, _ := t.kindsAt(number, n)
	return text
}

// kindsAt is valueAt with what stands in the text.
func (t *Transaction) kindsAt(number, n int32) (string, transform.Kinds) {
	c := &t.cache.cells[number]
	nd := &t.program.plan.nodes[n]
	if c.kinds&nd.changes == 0 {
		return c.text, c.kinds
	}
	if c.at == 0 {
		c.at = int32(len(t.cache.values) + 1)
		for range t.program.plan.nodes {
			t.cache.values = append(t.cache.values, nodeValue{})
		}
	}
	at := c.at - 1 + n
	if v := &t.cache.values[at]; v.known {
		return v.text, v.kinds
	}
	text, kinds := t.kindsAt(number, nd.parent)
	if kinds&nd.own != 0 {
		t.looked += len(text)
		if made := nd.step(text); made != text {
			text, kinds = made, kindsOf(made)
		}
	}
	v := &t.cache.values[at]
	v.text, v.kinds, v.known = text, kinds, true
	return text, kinds
}

// kindsOf looks through a text unless it is long.
func kindsOf(text string) transform.Kinds {
	if len(text) > maxLookedThrough {
		return transform.AnyKind
	}
	return transform.KindsOf(text)
}

// bitsAt finds the words of a cell at a node. A step that changed nothing has the words of the one before.
func (t *Transaction) bitsAt(number, n int32, s side) int32 {
	c := &t.cache.cells[number]
	nd := &t.program.plan.nodes[n]
	if c.kinds&nd.changes == 0 {
		if c.bits == 0 {
			c.bits = t.scan(c.text, s)
		}
		return c.bits
	}
	text := t.valueAt(number, n)
	v := &t.cache.values[c.at-1+n]
	if v.bits != 0 {
		return v.bits
	}
	// Of a text that is not ASCII, t:lowercase can make words that were not there: İ becomes i.
	if before := t.valueAt(number, nd.parent); before == text || nd.folds && ascii(before) {
		v.bits = t.bitsAt(number, nd.parent, s)
	} else {
		v.bits = t.scan(text, s)
	}
	return v.bits
}

// scan looks for the words of a side.
func (t *Transaction) scan(text string, s side) int32 {
	f := t.program.plan.words[s]
	start := len(t.cache.bits)
	for range f.Words() {
		t.cache.bits = append(t.cache.bits, 0)
	}
	t.looked += len(text)
	f.Scan(text, t.cache.bits[start:])
	return int32(start + 1)
}

// ascii says whether a text has no byte above 0x7f.
func ascii(s string) bool {
	for ; len(s) >= 8; s = s[8:] {
		if (s[0]|s[1]|s[2]|s[3]|s[4]|s[5]|s[6]|s[7])&0x80 != 0 {
			return false
		}
	}
	for i := range len(s) {
		if s[i]&0x80 != 0 {
			return false
		}
	}
	return true
}

// has says whether all sets of words are among the bits.
func (t *Transaction) has(bits int32, needs []int32) bool {
	if bits == 0 {
		return false
	}
	words := t.cache.bits[bits-1:]
	for _, n := range needs {
		if words[n/64]&(1<<(n%64)) == 0 {
			return false
		}
	}
	return true
}

// spreads says whether a text may contain another one once its white space is gone and its letters are small. The other one has no
// white space and no large letters, and begins with no letter. What is not ASCII may be white space, or become a letter.
func spreads(text, what string) bool {
	for {
		i := strings.IndexByte(text, what[0])
		if i < 0 {
			return false
		}
		text = text[i+1:]
		if follows(text, what[1:]) {
			return true
		}
	}
}

func follows(text, what string) bool {
	for i := 0; what != ""; i++ {
		switch {
		case i == len(text):
			return false
		case text[i] >= 0x80:
			return true
		case text[i] == ' ' || '\t' <= text[i] && text[i] <= '\r':
			continue
		case text[i] != what[0] && (text[i] < 'A' || 'Z' < text[i] || text[i]|0x20 != what[0]):
			return false
		}
		what = what[1:]
	}
	return true
}
