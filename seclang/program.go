package seclang

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/doorward/doorward/seclang/pattern"
	"github.com/doorward/doorward/seclang/syntax"
)

// Program is a compiled set of rules. Nothing changes it, and any number of goroutines use it at once.
type Program struct {
	prepared bool       // for the fast way
	rules    []rule     // in the order of the files
	phases   [6][]int32 // the rules of each phase; 0 is empty
	settings syntax.Settings
	names    map[string]int32 // TX variables that the rules name, by lower case
	pool     *sync.Pool
	plan     *plan
	memory   *pattern.Memory
}

// rule is one rule with its chain.
type rule struct {
	source *syntax.Rule
	index  int32
	phase  syntax.Phase
	links  []link // the rule itself and the links of its chain
	next   int32  // where the phase goes on after a match: an index in phases
	jumps  bool   // whether next is meant
}

// link is a rule of a chain, or the only one.
type link struct {
	source   *syntax.Rule
	always   bool
	targets  []target
	exclude  []target
	steps    []step
	path     []int32 // nodes of the plan: the value as it is, and after each step
	spread   bool    // the operator's text is looked for in the value as it came, first (spreads)
	operator operator
	effects  []effect
	message  macro
	logData  macro
	location macro // of a redirect
	narrowed []Narrowing
}

// target is what a link looks at.
type target struct {
	syntax.Target
	low  string // Key in lower case
	slot int32  // of a TX variable by name; -1
	// known says of a pattern of TX variables by slot whether it matches, for the variables that rules name; the fast way does not ask again.
	known []bool
	must  string // what every name that it matches contains

	group int32   // of the plan; -1 is looked at the plain way
	needs []int32 // sets of words that a value must have
}

// Compile makes a program of rules that were read. The error names every rule that cannot be compiled, with its place.
// narrowed are applied to the rules that are loaded.
func Compile(rules *syntax.Rules, narrowed ...Narrowing) (*Program, error) {
	return compile(rules, true, narrowed)
}

// CompilePlain is Compile without the preparation of the fast way, which takes most of the time: all sites of the program are plain.
func CompilePlain(rules *syntax.Rules, narrowed ...Narrowing) (*Program, error) {
	return compile(rules, false, narrowed)
}

func compile(rules *syntax.Rules, fast bool, narrowed []Narrowing) (*Program, error) {
	c := &compiler{fast: fast, program: &Program{settings: rules.Settings, names: map[string]int32{},
		memory: pattern.NewMemory(maxStates)}, steps: map[string]step{},
		operators: map[string]operator{}}
	for i := range captureNames {
		c.slot(captureNames[i])
	}
	for _, r := range rules.Items {
		if r.Marker == "" {
			c.add(r)
		}
	}
	c.jumps(rules.Items)
	c.removals()
	c.program.prepared = fast
	if len(c.problems) == 0 && fast {
		if err := c.plan(); err != nil {
			c.problems = append(c.problems, err)
		}
	}
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("compile rules: %w", errors.Join(c.problems...))
	}
	p := c.program
	p.narrow(narrowed)
	p.pool = &sync.Pool{New: func() any { return newTransaction(p) }}
	return p, nil
}

// Rules returns how many rules the program holds; a chain is one.
func (p *Program) Rules() int { return len(p.rules) }

// Rule returns the rule with that id as it was written, or nil.
func (p *Program) Rule(id int) *syntax.Rule {
	for i := range p.rules {
		if p.rules[i].source.ID == id {
			return p.rules[i].source
		}
	}
	return nil
}

// Settings returns what the directives of the rules said besides rules.
func (p *Program) Settings() syntax.Settings { return p.settings }

// Usage counts what the automata of the program's expressions hold, and how often they were full.
func (p *Program) Usage() pattern.Usage { return p.memory.Usage() }

// maxStates is what the states of all expressions may take, in bytes, shared by all sites.
const maxStates = 32 << 20

// captureNames are the variables that hold what an operator found: TX.0 to TX.9.
var captureNames = [10]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}

// compiler is where the compilation stands.
type compiler struct {
	fast      bool
	program   *Program
	problems  []error
	steps     map[string]step
	operators map[string]operator
}

func (c *compiler) errorf(r *syntax.Rule, format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("%s: %s", r.Place, fmt.Sprintf(format, args...)))
}

// slot is the place of a TX variable.
func (c *compiler) slot(name string) int32 {
	name = strings.ToLower(name)
	n, ok := c.program.names[name]
	if !ok {
		n = int32(len(c.program.names))
		c.program.names[name] = n
	}
	return n
}

func (c *compiler) add(r *syntax.Rule) {
	p := c.program
	compiled := rule{source: r, index: int32(len(p.rules)), phase: r.Phase}
	compiled.links = append(compiled.links, c.link(r))
	for _, l := range r.Chain {
		compiled.links = append(compiled.links, c.link(l))
	}
	p.rules = append(p.rules, compiled)
	p.phases[r.Phase] = append(p.phases[r.Phase], compiled.index)
}

func (c *compiler) link(r *syntax.Rule) link {
	l := link{source: r, always: r.Always, message: c.macro(r.Message), logData: c.macro(r.LogData),
		location: c.macro(r.Location)}
	for _, t := range r.Targets {
		compiled := target{Target: t, low: strings.ToLower(t.Key), slot: -1}
		if t.Exclude {
			l.exclude = append(l.exclude, compiled)
			continue
		}
		if t.Variable == syntax.TX && t.Key != "" {
			compiled.slot = c.slot(t.Key)
		}
		l.targets = append(l.targets, compiled)
	}
	for _, name := range r.Transformations {
		s, err := c.step(name)
		if err != nil {
			c.errorf(r, "%v", err)
			continue
		}
		l.steps = append(l.steps, s)
	}
	if !r.Always {
		var err error
		if l.operator, err = c.operator(r); err != nil {
			c.errorf(r, "%v", err)
		}
	}
	for _, e := range r.Effects {
		l.effects = append(l.effects, c.effect(e))
	}
	return l
}

// jumps finds where skip and skipAfter lead.
func (c *compiler) jumps(items []*syntax.Rule) {
	p := c.program
	// before[i] is how many rules of each phase stand before items[i].
	var count [6]int32
	before := make([][6]int32, len(items)+1)
	for i, r := range items {
		before[i] = count
		if r.Marker == "" {
			count[r.Phase]++
		}
	}
	index := 0
	for i, r := range items {
		if r.Marker != "" {
			continue
		}
		compiled := &p.rules[index]
		index++
		switch {
		case r.SkipAfter != "":
			for j := i + 1; j < len(items); j++ {
				if items[j].Marker == r.SkipAfter {
					compiled.next, compiled.jumps = before[j][r.Phase], true
					break
				}
			}
		case r.Skip > 0:
			compiled.next, compiled.jumps = before[i][r.Phase]+1+int32(r.Skip), true
		}
	}
}
