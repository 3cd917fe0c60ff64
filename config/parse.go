package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"github.com/doorward/doorward/plainyaml"
)

// maxDepth is how deep lists and mappings may be nested.
const maxDepth = 32

// parseYAML turns text into the tree of its only document. A problem in the list means the tree must not be
// used; a nil tree without a problem is an empty file.
func parseYAML(text []byte, list *problemList) ast.Node {
	file, p := plainyaml.Parse(string(text), maxDepth)
	if p != nil {
		list.at(place{p.Line, p.Column}, "", refusal(p))
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

// refusal says why a file is not read.
func refusal(p *plainyaml.Problem) string {
	switch p.Fault {
	case plainyaml.TooLong:
		return fmt.Sprintf("the file has more than %d bytes", plainyaml.MaxBytes)
	case plainyaml.TooMany:
		return fmt.Sprintf("the file has more than %d keys, values and signs up to here; a configuration has far fewer", plainyaml.MaxTokens)
	case plainyaml.Indented:
		return fmt.Sprintf("this line begins after %d characters; indent each level by two", p.Column-1)
	case plainyaml.Deep:
		return fmt.Sprintf("lists and mappings are nested more than %d deep; no setting is", maxDepth)
	case plainyaml.Alias:
		return "anchors and aliases (&name, *name, <<) are not used here; write the value out, or put it in quotes if it begins with & or *"
	case plainyaml.Tag:
		return "YAML tags and directives (!name, %name) are not used here; remove it, or put the value in quotes if it begins with ! or %"
	case plainyaml.ComplexKey:
		return "keys that begin with ? are not used here; write key: value"
	case plainyaml.Tab:
		return "the line is indented with a tab; use spaces"
	case plainyaml.Syntax:
		return "this is not valid YAML: " + p.Text + "; look at the indentation, the quotes and the brackets of this line and the one before"
	}
	return "this is not valid YAML: " + p.Text
}

// placeOf is where a node begins.
func placeOf(n ast.Node) place {
	line, column := plainyaml.Place(n)
	return place{line, column}
}
