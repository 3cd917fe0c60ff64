package waf

import (
	"fmt"
	"sync"
	"sync/atomic"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

// ruleset is the rules of one or more sites. They are compiled when a site asks for them first: plainly at once, which takes a
// tenth of a second or two, and for the fast way behind its back, which takes a second or more. Until that is done, requests are
// judged the plain way: the same verdicts, with some milliseconds for each. So a restart waits for neither, and a command
// that only looks at the configuration does not pay.
type ruleset struct {
	own           bool // with Doorward's changes
	before, after []Text

	load  sync.Once
	err   error
	ready chan struct{}                   // closed when the fast way is there, or cannot be
	best  atomic.Pointer[seclang.Program] // plain, and then fast: the expressions of the plain one are let go
	fast  atomic.Bool                     // best is the fast one
}

// program returns the best program there is now.
func (r *ruleset) program() (*seclang.Program, error) {
	r.load.Do(r.compile)
	if r.err != nil {
		return nil, r.err
	}
	return r.best.Load(), nil
}

func (r *ruleset) compile() {
	r.ready = make(chan struct{})
	var rules *syntax.Rules
	var narrowed []seclang.Narrowing
	plain, err := guarded(func() (_ *seclang.Program, err error) {
		if rules, narrowed, err = r.parse(); err != nil {
			return nil, err
		}
		return seclang.CompilePlain(rules, narrowed...)
	})
	if err != nil {
		r.err = err
		close(r.ready)
		return
	}
	r.best.Store(plain)
	go func() {
		defer close(r.ready)
		// What compiles plainly compiles for the fast way too; if it did not, requests would go on the plain way, and the metrics say so.
		if p, err := guarded(func() (*seclang.Program, error) { return seclang.Compile(rules, narrowed...) }); err == nil {
			r.best.Store(p)
			r.fast.Store(true)
		}
	}()
}

// guarded makes an error of a panic: a defect of the compiler must not end the process.
func guarded(compile func() (*seclang.Program, error)) (program *seclang.Program, err error) {
	defer func() {
		if p := recover(); p != nil {
			program, err = nil, fmt.Errorf("compile rules: panic: %v", p)
		}
	}()
	return compile()
}

func (r *ruleset) parse() (*syntax.Rules, []seclang.Narrowing, error) {
	sources := []syntax.Source{{Name: "@coraza.conf-recommended", Files: coreruleset.FS}, {Name: "@crs-setup.conf.example", Files: coreruleset.FS}}
	var own changed
	if r.own {
		var err error
		if own, err = allChanges(); err != nil {
			return nil, nil, err
		}
		sources = append(sources, syntax.Source{Name: "@doorward/own.conf", Text: own.before})
	}
	for _, t := range r.before {
		sources = append(sources, syntax.Source{Name: t.Name, Text: t.Text + "\n"})
	}
	sources = append(sources, syntax.Source{Name: "@owasp_crs/*.conf", Files: coreruleset.FS})
	for _, t := range r.after {
		sources = append(sources, syntax.Source{Name: t.Name, Text: t.Text + "\n"})
	}
	rules, err := syntax.Parse(sources...)
	if err != nil {
		return nil, nil, fmt.Errorf("read rules: %w", err)
	}
	return rules, own.narrowings, nil
}
