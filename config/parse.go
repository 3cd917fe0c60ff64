package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of what is parsed at all. A configuration is a few kilobytes; whoever can make Doorward read a
// file must not be able to make it eat the machine.
const (
	maxFileBytes = 1 << 20
	maxTokens    = 50_000 // keys, values and signs, enough for hundreds of sites; the parser's time grows with their square
	maxDepth     = 32     // of nested lists and mappings
	maxIndent    = 256    // characters before the first word of a line
)

// parseYAML turns text into the tree of its only document. A problem in the list means the tree must not be
// used; a nil tree without a problem is an empty file.
func parseYAML(text []byte, list *problemList) ast.Node {
	if len(text) > maxFileBytes {
		list.at(place{1, 1}, "", fmt.Sprintf("the file has more than %d bytes", maxFileBytes))
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	if where, message := refuseTokens(tokens); message != "" {
		list.at(where, "", message)
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		where, message := syntaxProblem(err)
		list.at(where, "", message)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			list.at(placeOf(doc.Body), "", "the file holds more than one document; remove the line --- and what follows it")
			return nil
		}
		body = doc.Body
	}
	return body
}

// syntaxProblem takes the place and a one-line text out of a parser error.
func syntaxProblem(err error) (place, string) {
	where, message := place{1, 1}, err.Error()
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		message = syntax.GetMessage()
		if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
			where = place{tk.Position.Line, tk.Position.Column}
		}
	}
	message, _, _ = strings.Cut(message, "\n")
	return where, "this is not valid YAML: " + message + "; look at the indentation, the quotes and the brackets of this line and the one before"
}

// refuseTokens finds what a configuration never needs and a parser can be hurt with: anchors and aliases
// (a few lines of them stand for gigabytes), tags, directives, and nesting that would exhaust the stack.
func refuseTokens(tokens token.Tokens) (place, string) {
	flow, dashes, line, count := 0, 0, 0, 0
	for _, tk := range tokens {
		where := place{tk.Position.Line, tk.Position.Column}
		if tk.Type != token.CommentType {
			count++
		}
		if count > maxTokens {
			return where, fmt.Sprintf("the file has more than %d keys, values and signs up to here; a configuration has far fewer", maxTokens)
		}
		if tk.Position.Line != line {
			line, dashes = tk.Position.Line, 0
			if flow == 0 && tk.Position.Column > maxIndent {
				return where, fmt.Sprintf("this line begins after %d characters; indent each level by two", tk.Position.Column-1)
			}
		}
		switch tk.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return where, "anchors and aliases (&name, *name, <<) are not used here; write the value out, or put it in quotes if it begins with & or *"
		case token.TagType, token.DirectiveType:
			return where, "YAML tags and directives (!name, %name) are not used here; remove it, or put the value in quotes if it begins with ! or %"
		case token.MappingKeyType:
			return where, "keys that begin with ? are not used here; write key: value"
		case token.InvalidType:
			if strings.Contains(tk.Error, "\t") {
				return where, "the line is indented with a tab; use spaces"
			}
			return where, "this is not valid YAML: " + tk.Error
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			dashes++
		}
		if flow+dashes > maxDepth {
			return where, fmt.Sprintf("lists and mappings are nested more than %d deep; no setting is", maxDepth)
		}
	}
	return place{}, ""
}

// placeOf is where a node begins. A block mapping begins at its first key, not at that key's colon.
func placeOf(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return placeOf(m.Values[0])
		}
	case *ast.MappingValueNode:
		return placeOf(m.Key)
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return place{tk.Position.Line, tk.Position.Column}
	}
	return place{1, 1}
}
