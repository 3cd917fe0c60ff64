package sigma

import (
	"errors"
	"fmt"
	"strings"
)

// Caps on a condition.
const (
	maxConditionBytes = 16 << 10
	maxConditionDepth = 64
)

// identifierProblem says why a search identifier cannot be named in a condition.
func identifierProblem(name string) string {
	for _, r := range name {
		if !(r == '_' || r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return fmt.Sprintf("the search identifier %q may have letters, digits, and _ - . only", name)
		}
	}
	switch strings.ToLower(name) {
	case "", "and", "or", "not", "of", "them", "all", "any", "1":
		return fmt.Sprintf("the search identifier %q is a word of the condition; name it otherwise", name)
	}
	return ""
}

// parseCondition parses a condition over the search identifiers names; what it returns has opName for each.
//
//	or    = and { "or" and }
//	and   = not { "and" not }
//	not   = "not" not | "(" or ")" | ( "1" | "any" | "all" ) "of" ( "them" | pattern ) | identifier
func parseCondition(text string, names []string) (*node, error) {
	if len(text) > maxConditionBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxConditionBytes)
	}
	if strings.Contains(text, "|") {
		return nil, errors.New("counting behind | is the old way; write a correlation instead")
	}
	c := &conditionParser{words: words(text), names: names}
	n, err := c.or(0)
	if err != nil {
		return nil, err
	}
	if word := c.peek(); word != "" {
		return nil, fmt.Errorf("%q is not expected behind %q", word, c.words[c.at-1])
	}
	return n, nil
}

// words splits at spaces; brackets are words of their own.
func words(text string) []string {
	text = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text)
	return strings.Fields(text)
}

type conditionParser struct {
	words []string
	at    int
	names []string
}

func (c *conditionParser) peek() string {
	if c.at < len(c.words) {
		return c.words[c.at]
	}
	return ""
}

// take moves on if the next word is one of the given.
func (c *conditionParser) take(word string) bool {
	if !strings.EqualFold(c.peek(), word) {
		return false
	}
	c.at++
	return true
}

func (c *conditionParser) or(depth int) (*node, error) {
	return c.list(depth, "or", opOr, func() (*node, error) {
		return c.list(depth, "and", opAnd, func() (*node, error) { return c.not(depth) })
	})
}

func (c *conditionParser) list(depth int, word string, o op, part func() (*node, error)) (*node, error) {
	if depth > maxConditionDepth {
		return nil, errors.New("it is nested too deep")
	}
	var kids []*node
	for {
		n, err := part()
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
		if !c.take(word) {
			return join(o, kids), nil
		}
	}
}

func (c *conditionParser) not(depth int) (*node, error) {
	if depth > maxConditionDepth {
		return nil, errors.New("it is nested too deep")
	}
	switch word := c.peek(); {
	case word == "":
		if c.at == 0 {
			return nil, errors.New("it is empty")
		}
		return nil, fmt.Errorf("it ends behind %q", c.words[c.at-1])
	case c.take("not"):
		n, err := c.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return &node{op: opNot, kids: []*node{n}}, nil
	case c.take("("):
		n, err := c.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !c.take(")") {
			return nil, errors.New("a bracket is not closed")
		}
		return n, nil
	case c.at+1 < len(c.words) && strings.EqualFold(c.words[c.at+1], "of"):
		return c.quantified()
	}
	name := c.peek()
	for _, known := range c.names {
		if name == known {
			c.at++
			return &node{op: opName, name: name}, nil
		}
	}
	return nil, fmt.Errorf("there is no search identifier %q", name)
}

// quantified is "1 of …" and "all of …".
func (c *conditionParser) quantified() (*node, error) {
	quantity := strings.ToLower(c.peek())
	link := opOr
	switch quantity {
	case "1", "any":
	case "all":
		link = opAnd
	default:
		return nil, fmt.Errorf("%q of is not part of Sigma; it knows 1 of and all of", quantity)
	}
	c.at += 2
	patternWord := c.peek()
	if patternWord == "" || patternWord == "(" || patternWord == ")" {
		return nil, fmt.Errorf("%s of needs them or a search identifier with *", quantity)
	}
	c.at++
	var kids []*node
	for _, name := range c.names {
		// Identifiers that begin with _ are never meant by a pattern (specification, "1/all of them").
		if !strings.HasPrefix(name, "_") && (strings.EqualFold(patternWord, "them") || matchStars(patternWord, name)) {
			kids = append(kids, &node{op: opName, name: name})
		}
	}
	if len(kids) == 0 {
		return nil, fmt.Errorf("no search identifier is meant by %q", patternWord)
	}
	return join(link, kids), nil
}

// matchStars compares with * only; other characters are plain.
func matchStars(pat, name string) bool {
	var pieces []piece
	for i, text := range strings.Split(pat, "*") {
		if i > 0 {
			pieces = append(pieces, piece{wild: '*'})
		}
		if text != "" {
			pieces = append(pieces, piece{text: text})
		}
	}
	return matchGlob(globParts(pieces), []byte(name))
}
