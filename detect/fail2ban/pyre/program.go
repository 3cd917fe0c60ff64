package pyre

import "unicode/utf8"

// instOp is what one step of a program does.
type instOp uint8

const (
	instLiteral   instOp = iota // literal stands here
	instSet                     // one character of set
	instAt                      // place
	instJump                    // go to x
	instSplit                   // try x, then y
	instSave                    // a group's border: slot x
	instRun                     // a run of characters of set, min to max
	instEnter                   // a loop begins: its registers are x and x+1
	instLoop                    // once more to x, or on to y; registers in slot
	instAtomic                  // match the program at x on its own, then go to y
	instPossess                 // match the program at x on its own, min to max times, then go to y
	instLook                    // look with the program at x, then go to y
	instProbe                   // look with probes
	instRef                     // what group slot has captured
	instCondition               // to x if group slot took part, else to y
	instMatch                   // the end of the program, or of one run on its own
)

// inst is one step.
type inst struct {
	op       instOp
	manner   manner
	place    place
	behind   bool
	negative bool
	fold     flags // instRef: IgnoreCase and ASCII
	dot      bool  // instRun: the set is all but newline
	x, y     int
	slot     int
	min, max int
	literal  string
	set      *runeSet
	then     *byteSet // instRun: with what the rest can begin; instSplit and instLoop: with what x can
	other    *byteSet // instSplit and instLoop: with what y can
	probes   []probe  // instProbe; instRun: what must hold before each character, if guarded
	guarded  bool
	hint     string // instRun: the literal that follows for certain
	needs    string // instSplit: what must stand somewhere behind for x to lead anywhere
}

// program is what the matcher runs.
type program struct {
	insts     []inst
	registers int
	caps      int
	anchored  bool     // a match can start at the start of the text only
	lines     bool     // a match can start at the start of a line only
	begin     *byteSet // with what a match can start; nil: unknown
	next      *byteSet // what can follow the first character if that is ASCII; nil: unknown
	prefix    string   // what every match starts with; "" with lines
	lead      string   // the same, with lines too

	seen     []int // while sets are computed
	closures int
}

// maxProgram bounds the memory of one expression.
const maxProgram = 1 << 17

type emitter struct {
	insts     []inst
	registers int
	widths    [][2]int64 // of groups
	tooLong   bool
	later     map[int]string // by group: what must come behind once it took part, because a condition asks for that
	alones    int            // programs on their own around what is emitted
}

func emitProgram(n *node, widths [][2]int64) (*program, bool) {
	e := &emitter{widths: widths, later: map[int]string{}}
	for _, sub := range (&node{op: nodeConcat, subs: []*node{n}}).flat() {
		if sub.op != nodeCond {
			continue
		}
		if q := sub.subs[0].literals(); len(q.texts) == 1 && !q.fold {
			e.later[sub.group] = q.texts[0]
		}
	}
	e.node(n)
	e.add(inst{op: instMatch})
	p := &program{insts: e.insts, registers: e.registers, caps: 2 * len(widths), anchored: anchored(n, false), lines: anchored(n, true)}
	if e.tooLong {
		return nil, false
	}
	p.look()
	return p, true
}

func (e *emitter) add(i inst) int {
	if len(e.insts) >= maxProgram {
		e.tooLong = true
		return 0
	}
	e.insts = append(e.insts, i)
	return len(e.insts) - 1
}

func (e *emitter) node(n *node) {
	switch n.op {
	case nodeRune:
		e.rune(n)
	case nodeSet:
		e.add(inst{op: instSet, set: n.set})
	case nodeConcat:
		e.concat(n.subs)
	case nodeAlternate:
		e.alternate(n.subs)
	case nodeRepeat:
		e.repeat(n)
	case nodeGroup:
		if n.group > 0 {
			e.add(inst{op: instSave, x: 2 * n.group})
		}
		e.node(n.subs[0])
		if n.group > 0 {
			e.add(inst{op: instSave, x: 2*n.group + 1})
		}
	case nodeAtomic:
		e.alone(inst{op: instAtomic}, n.subs[0])
	case nodeLook:
		if all := probes(n.subs[0]); all != nil {
			e.add(inst{op: instProbe, probes: all, behind: n.behind, negative: n.negative})
			break
		}
		low, _ := n.subs[0].width(e.widths)
		e.alone(inst{op: instLook, behind: n.behind, negative: n.negative, min: int(low)}, n.subs[0])
	case nodeRef:
		e.add(inst{op: instRef, slot: n.group, fold: n.flags & (flagIgnoreCase | flagASCII)})
	case nodeCond:
		delete(e.later, n.group) // it does not come later any more
		at := e.add(inst{op: instCondition, slot: n.group})
		e.insts[at].x = len(e.insts)
		e.node(n.subs[0])
		jump := e.add(inst{op: instJump})
		e.insts[at].y = len(e.insts)
		e.node(n.subs[1])
		e.insts[jump].x = len(e.insts)
	case nodeAt:
		e.add(inst{op: instAt, place: n.place})
	}
}

// concat emits what stands in a row; characters of which each is only itself become one literal.
func (e *emitter) concat(subs []*node) {
	text := ""
	flush := func() {
		if text != "" {
			e.add(inst{op: instLiteral, literal: text})
			text = ""
		}
	}
	for _, sub := range subs {
		if sub.op == nodeRune && utf8.ValidRune(sub.r) && sub.single() == nil {
			text += string(sub.r)
			continue
		}
		flush()
		e.node(sub)
	}
	flush()
}

// rune emits a character.
func (e *emitter) rune(n *node) {
	if set := n.single(); set != nil {
		e.add(inst{op: instSet, set: set})
		return
	}
	if !utf8.ValidRune(n.r) { // half a surrogate pair: no text has it
		e.add(inst{op: instSet, set: (&runeSet{}).seal()})
		return
	}
	e.add(inst{op: instLiteral, literal: string(n.r)})
}

// single returns the set of characters that n equals if case is ignored; nil if n is only itself.
func (n *node) single() *runeSet {
	if n.flags&flagIgnoreCase == 0 {
		return nil
	}
	all := folds(n.r, n.flags&flagASCII != 0)
	if len(all) < 2 {
		return nil
	}
	set := &runeSet{}
	for _, r := range all {
		set.items = append(set.items, setItem{low: r, high: r})
	}
	return set.seal()
}

func (e *emitter) alternate(subs []*node) {
	var jumps []int
	for i, sub := range subs {
		if i == len(subs)-1 {
			e.node(sub)
			break
		}
		split := e.add(inst{op: instSplit, needs: e.needs(sub)})
		e.insts[split].x = len(e.insts)
		e.node(sub)
		jumps = append(jumps, e.add(inst{op: instJump}))
		e.insts[split].y = len(e.insts)
	}
	for _, jump := range jumps {
		e.insts[jump].x = len(e.insts)
	}
}

// needs is what must stand behind the place where sub begins, if it is what is chosen: a condition on a group that it captures asks for that
// later. In (a)|b followed by (?(1)c|d), no text without a c need be tried with a. What is matched on its own is chosen for good, whatever
// comes later.
func (e *emitter) needs(sub *node) string {
	if e.alones > 0 {
		return ""
	}
	switch sub.op {
	case nodeGroup:
		if text := e.later[sub.group]; text != "" {
			return text
		}
		return e.needs(sub.subs[0])
	case nodeConcat:
		for _, part := range sub.subs {
			if text := e.needs(part); text != "" {
				return text
			}
		}
	}
	return ""
}

// alone emits a program that is matched on its own, without a way back into it.
func (e *emitter) alone(i inst, sub *node) {
	at := e.add(i)
	e.insts[at].x = len(e.insts)
	e.alones++
	e.node(sub)
	e.alones--
	e.add(inst{op: instMatch})
	e.insts[at].y = len(e.insts)
}

func (e *emitter) repeat(n *node) {
	sub := n.subs[0]
	for sub.op == nodeGroup && sub.group == 0 || sub.op == nodeConcat && len(sub.subs) == 1 {
		sub = sub.subs[0]
	}
	if i, ok := runOf(sub); ok {
		i.min, i.max, i.manner = n.min, n.max, n.manner
		e.add(i)
		return
	}
	if n.manner == possessive {
		e.alone(inst{op: instPossess, min: n.min, max: n.max}, sub)
		return
	}
	if copies := max(n.min, n.max); copies <= maxCopies && copies*sub.size() <= maxCopied && (!sub.nullable() || n.min == n.max) {
		e.copies(n, sub)
		return
	}
	register := e.registers
	e.registers += 2
	e.add(inst{op: instEnter, x: register})
	loop := e.add(inst{op: instLoop, slot: register, min: n.min, max: n.max, manner: n.manner})
	e.insts[loop].x = len(e.insts)
	e.node(sub)
	e.add(inst{op: instJump, x: loop})
	e.insts[loop].y = len(e.insts)
}

// Bounds on repetitions that are written out: what is small needs no counter.
const (
	maxCopies = 8
	maxCopied = 64
)

// copies writes a repetition out. No round can be empty, or the number of rounds is fixed: in neither case does Python end at an empty one.
func (e *emitter) copies(n, sub *node) {
	for range n.min {
		e.node(sub)
	}
	split := func() (at int) {
		at = e.add(inst{op: instSplit})
		e.insts[at].x, e.insts[at].y = len(e.insts), len(e.insts)
		return at
	}
	leave := func(at int) { // to what follows
		if n.manner == lazy {
			e.insts[at].x = len(e.insts)
		} else {
			e.insts[at].y = len(e.insts)
		}
	}
	if n.max == infinite {
		at := split()
		e.node(sub)
		e.add(inst{op: instJump, x: at})
		leave(at)
		return
	}
	var all []int
	for range n.max - n.min {
		all = append(all, split())
		e.node(sub)
	}
	for _, at := range all {
		leave(at)
	}
}

// size counts the nodes from n down.
func (n *node) size() int {
	count := 0
	n.walk(func(*node) { count++ })
	return count
}

// runOf makes a run of what is one character, maybe with a look ahead before each one, as in (?:(?! from ).)*.
func runOf(n *node) (inst, bool) {
	i := inst{op: instRun}
	if n.op == nodeConcat && len(n.subs) == 2 && n.subs[0].op == nodeLook && !n.subs[0].behind {
		i.probes, i.negative, i.guarded = probes(n.subs[0].subs[0]), n.subs[0].negative, true
		if i.probes == nil {
			return i, false
		}
		n = n.subs[1]
	}
	switch n.op {
	case nodeSet:
		i.set = n.set
	case nodeRune:
		if i.set = n.single(); i.set == nil {
			i.set = (&runeSet{items: []setItem{{low: n.r, high: n.r}}}).seal()
		}
	default:
		return i, false
	}
	i.dot = !i.guarded && i.set.negative && len(i.set.items) == 1 && i.set.items[0] == setItem{low: '\n', high: '\n'}
	return i, true
}

// anchored says whether n can match at the start of the text only, or of a line.
func anchored(n *node, line bool) bool {
	switch n.op {
	case nodeAt:
		return n.place == placeTextStart || line && n.place == placeLineStart
	case nodeConcat:
		return len(n.subs) > 0 && anchored(n.subs[0], line)
	case nodeGroup, nodeAtomic:
		return anchored(n.subs[0], line)
	case nodeAlternate:
		for _, sub := range n.subs {
			if !anchored(sub, line) {
				return false
			}
		}
		return true
	}
	return false
}
