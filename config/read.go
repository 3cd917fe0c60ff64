package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// reader fills Go values from the tree of a file and notes where each value stands. It goes on after a
// problem, so that one run shows them all. It is our own, because a decoder stops at the first error, and
// because values that Go code defaults (0, "") must be told from values that somebody wrote.
type reader struct {
	*problemList
}

// value fills v from n. path names it in messages.
func (r reader) value(n ast.Node, v reflect.Value, path string) {
	if n == nil {
		return
	}
	if _, ok := r.places[path]; !ok && path != "" {
		r.places[path] = placeOf(n)
	}
	if isScalar(v.Type()) {
		r.scalar(n, v, path)
		return
	}
	if n.Type() == ast.NullType {
		return // a section whose lines are all commented out is an absent section
	}
	switch v.Kind() {
	case reflect.Struct:
		r.mapping(n, v, path)
	case reflect.Slice:
		r.list(n, v, path)
	default:
		// A configuration struct with a field of another kind is our defect; the test that reads every key finds it.
		r.report(path, "this setting cannot be read: its kind %s has no reader", v.Kind())
	}
}

// entries returns the key and value pairs of a mapping, which the parser gives as one of two types.
func entries(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func (r reader) mapping(n ast.Node, v reflect.Value, path string) {
	pairs, ok := entries(n)
	if !ok {
		r.at(placeOf(n), path, fmt.Sprintf("has %s, but needs settings below it, each as key: value", describe(n)))
		return
	}
	fields := fieldsOf(v)
	first := make(map[string]place)
	for _, pair := range pairs {
		key, where := keyText(pair), placeOf(pair)
		full := join(path, key)
		field, known := fields.byKey[key]
		if !known {
			near := nearest(key, fields.keys)
			r.at(where, full, unknownKey(near, fields.keys))
			if near != "" {
				r.unread = append(r.unread, join(path, near)) // it is not missing, it is misspelt
			}
			continue
		}
		if earlier, twice := first[key]; twice {
			r.at(where, full, fmt.Sprintf("is set twice, first in line %d; keep one", earlier.line))
			continue
		}
		first[key] = where
		if _, isList := pair.Value.(*ast.SequenceNode); isList || field.Kind() == reflect.Struct && !isScalar(field.Type()) {
			r.places[full] = where // the key is a better place to point at than the first line below it
		}
		r.value(pair.Value, field, full)
	}
}

func unknownKey(near string, known []string) string {
	if near != "" {
		return fmt.Sprintf("is not a setting; did you mean %s?", near)
	}
	return "is not a setting; known here: " + strings.Join(known, ", ")
}

func (r reader) list(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		message := fmt.Sprintf("has %s, but needs a list: write each entry on its own line, beginning with \"- \"", describe(n))
		if s, isText := n.(*ast.StringNode); isText && !strings.ContainsAny(s.Value, "[]{},\n") {
			message = fmt.Sprintf("has %s, but needs a list; write [%s]", describe(n), s.Value)
		}
		r.at(placeOf(n), path, message)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, entry := range seq.Values {
		item := fmt.Sprintf("%s[%d]", path, i)
		if entry.Type() == ast.NullType {
			r.at(placeOf(entry), item, "is empty; write a value after the dash, or remove the line")
			continue
		}
		r.value(entry, out.Index(i), item)
	}
	v.Set(out)
}

// fieldSet is what a mapping may hold: the fields of a struct by their YAML keys, inlined ones included.
type fieldSet struct {
	byKey map[string]reflect.Value
	keys  []string // in the order of the struct
}

func fieldsOf(v reflect.Value) fieldSet {
	set := fieldSet{byKey: make(map[string]reflect.Value)}
	set.add(v)
	return set
}

func (s *fieldSet) add(v reflect.Value) {
	for i := range v.NumField() {
		key, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			s.add(v.Field(i))
		case key != "" && key != "-":
			s.byKey[key] = v.Field(i)
			s.keys = append(s.keys, key)
		}
	}
}

func keyText(pair *ast.MappingValueNode) string {
	if s, ok := pair.Key.(*ast.StringNode); ok {
		return s.Value
	}
	if tk := pair.Key.GetToken(); tk != nil {
		return tk.Value
	}
	return pair.Key.String()
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// describe says in a person's words what stands where something else was expected.
func describe(n ast.Node) string {
	switch n.Type() {
	case ast.NullType:
		return "no value"
	case ast.MappingType, ast.MappingValueType:
		return "settings below it"
	case ast.SequenceType:
		return "a list"
	case ast.BoolType:
		return "true or false"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	}
	return "text"
}
