package seclang

import (
	"fmt"
	"io/fs"
	"regexp"
	regexpsyntax "regexp/syntax"
	"slices"
	"strings"
	"sync"

	"github.com/doorward/doorward/seclang/judge"
	"github.com/doorward/doorward/seclang/pattern"
	"github.com/doorward/doorward/seclang/syntax"
	"github.com/doorward/doorward/seclang/transform"
)

// step is one transformation.
type step = transform.Func

func (c *compiler) step(name string) (step, error) {
	if s, ok := c.steps[name]; ok {
		return s, nil
	}
	s, ok := transform.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("there is no transformation %q", name)
	}
	c.steps[name] = s
	return s, nil
}

// operator is what a link asks of a value. One of its fields is set.
type operator struct {
	expression *expression
	phrases    *phrases
	judge      judge.Judge
	compare    judge.Comparison
	argument   macro  // of compare
	contains   string // the text of @contains, when it is constant
	always     bool   // @unconditionalMatch
}

func (c *compiler) operator(r *syntax.Rule) (operator, error) {
	o := r.Operator
	text, plain := o.Argument.Plain()
	var key string
	if plain {
		key = o.Name + " " + text
		if made, ok := c.operators[key]; ok && !strings.HasSuffix(o.Name, "fromfile") {
			return made, nil
		}
	}
	made, err := c.newOperator(o, text, plain, r.Files)
	if err != nil {
		return made, fmt.Errorf("operator @%s: %w", o.Name, err)
	}
	if plain {
		c.operators[key] = made
	}
	return made, nil
}

func (c *compiler) newOperator(o syntax.Operator, text string, plain bool, files fs.FS) (operator, error) {
	switch o.Name {
	case "unconditionalmatch":
		return operator{always: true}, nil
	case "nomatch":
		return operator{}, nil
	case "rx":
		e, err := c.expression(text)
		return operator{expression: e}, err
	case "pm":
		all, err := judge.Phrases(text)
		if err != nil {
			return operator{}, err
		}
		p, err := c.phrases(all)
		return operator{phrases: p}, err
	case "pmf", "pmfromfile":
		all, err := judge.PhraseFiles(text, files)
		if err != nil {
			return operator{}, err
		}
		p, err := c.phrases(all)
		return operator{phrases: p}, err
	}
	if compare, ok := judge.Compare(o.Name); ok {
		made := operator{compare: compare, argument: c.macro(o.Argument)}
		if o.Name == "contains" && plain {
			made.contains = text
		}
		return made, nil
	}
	if !plain {
		return operator{}, fmt.Errorf("a macro cannot stand in its argument")
	}
	j, err := judge.New(o.Name, text, files)
	return operator{judge: j}, err
}

// plain asks the operator about one value. What it found goes to TX.0 and the following when the rule captures.
func (o *operator) plain(t *Transaction, value string, captures bool) bool {
	switch {
	case o.always:
		return true
	case o.expression != nil:
		return o.expression.plain(t, value, captures)
	case o.phrases != nil:
		return o.phrases.plain(t, value, captures)
	case o.compare != nil:
		return o.compare(value, t.expand(&o.argument))
	case o.judge != nil:
		found, ok := o.judge(value)
		if ok && captures {
			t.capture(capture{groups: 1, known: []string{found}})
		}
		return ok
	}
	return false
}

// quick is plain by the fast means.
func (o *operator) quick(t *Transaction, value string, captures bool) bool {
	switch {
	case o.phrases != nil:
		return o.phrases.quick(t, value, captures)
	case o.expression == nil:
		return o.plain(t, value, captures)
	}
	at := o.expression.fast.MatchAt(value)
	if at >= 0 && captures {
		t.capture(capture{groups: o.expression.fast.Groups(), expression: o.expression.fast, text: value, at: at})
	}
	return at >= 0
}

// captured sets TX.0 to TX.9, whose slots are the first of the program.
func (t *Transaction) captured(n int, value string) {
	t.settle()
	t.tx.set(int32(n), captureNames[n], value)
}

// expression is the operator @rx.
type expression struct {
	flagged string // as Go's regexp is given it
	once    sync.Once
	re      *regexp.Regexp  // the plain way, compiled when it is first asked
	fast    *pattern.Regexp // nil in a program that is not prepared
	// bytes says that the expression is about bytes that are no UTF-8 (it names one above 0x7f): the value is read as
	// Latin-1 then, in which each byte is a character.
	bytes bool
}

// expression checks an expression as the published rules are tested: "." takes line ends, "^" and "$" are at them too.
func (c *compiler) expression(text string) (*expression, error) {
	e := &expression{bytes: !validWithEscapes(text), flagged: text}
	if !e.bytes {
		e.flagged = "(?sm)" + text
	}
	_, err := regexpsyntax.Parse(e.flagged, regexpsyntax.Perl)
	if err == nil && c.fast {
		e.fast, err = pattern.CompileIn(c.program.memory, text)
	}
	return e, err
}

// judge is Go's regexp; what can be parsed compiles.
func (e *expression) judge() *regexp.Regexp {
	e.once.Do(func() { e.re, _ = regexp.Compile(e.flagged) })
	return e.re
}

func (e *expression) plain(t *Transaction, value string, capture bool) bool {
	if e.bytes {
		value = fromLatin1(value)
	}
	if !capture {
		return e.judge().MatchString(value)
	}
	at := e.judge().FindStringSubmatchIndex(value)
	if at == nil {
		return false
	}
	for n := 0; n < len(at)/2 && n < len(captureNames); n++ {
		found := ""
		if at[2*n] >= 0 {
			found = value[at[2*n]:at[2*n+1]]
		}
		if e.bytes {
			found = toLatin1(found)
		}
		t.captured(n, found)
	}
	return true
}

// fromLatin1 makes a character of each byte.
func fromLatin1(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// toLatin1 makes a byte of each character; it undoes fromLatin1.
func toLatin1(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
	}
	return b.String()
}

// phrases is the operator @pm: any of many texts, without regard to the case of ASCII letters.
type phrases struct {
	all  []string         // in lower case
	fast *pattern.Phrases // nil in a program that is not prepared
}

func (c *compiler) phrases(all []string) (*phrases, error) {
	p := &phrases{}
	for _, one := range all {
		if one != "" {
			p.all = append(p.all, strings.ToLower(one)) // as Coraza does; the value's other letters stay
		}
	}
	if len(p.all) == 0 {
		return nil, fmt.Errorf("there is no phrase in it")
	}
	var err error
	if c.fast {
		p.fast, err = pattern.NewPhrases(p.all)
	}
	return p, err
}

// plain says whether any phrase is in the value. When the rule captures, it finds as many as are kept: at each place the
// longest that begins there.
func (p *phrases) plain(t *Transaction, value string, capture bool) bool {
	low := lowerASCII(value)
	if !slices.ContainsFunc(p.all, func(one string) bool { return strings.Contains(low, one) }) {
		return false
	}
	if !capture {
		return true
	}
	n := 0
	for i := 0; i < len(low) && n < len(captureNames); i++ {
		length := 0
		for _, one := range p.all {
			if len(one) > length && strings.HasPrefix(low[i:], one) {
				length = len(one)
			}
		}
		if length > 0 {
			t.captured(n, value[i:i+length])
			n++
		}
	}
	return true
}

// quick is plain by the automaton.
func (p *phrases) quick(t *Transaction, value string, captures bool) bool {
	if !captures {
		return p.fast.Match(value)
	}
	found := p.fast.Find(value, len(captureNames))
	if len(found) > 0 {
		t.capture(capture{groups: len(found), known: found})
	}
	return len(found) > 0
}

// lowerASCII folds A to Z and leaves all other bytes, so that positions stay.
func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
