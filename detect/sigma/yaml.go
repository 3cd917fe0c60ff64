package sigma

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/doorward/doorward/plainyaml"
)

const (
	maxDepth     = 16   // of nested lists and mappings
	maxDocuments = 1000 // in one file
)

// documents returns the bodies of all documents of a file, each a mapping.
func documents(text []byte, p *problems) []ast.Node {
	file, fault := plainyaml.Parse(strings.TrimPrefix(string(text), "\ufeff"), maxDepth) // some editors begin a file with a mark
	if fault != nil {
		p.at(fault.Line, "%s", refusal(fault))
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

// refusal says why a file is not read.
func refusal(p *plainyaml.Problem) string {
	switch p.Fault {
	case plainyaml.TooLong:
		return fmt.Sprintf("the file has more than %d bytes", plainyaml.MaxBytes)
	case plainyaml.TooMany:
		return "the file has too many keys, values and signs up to here; split it"
	case plainyaml.Indented:
		return "this line is indented too far"
	case plainyaml.Deep:
		return "lists and mappings are nested too deep"
	case plainyaml.Alias:
		return "anchors and aliases (&name, *name, <<) are not used in rules; put a value that begins with & or * in quotes"
	case plainyaml.Tag:
		return "YAML tags and directives (!name, %name) are not used in rules; put a value that begins with ! or % in quotes"
	case plainyaml.ComplexKey:
		return "keys that begin with ? are not used in rules; put a value that begins with ? in quotes"
	case plainyaml.Tab:
		return "the line is indented with a tab; use spaces"
	}
	return "this is not valid YAML: " + p.Text
}

// lineOf is the line where a node begins.
func lineOf(n ast.Node) int {
	line, _ := plainyaml.Place(n)
	return line
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
