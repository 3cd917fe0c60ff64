// Package plainyaml reads YAML that anybody may have written: it refuses what a configuration or a rule never needs and
// a parser can be hurt with. It knows no key and no value, and what is refused is told by its users, in their words.
package plainyaml

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of what is parsed at all. The files are a few kilobytes; whoever can make Doorward read one must not be able to
// make it eat the machine.
const (
	MaxBytes  = 1 << 20
	MaxTokens = 50_000 // keys, values and signs, comments aside; the parser's time grows with their square
	MaxIndent = 256    // characters before the first word of a line
)

// Fault is why a text is refused.
type Fault uint8

const (
	TooLong    Fault = iota + 1 // more than MaxBytes
	TooMany                     // more than MaxTokens up to here
	Indented                    // more than MaxIndent
	Deep                        // lists and mappings are nested deeper than the caller allows: they would exhaust the stack
	Alias                       // an anchor, an alias or a merge key: a few lines of them stand for gigabytes
	Tag                         // a tag or a directive
	ComplexKey                  // a key that begins with ?
	Tab                         // a line is indented with a tab
	Word                        // a word is no YAML
	Syntax                      // the words are, but not together
)

// Problem is what is wrong with a text, and where.
type Problem struct {
	Fault        Fault
	Line, Column int    // both begin at 1
	Text         string // of Word and Syntax, what the parser says, in one line
}

// Parse reads all documents of a text, in which lists and mappings are nested at most depth deep. Keys that stand twice
// are let through, for the caller to tell of them in his words. With a problem the file is nil.
func Parse(text string, depth int) (*ast.File, *Problem) {
	if len(text) > MaxBytes {
		return nil, &Problem{Fault: TooLong, Line: 1, Column: 1}
	}
	tokens := lexer.Tokenize(text)
	if p := refuse(tokens, depth); p != nil {
		return nil, p
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxProblem(err)
	}
	return file, nil
}

// syntaxProblem takes the place and a one-line text out of a parser error.
func syntaxProblem(err error) *Problem {
	p := &Problem{Fault: Syntax, Line: 1, Column: 1, Text: err.Error()}
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		p.Text = syntax.GetMessage()
		if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
			p.Line, p.Column = tk.Position.Line, tk.Position.Column
		}
	}
	p.Text, _, _ = strings.Cut(p.Text, "\n")
	return p
}

// refuse finds the first of the tokens that is not let through.
func refuse(tokens token.Tokens, depth int) *Problem {
	flow, dashes, line, count := 0, 0, 0, 0
	for _, tk := range tokens {
		at := func(f Fault, text string) *Problem { return &Problem{f, tk.Position.Line, tk.Position.Column, text} }
		if tk.Type != token.CommentType {
			count++
		}
		if count > MaxTokens {
			return at(TooMany, "")
		}
		if tk.Position.Line != line {
			line, dashes = tk.Position.Line, 0
			if flow == 0 && tk.Position.Column > MaxIndent {
				return at(Indented, "")
			}
		}
		switch tk.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return at(Alias, "")
		case token.TagType, token.DirectiveType:
			return at(Tag, "")
		case token.MappingKeyType:
			return at(ComplexKey, "")
		case token.InvalidType:
			if strings.Contains(tk.Error, "\t") {
				return at(Tab, "")
			}
			return at(Word, tk.Error)
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			dashes++
		}
		if flow+dashes > depth {
			return at(Deep, "")
		}
	}
	return nil
}

// Place is where a node begins; 1 and 1 where that is not known. A block mapping begins at its first key, not at that key's
// colon.
func Place(n ast.Node) (line, column int) {
	switch m := n.(type) {
	case nil:
		return 1, 1
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return Place(m.Values[0])
		}
	case *ast.MappingValueNode:
		return Place(m.Key)
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return tk.Position.Line, tk.Position.Column
	}
	return 1, 1
}
