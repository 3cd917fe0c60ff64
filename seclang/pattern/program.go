package pattern

import (
	"regexp/syntax"
	"slices"
	"sync"
)

// maxInstructions is what a program counter in a state has room for.
const maxInstructions = 1 << 16

// program is what the automaton runs: the expression's instructions over classes.
type program struct {
	*classes
	inst  []instruction
	start uint16
	needs syntax.EmptyOp // all that the assertions ask
}

// instruction is syntax.Inst without its characters.
type instruction struct {
	op   syntax.InstOp
	set  uint16 // of classes it takes
	out  uint16
	arg  uint16         // the other way of an Alt
	need syntax.EmptyOp // what an assertion asks
}

// newProgram returns false when the program has too many instructions or classes for an automaton.
func newProgram(prog *syntax.Prog, bytes bool) (*program, bool) {
	if len(prog.Inst) > maxInstructions {
		return nil, false
	}
	c, ok := newClasses(prog, bytes)
	if !ok {
		return nil, false
	}
	p := &program{classes: c, inst: make([]instruction, len(prog.Inst)), start: uint16(prog.Start)}
	for i := range prog.Inst {
		in := &prog.Inst[i]
		to := instruction{op: in.Op, out: uint16(in.Out), set: c.setOf[i]}
		switch in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			to.op, to.arg = syntax.InstAlt, uint16(in.Arg)
		case syntax.InstCapture:
			to.op = syntax.InstNop
		case syntax.InstEmptyWidth:
			to.need = syntax.EmptyOp(in.Arg)
			p.needs |= to.need
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			to.op = syntax.InstRune
		}
		p.inst[i] = to
	}
	c.setOf = nil
	// What no assertion asks about is not told apart, or there would be twice the states.
	if p.needs&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) == 0 {
		for i, k := range c.kind {
			if k == kindWord {
				c.kind[i] = kindOther
			}
		}
	}
	if p.needs&(syntax.EmptyBeginLine|syntax.EmptyEndLine) == 0 {
		for i, k := range c.kind {
			if k == kindNewline {
				c.kind[i] = kindOther
			}
		}
	}
	return p, true
}

// scratch is the room in which sets of instructions are put together.
type scratch struct {
	mark    []uint32 // by instruction: the last round that met it
	round   uint32
	stack   []uint16
	found   []uint16 // instructions that wait for a character or for what follows
	waiting []uint16 // those before a character
	key     []byte
	match   bool
	steps   uint64
}

// scratches hands out room; states are made rarely, so that few are ever in use.
type scratches struct{ pool sync.Pool }

func (s *scratches) get(instructions int) *scratch {
	w, ok := s.pool.Get().(*scratch)
	if !ok {
		w = &scratch{}
	}
	if len(w.mark) < instructions {
		w.mark, w.round = make([]uint32, instructions), 0
	}
	w.steps = 0
	return w
}

func (s *scratches) put(w *scratch) { s.pool.Put(w) }

// begin empties the set.
func (w *scratch) begin() {
	w.round++
	if w.round == 0 {
		clear(w.mark)
		w.round = 1
	}
	w.found, w.match = w.found[:0], false
}

// follow adds to the set what is reached from pc without a character, where the assertions in have hold. With
// open, those that depend on the next character are kept as members to be asked again.
func (w *scratch) follow(p *program, pc uint16, have syntax.EmptyOp, open bool) {
	const behind = syntax.EmptyBeginLine | syntax.EmptyBeginText
	w.stack = append(w.stack[:0], pc)
	for len(w.stack) > 0 {
		pc := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		w.steps++
		if w.mark[pc] == w.round {
			continue
		}
		w.mark[pc] = w.round
		in := &p.inst[pc]
		switch in.op {
		case syntax.InstAlt:
			w.stack = append(w.stack, in.arg, in.out)
		case syntax.InstNop:
			w.stack = append(w.stack, in.out)
		case syntax.InstMatch:
			w.match = true
			return
		case syntax.InstRune:
			w.found = append(w.found, pc)
		case syntax.InstEmptyWidth:
			switch missing := in.need &^ have; {
			case missing == 0:
				w.stack = append(w.stack, in.out)
			case open && missing&behind == 0:
				w.found = append(w.found, pc)
			}
		}
	}
}

// name writes the set, after the kind of character before it, as the key by which states are told apart.
func (w *scratch) name(before kind) {
	slices.Sort(w.found)
	w.key = append(w.key[:0], byte(before))
	for _, pc := range w.found {
		w.key = append(w.key, byte(pc), byte(pc>>8))
	}
}
