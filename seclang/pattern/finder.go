package pattern

import (
	"fmt"
	"slices"
	"strings"
)

// Finder finds in one pass over a text which of many sets have a member in it. ASCII letters are taken as lower case.
//
// Each member has an anchor: the four bytes of it that are rarest in texts of its kind, or all of a shorter one. The pass looks at
// each place whether the bytes that end there may be an anchor, in tables of bits that stay in the processor's nearest memory, and
// waits for nothing that it found at the place before; only where they may be, members are compared.
type Finder struct {
	sets    int
	code    [256]uint8                 // six bits a byte; bytes that are in no member are 0, rare ones share codes
	triples [codes * codes]uint64      // bits of three codes: a member of up to three bytes ends there
	grams   [1 << gramBits / 64]uint64 // bits of the hashes of the anchors of four
	byPair  [codes*codes + 1]uint32    // the first of a pair's members in short, and the next pair's first
	short   []member
	table   []anchor // by hash; when that is taken, the next free place
	places  uint32   // shift of the hash for table
	long    []member
	text    string // of all members
	tells   []tell
}

const (
	codes    = 64
	codeBits = 6
	gramSize = 4
	gramMask = 1<<(codeBits*gramSize) - 1
	gramBits = 18 // of the hash: a few bits of a hundred are set
	// spread multiplies what is hashed (Knuth, The Art of Computer Programming 6.4).
	spread = 2654435769
	// triple marks the codes of three bytes.
	triple = 1 << (codeBits * gramSize)
)

// anchor is four codes, or three, and its members in long.
type anchor struct {
	codes    uint32
	from, to uint32 // none: a free place
}

// member is a text to be found.
type member struct {
	tell            // the first
	at       uint32 // in text
	size     uint16
	end      uint16 // bytes of it up to the end of its anchor
	from, to uint32 // the others in tells
}

// tell is what a member says: sets of one word of the hits.
type tell struct {
	word uint32
	bits uint64
}

// NewFinder takes the sets as Needs returns them, and the kind of texts that are searched. A set without members, or with an
// empty member, is an error: it would never, or always, be found.
func NewFinder(sets [][]string, texts Texts) (*Finder, error) {
	owners := make(map[string][]int)
	var all []string
	for i, set := range sets {
		if len(set) == 0 {
			return nil, fmt.Errorf("set %d has no members", i)
		}
		for _, text := range set {
			switch {
			case text == "":
				return nil, fmt.Errorf("set %d has an empty member", i)
			case len(text) > maxMember:
				text = text[:maxMember]
			}
			text = lower(text)
			if _, known := owners[text]; !known {
				all = append(all, text)
			}
			owners[text] = append(owners[text], i)
		}
	}
	// What Go's (?i) folds to ASCII letters belongs to every set.
	for _, text := range []string{string(longS), string(kelvin)} {
		if _, known := owners[text]; !known && len(sets) > 0 {
			all = append(all, text)
		}
		owners[text] = owners[text][:0]
		for i := range sets {
			owners[text] = append(owners[text], i)
		}
	}
	f := &Finder{sets: len(sets)}
	f.encode(all)
	b := &builder{finder: f, rarity: newRarity(texts), anchors: make(map[uint32][]member), pairs: make([][]member, codes*codes)}
	for _, text := range all {
		b.add(text, owners[text])
	}
	b.finish()
	return f, nil
}

// maxMember is how much of a member is compared; what has so much of it mostly has all of it.
const maxMember = 1 << 12

func lower(s string) string {
	out := []byte(s)
	for i, b := range out {
		out[i] = fold(b)
	}
	return string(out)
}

// encode gives codes to the bytes of the members: the most used have one of their own.
func (f *Finder) encode(all []string) {
	var used [256]int
	for _, text := range all {
		for i := range len(text) {
			used[text[i]]++
		}
	}
	var order []byte
	for b := range used {
		if used[b] > 0 {
			order = append(order, byte(b))
		}
	}
	slices.SortStableFunc(order, func(a, b byte) int { return used[b] - used[a] })
	for i, b := range order {
		// The last sixteen codes are for all that are left.
		const alone = codes - 1 - 16
		if i >= alone {
			i = alone + (i-alone)%16
		}
		f.code[b] = uint8(1 + i)
	}
	for b := byte('A'); b <= 'Z'; b++ {
		f.code[b] = f.code[fold(b)]
	}
}

// builder puts the members in their places.
type builder struct {
	finder  *Finder
	rarity  *rarity
	anchors map[uint32][]member
	pairs   [][]member
	order   []uint32 // the anchors in the order of their coming
	text    strings.Builder
}

func (b *builder) add(text string, owners []int) {
	f := b.finder
	m := member{at: uint32(b.text.Len()), size: uint16(len(text)), from: uint32(len(f.tells))}
	b.text.WriteString(text)
	var tells []tell
	for _, set := range owners {
		if last := len(tells) - 1; last >= 0 && tells[last].word == uint32(set/64) {
			tells[last].bits |= 1 << (set % 64)
			continue
		}
		tells = append(tells, tell{uint32(set / 64), 1 << (set % 64)})
	}
	m.tell = tells[0]
	f.tells = append(f.tells, tells[1:]...)
	m.to = uint32(len(f.tells))
	switch {
	case len(text) == 1:
		m.end = 1
		for before := range codes {
			at := before<<codeBits | int(f.code[text[0]])
			b.pairs[at] = append(b.pairs[at], m)
		}
	case len(text) == 2:
		m.end = 2
		at := f.codesOf(text)
		b.pairs[at] = append(b.pairs[at], m)
	case len(text) == 3:
		m.end = 3
		at := f.codesOf(text)
		f.triples[at/64] |= 1 << (at % 64)
		b.put(at|triple, m)
	default:
		m.end = uint16(b.rarest(text))
		b.put(f.codesOf(text[m.end-gramSize:m.end]), m)
	}
}

func (b *builder) put(at uint32, m member) {
	if b.anchors[at] == nil {
		b.order = append(b.order, at)
	}
	b.anchors[at] = append(b.anchors[at], m)
}

// codesOf are the codes of up to four bytes in one number.
func (f *Finder) codesOf(s string) (n uint32) {
	for i := range len(s) {
		n = n<<codeBits | uint32(f.code[s[i]])
	}
	return n
}

// rarest is where the four bytes end that are rarest in usual texts. Some that many members have already are as bad as some that
// are not so rare.
func (b *builder) rarest(text string) (end int) {
	least := 0.0
	for i := gramSize; i <= len(text); i++ {
		part := text[i-gramSize : i]
		taken := len(b.anchors[b.finder.codesOf(part)])
		if expect := b.rarity.expect(part) * float64(1+taken); end == 0 || expect < least {
			end, least = i, expect
		}
	}
	return end
}

func (b *builder) finish() {
	f := b.finder
	f.text = b.text.String()
	for at, members := range b.pairs {
		f.short = append(f.short, members...)
		f.byPair[at+1] = uint32(len(f.short))
		for before := range codes {
			if len(members) > 0 {
				f.triples[before<<codeBits|at/64] |= 1 << (at % 64)
			}
		}
	}
	bits := uint32(1)
	for 1<<bits < 2*len(b.order) {
		bits++
	}
	f.table, f.places = make([]anchor, 1<<bits), 32-bits
	for _, at := range b.order {
		if at < triple {
			h := at << 8 * spread >> (32 - gramBits)
			f.grams[h/64] |= 1 << (h % 64)
		}
		slot := at * spread >> f.places
		for f.table[slot].to != 0 {
			slot = (slot + 1) & uint32(len(f.table)-1)
		}
		from := uint32(len(f.long))
		f.long = append(f.long, b.anchors[at]...)
		f.table[slot] = anchor{at, from, uint32(len(f.long))}
	}
}

// Words is the length of the slice that Scan fills: one bit a set.
func (f *Finder) Words() int { return (f.sets + 63) / 64 }

// Scan sets bit i%64 of hits[i/64] for each set i that has a member in s, and clears none. A text with U+017F or
// U+212A sets every bit. hits has Words words.
func (f *Finder) Scan(s string, hits []uint64) {
	if f.sets == 0 {
		return
	}
	for i, at := f.next(s, 0, 0); i > 0; i, at = f.next(s, i, at) {
		f.compare(s, i, at, hits)
	}
}

// next reads on from a place, with the codes before it, to where an anchor may end; it returns 0 at the end of the text. It is
// a function of its own so that all it needs stays in registers.
func (f *Finder) next(s string, i int, at uint32) (int, uint32) {
	code, triples, grams := &f.code, &f.triples, &f.grams
	for i < len(s) {
		at = at<<codeBits | uint32(code[s[i]])
		i++
		h := at << 8 * spread
		if triples[at>>codeBits&(codes*codes-1)]&(1<<(at%64)) != 0 || grams[h>>(38-gramBits)]&(1<<(h>>(32-gramBits)%64)) != 0 {
			return i, at
		}
	}
	return 0, 0
}

// compare looks for the members whose anchors may end at a place.
func (f *Finder) compare(s string, end int, at uint32, hits []uint64) {
	pair := at % (codes * codes)
	for i := f.byPair[pair]; i < f.byPair[pair+1]; i++ {
		f.ask(&f.short[i], s, end, hits)
	}
	if f.triples[at>>codeBits%(codes*codes)]>>(at%64)&1 != 0 {
		members := f.members(at%(codes*codes*codes) | triple)
		for i := range members {
			f.ask(&members[i], s, end, hits)
		}
	}
	if h := at << 8 * spread >> (32 - gramBits); f.grams[h/64]>>(h%64)&1 != 0 {
		members := f.members(at & gramMask)
		for i := range members {
			f.ask(&members[i], s, end, hits)
		}
	}
}

// members are those of an anchor.
func (f *Finder) members(at uint32) []member {
	for slot := at * spread >> (f.places & 31); ; slot = (slot + 1) & uint32(len(f.table)-1) {
		a := &f.table[slot]
		if a.to == 0 || a.codes == at {
			return f.long[a.from:a.to]
		}
	}
}

// ask compares one member, unless what it says is said already.
func (f *Finder) ask(m *member, s string, end int, hits []uint64) {
	if hits[m.word]&m.bits == m.bits && m.from == m.to {
		return
	}
	from := end - int(m.end)
	if from < 0 || from+int(m.size) > len(s) {
		return
	}
	text := f.text[m.at : m.at+uint32(m.size)]
	there := s[from : from+len(text)]
	for i := range len(text) {
		if fold(there[i]) != text[i] {
			return
		}
	}
	hits[m.word] |= m.bits
	for _, t := range f.tells[m.from:m.to] {
		hits[t.word] |= t.bits
	}
}

// Size returns the members of the finder and the bytes it holds.
func (f *Finder) Size() (members, bytes int) {
	return len(f.long) + len(f.short), len(f.text) + 36*(len(f.long)+len(f.short)) + 16*len(f.tells) + 12*len(f.table) + 8*len(f.grams) + 8*len(f.triples) + 4*len(f.byPair)
}
