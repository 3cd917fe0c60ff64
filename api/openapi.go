package api

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The description of the commands is made of the routes and of the types that they read and write, in OpenAPI 3.1. Nothing is
// written by hand twice, so that nothing can be forgotten.

// entry is one key of a YAML mapping; the order is kept.
type entry struct {
	key   string
	value any // string, bool, int, mapping or list
}

type (
	mapping []entry
	list    []any
)

// describe returns the description as YAML.
func describe(routes []route) []byte {
	types := make(map[string]mapping)
	paths := mapping{}
	for _, r := range routes {
		i := slices.IndexFunc(paths, func(e entry) bool { return e.key == Prefix[:len(Prefix)-1]+r.path })
		if i < 0 {
			i, paths = len(paths), append(paths, entry{Prefix[:len(Prefix)-1] + r.path, mapping{}})
		}
		paths[i].value = append(paths[i].value.(mapping), entry{strings.ToLower(r.method), r.describe(types)})
	}
	schemas := mapping{}
	schemaOf(reflect.TypeFor[Error](), types)
	names := make([]string, 0, len(types))
	for name := range types {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		schemas = append(schemas, entry{name, types[name]})
	}
	var out bytes.Buffer
	out.WriteString("# Generated from the code by `make docs`; served at " + descriptionPath + ".\n")
	write(&out, mapping{
		{"openapi", "3.1.0"},
		{"info", mapping{
			{"title", "Doorward"},
			{"version", "1"},
			{"description", "Commands about accounts, sessions, API tokens, access reviews, decisions and the journal, at the console's address. What a command takes " +
				"beyond the token is its x-privilege. Beyond that, nobody changes an account that may do more than they, gives what they lack, or helps " +
				"themselves; what opens a door takes a person with a second factor."},
		}},
		{"security", list{mapping{{"token", list{}}}}},
		{"paths", paths},
		{"components", mapping{
			{"securitySchemes", mapping{{"token", mapping{{"type", "http"}, {"scheme", "bearer"}, {"description", "An API token: dw_ and 43 characters."}}}}},
			{"schemas", schemas},
		}},
	}, 0)
	return out.Bytes()
}

func (r route) describe(types map[string]mapping) mapping {
	m := mapping{{"summary", r.summary}}
	if r.needs != "" {
		m = append(m, entry{"x-privilege", string(r.needs)})
	}
	parameters := list{}
	for part := range strings.SplitSeq(r.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parameters = append(parameters, mapping{{"name", strings.TrimSuffix(name, "}")}, {"in", "path"}, {"required", true}, {"schema", mapping{{"type", "string"}}}})
		}
	}
	for _, q := range r.query {
		kind := "string"
		if q.number {
			kind = "integer"
		}
		parameters = append(parameters, mapping{{"name", q.name}, {"in", "query"}, {"required", q.required}, {"description", q.means}, {"schema", mapping{{"type", kind}}}})
	}
	if len(parameters) > 0 {
		m = append(m, entry{"parameters", parameters})
	}
	if r.in != nil {
		m = append(m, entry{"requestBody", mapping{{"required", true}, {"content", content(r.in, types)}}})
	}
	return append(m, entry{"responses", mapping{
		{"200", mapping{{"description", "Done."}, {"content", content(r.out, types)}}},
		{"default", mapping{{"description", "Refused: 400, 401, 403, 404, 409, 413, 429 or 503."}, {"content", content(Error{}, types)}}},
	}})
}

func content(value any, types map[string]mapping) mapping {
	return mapping{{"application/json", mapping{{"schema", schemaOf(reflect.TypeOf(value), types)}}}}
}

// schemaOf describes a type; structs go into types once and are referred to.
func schemaOf(t reflect.Type, types map[string]mapping) mapping {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return mapping{{"type", "string"}, {"format", "date-time"}}
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem(), types)
	case t.Kind() == reflect.Slice:
		return mapping{{"type", "array"}, {"items", schemaOf(t.Elem(), types)}}
	case t.Kind() == reflect.Bool:
		return mapping{{"type", "boolean"}}
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return mapping{{"type", "integer"}}
	case t.Kind() != reflect.Struct:
		return mapping{{"type", "string"}}
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if _, known := types[name]; !known {
		types[name] = nil // for a type that holds itself
		properties, required := fields(t, types)
		m := mapping{{"type", "object"}, {"properties", properties}}
		if len(required) > 0 {
			m = append(m, entry{"required", required})
		}
		types[name] = m
	}
	return mapping{{"$ref", "#/components/schemas/" + name}}
}

// fields describes the fields of a struct as JSON has them, those of embedded structs among them.
func fields(t reflect.Type, types map[string]mapping) (properties mapping, required list) {
	properties = mapping{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			inner, innerRequired := fields(f.Type, types)
			properties, required = append(properties, inner...), append(required, innerRequired...)
			continue
		}
		if name == "-" || name == "" {
			continue
		}
		properties = append(properties, entry{name, schemaOf(f.Type, types)})
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	return properties, required
}

// write writes a value as YAML at a depth of two spaces each. Texts are in JSON's quotes, which YAML takes as they are.
func write(out *bytes.Buffer, value any, depth int) {
	indent := strings.Repeat("  ", depth)
	switch v := value.(type) {
	case mapping:
		for _, e := range v {
			fmt.Fprintf(out, "%s%s:", indent, key(e.key))
			writeBelow(out, e.value, depth+1)
		}
	case list:
		for _, item := range v {
			if m, ok := item.(mapping); ok {
				var inner bytes.Buffer
				write(&inner, m, depth+1)
				text := inner.Bytes()
				out.WriteString(indent + "- ")
				out.Write(text[len(indent)+2:])
				continue
			}
			out.WriteString(indent + "-")
			writeBelow(out, item, depth+1)
		}
	}
}

func writeBelow(out *bytes.Buffer, value any, depth int) {
	switch v := value.(type) {
	case mapping:
		if len(v) == 0 {
			out.WriteString(" {}\n")
			return
		}
		out.WriteByte('\n')
		write(out, v, depth)
	case list:
		if len(v) == 0 {
			out.WriteString(" []\n")
			return
		}
		out.WriteByte('\n')
		write(out, v, depth)
	case string:
		out.WriteString(" " + strconv.Quote(v) + "\n")
	default:
		fmt.Fprintf(out, " %v\n", v)
	}
}

// key quotes a key that YAML would not take for text.
func key(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") == "" {
		return text
	}
	return strconv.Quote(text)
}
