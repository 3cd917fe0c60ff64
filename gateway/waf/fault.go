package waf

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync/atomic"
)

// Fault is what kept the engine from judging a request or its answer. It is no finding: nobody knows what the rules would have
// said. Where the site refuses, it is an error of the inspection's methods; where the site only tells, they go on without the rules. Either
// way the report has it.
type Fault struct {
	Kind  FaultKind // what failed
	Step  string    // where: request-headers, request-body, answer-headers, answer-body, end, compare
	Rule  int       // id of the rule that was being asked; 0 where there was none
	Err   error
	Stack string // of a panic
}

// FaultKind is what failed.
type FaultKind string

// The kinds of faults.
const (
	Panic FaultKind = "panic" // a defect of the engine
	Limit FaultKind = "limit" // the request has more than is looked at, and no rule refused it
	Rules FaultKind = "rules" // the rules cannot be used
)

// FaultKinds lists the kinds.
func FaultKinds() []FaultKind { return []FaultKind{Panic, Limit, Rules} }

// Error says what failed where.
func (f *Fault) Error() string { return fmt.Sprintf("%s in %s: %v", f.Kind, f.Step, f.Err) }

// Unwrap returns what happened.
func (f *Fault) Unwrap() error { return f.Err }

// errPairs is the limit that a stranger reaches with a few kilobytes.
var errPairs = errors.New("the query, the body or the cookies have more pairs than are looked at")

// faultCounts counts faults by kind.
type faultCounts struct{ panics, limits, rules atomic.Uint64 }

func (c *faultCounts) add(kind FaultKind) {
	switch kind {
	case Panic:
		c.panics.Add(1)
	case Limit:
		c.limits.Add(1)
	default:
		c.rules.Add(1)
	}
}

// panicked makes a fault of what recover returned.
func panicked(p any, step string) *Fault {
	err, ok := p.(error)
	if !ok {
		err = fmt.Errorf("%v", p)
	}
	return &Fault{Kind: Panic, Step: step, Err: err, Stack: string(debug.Stack())}
}

// catch ends a step in which the engine met a defect of its own; it is deferred. The transaction is let go as it is: nobody can say
// what state it is in, so no other request may get it.
func (i *Inspection) catch(step string, err *error) {
	p := recover()
	if p == nil {
		return
	}
	f := panicked(p, step)
	if errors.Is(f.Err, http.ErrAbortHandler) {
		panic(p) // an order to break the connection, and no defect
	}
	if i.tx != nil {
		f.Rule = i.tx.Rule()
	}
	i.tx = nil
	i.fail(f, err)
}

// fail keeps a fault, the first one of an inspection, and closes the door where the site refuses what rules find there and the
// answer is not out yet.
func (i *Inspection) fail(f *Fault, err *error) {
	i.site.engine.counters.faults.add(f.Kind)
	if i.fault == nil {
		i.fault = f
	}
	mode := i.site.options.Mode
	switch f.Step {
	case stepAnswerHeaders, stepAnswerBody:
		mode = i.site.options.Answers
	case stepEnd:
		return
	}
	if mode == Block {
		i.closed = true
		*err = f
	}
}

// The steps of an inspection, as faults name them.
const (
	stepRequestHeaders = "request-headers"
	stepRequestBody    = "request-body"
	stepAnswerHeaders  = "answer-headers"
	stepAnswerBody     = "answer-body"
	stepEnd            = "end"
	stepCompare        = "compare"
)

// whole tells of a request that had more than the rules were shown, and that they did not refuse.
func (i *Inspection) whole(v *Verdict, err *error) {
	if v == nil && i.tx.Dropped.Arguments > 0 {
		i.fail(&Fault{Kind: Limit, Step: stepRequestBody, Err: errPairs}, err)
	}
}
