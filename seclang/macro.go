package seclang

import (
	"github.com/doorward/doorward/seclang/syntax"
)

// macro is text with places to fill.
type macro struct {
	plain  string // when nothing is to fill
	tokens []token
}

type token struct {
	syntax.Token
	slot int32 // of a TX variable; -1
}

func (c *compiler) macro(m syntax.Macro) macro {
	if plain, ok := m.Plain(); ok {
		return macro{plain: plain}
	}
	var compiled macro
	for _, t := range m {
		one := token{Token: t, slot: -1}
		if t.Variable == syntax.TX && t.Key != "" {
			one.slot = c.slot(t.Key)
		}
		compiled.tokens = append(compiled.tokens, one)
	}
	return compiled
}

// empty says whether there is no text at all.
func (m *macro) empty() bool { return m.plain == "" && m.tokens == nil }

// expand fills the macro in. A variable that has no value leaves its name, as in Coraza.
func (t *Transaction) expand(m *macro) string {
	switch len(m.tokens) {
	case 0:
		return m.plain
	case 1:
		return t.fill(&m.tokens[0])
	}
	var room [128]byte // most are short: one piece of memory, made at the end
	b := room[:0]
	for i := range m.tokens {
		b = append(b, t.fill(&m.tokens[i])...)
	}
	return string(b)
}

func (t *Transaction) fill(k *token) string {
	switch {
	case k.Variable == syntax.NoVariable:
		return k.Text
	case k.slot >= 0:
		if k.slot < int32(len(captureNames)) {
			if !t.quoting {
				t.settle()
			} else if text, ok := t.quote(int(k.slot)); ok {
				return text
			}
		}
		if v := &t.tx.slots[k.slot]; v.set {
			return v.value
		}
		return k.Text
	case k.Variable.Keyed():
		if value, ok := t.first(k.Variable, k.Key); ok {
			return value
		}
		return k.Text
	}
	return t.singleValue(k.Variable)
}
