package sigma

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of what is parsed at all. The largest public rules have some hundred lines.
const (
	maxFileBytes = 1 << 20
	maxTokens    = 50_000 // the parser's time grows with their square
	maxDepth     = 16     // of nested lists and mappings
	maxIndent    = 256    // characters before the first word of a line
	maxDocuments = 1000   // in one file
)

// documents returns the bodies of all documents of a file, each a mapping.
func documents(text []byte, p *problems) []ast.Node {
	if len(text) > maxFileBytes {
		p.at(1, "the file has more than %d bytes", maxFileBytes)
		return nil
	}
	tokens := lexer.Tokenize(strings.TrimPrefix(string(text), "\ufeff")) // some editors begin a file with a mark
	if line, message := refuseTokens(tokens); message != "" {
		p.at(line, "%s", message)
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		line, message := syntaxProblem(err)
		p.at(line, "this is not valid YAML: %s", message)
		return nil
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		if len(bodies) == maxDocuments {
			p.at(lineOf(doc.Body), "the file has more than %d rules; put the rest into another file", maxDocuments)
			break
		}
		bodies = append(bodies, doc.Body)
	}
	return bodies
}

// syntaxProblem takes the line and a one-line text out of a parser error.
func syntaxProblem(err error) (int, string) {
	line, message := 1, err.Error()
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		message = syntax.GetMessage()
		if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
			line = tk.Position.Line
		}
	}
	message, _, _ = strings.Cut(message, "\n")
	return line, message
}

// refuseTokens finds what a rule never needs and a parser can be hurt with: anchors and aliases, tags, directives, and
// nesting that would exhaust the stack.
func refuseTokens(tokens token.Tokens) (int, string) {
	flow, dashes, line, count := 0, 0, 0, 0
	for _, tk := range tokens {
		if tk.Type != token.CommentType {
			count++
		}
		if count > maxTokens {
			return tk.Position.Line, "the file has too many keys, values and signs up to here; split it"
		}
		if tk.Position.Line != line {
			line, dashes = tk.Position.Line, 0
			if flow == 0 && tk.Position.Column > maxIndent {
				return line, "this line is indented too far"
			}
		}
		switch tk.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return line, "anchors and aliases (&name, *name, <<) are not used in rules; put a value that begins with & or * in quotes"
		case token.TagType, token.DirectiveType:
			return line, "YAML tags and directives (!name, %name) are not used in rules; put a value that begins with ! or % in quotes"
		case token.MappingKeyType:
			return line, "keys that begin with ? are not used in rules; put a value that begins with ? in quotes"
		case token.InvalidType:
			if strings.Contains(tk.Error, "\t") {
				return line, "the line is indented with a tab; use spaces"
			}
			return line, "this is not valid YAML: " + tk.Error
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			dashes++
		}
		if flow+dashes > maxDepth {
			return line, "lists and mappings are nested too deep"
		}
	}
	return 0, ""
}

// lineOf is the line where a node begins. A block mapping begins at its first key, not at that key's colon.
func lineOf(n ast.Node) int {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return lineOf(m.Values[0])
		}
	case *ast.MappingValueNode:
		return lineOf(m.Key)
	}
	if n != nil {
		if tk := n.GetToken(); tk != nil && tk.Position != nil {
			return tk.Position.Line
		}
	}
	return 1
}

// entry is one key of a mapping with what stands behind it.
type entry struct {
	key   string
	line  int
	value ast.Node
}

// mapping returns the entries of a mapping. A key that stands twice is reported and dropped, since which of the two
// counts is not said anywhere.
func (p *problems) mapping(n ast.Node, what string) []entry {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		p.at(lineOf(n), "%s has %s, but needs keys below it", what, describe(n))
		return nil
	}
	entries := make([]entry, 0, len(pairs))
	first := make(map[string]int, len(pairs))
	for _, pair := range pairs {
		key, ok := scalarText(pair.Key)
		if !ok {
			p.at(lineOf(pair), "%s has a key that is not a word", what)
			continue
		}
		if line, twice := first[key]; twice {
			p.at(lineOf(pair), "%s is written twice, first in line %d; keep one", key, line)
			continue
		}
		first[key] = lineOf(pair)
		entries = append(entries, entry{key: key, line: lineOf(pair), value: pair.Value})
	}
	return entries
}

// scalarText is a single value as it is written; quoted text is without its quotes.
func scalarText(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// text reads one text.
func (p *problems) text(e entry) string {
	s, ok := scalarText(e.value)
	if !ok {
		p.at(e.line, "%s has %s, but needs one text", e.key, describe(e.value))
	}
	return s
}

// texts reads a list of texts; where single allows it, one text is a list of one.
func (p *problems) texts(e entry, single bool) []string {
	seq, ok := e.value.(*ast.SequenceNode)
	if !ok {
		if s, isText := scalarText(e.value); isText && single {
			return []string{s}
		}
		p.at(e.line, "%s has %s, but needs a list", e.key, describe(e.value))
		return nil
	}
	list := make([]string, 0, len(seq.Values))
	for _, item := range seq.Values {
		s, isText := scalarText(item)
		if !isText {
			p.at(lineOf(item), "%s has %s in its list, but needs texts", e.key, describe(item))
			continue
		}
		list = append(list, s)
	}
	return list
}

// truth reads true or false.
func (p *problems) truth(e entry) bool {
	b, ok := e.value.(*ast.BoolNode)
	if !ok {
		p.at(e.line, "%s has %s, but needs true or false", e.key, describe(e.value))
		return false
	}
	return b.Value
}

func describe(n ast.Node) string {
	if n == nil {
		return "no value"
	}
	switch n.(type) {
	case *ast.NullNode:
		return "no value"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys below it"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	}
	return "a text"
}
