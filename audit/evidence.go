package audit

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	maxEvidence = 20  // pieces a finding; those that offend come first
	maxValue    = 500 // bytes of one value
)

// add puts e into the evidence, once, and what offends before what does not.
func (f *Finding) add(e Evidence) {
	e.Value, e.Origin = cut(e.Value), cut(e.Origin)
	if slices.Contains(f.Evidence, e) {
		return
	}
	at := len(f.Evidence)
	if e.Offends {
		at = slices.IndexFunc(f.Evidence, func(other Evidence) bool { return !other.Offends })
		if at < 0 {
			at = len(f.Evidence)
		}
	}
	f.Evidence = slices.Insert(f.Evidence, at, e)
	if len(f.Evidence) > maxEvidence {
		f.Evidence = f.Evidence[:maxEvidence]
		f.More++
	}
}

// show adds the facts that the expressions name.
func (j *judge) show(f *Finding, all ...*expression) {
	for _, x := range all {
		for _, name := range x.names {
			if e, ok := j.look(name); ok {
				f.add(e)
			}
		}
	}
}

// name is what the list of an over expression is called in the evidence: by the fact that its text names first.
func (x *expression) name() string {
	if x.first == nil {
		return x.text
	}
	return strings.Join(x.first, ".")
}

// look finds what stands at a path into the facts. A list or map is told by its length.
func (j *judge) look(path chain) (Evidence, bool) {
	value, ok := j.facts.Values[path[0]]
	if !ok {
		return Evidence{}, false
	}
	v, origin := reflect.ValueOf(value), ""
	for _, name := range path[1:] {
		if v.Kind() == reflect.Struct {
			if own := originOf(v); own != "" {
				origin = own
			}
		}
		if v = step(v, name); !v.IsValid() {
			return Evidence{Fact: strings.Join(path, "."), Value: "(not there)", Origin: origin}, true
		}
	}
	e := evidenceOf(strings.Join(path, "."), v.Interface())
	if e.Origin == "" {
		e.Origin = origin
	}
	return e, true
}

// step goes from a struct to the field, or from a map to the entry, that has the name in CEL.
func step(v reflect.Value, name string) reflect.Value {
	switch v.Kind() {
	case reflect.Map:
		return v.MapIndex(reflect.ValueOf(name).Convert(v.Type().Key()))
	case reflect.Struct:
		for i := range v.NumField() {
			if fieldName(v.Type().Field(i)) == name {
				return v.Field(i)
			}
		}
	}
	return reflect.Value{}
}

func fieldName(f reflect.StructField) string {
	if tag, ok := f.Tag.Lookup("cel"); ok {
		return tag
	}
	return f.Name
}

func originOf(v reflect.Value) string {
	if f := v.FieldByName("Origin"); f.IsValid() && f.Kind() == reflect.String {
		return f.String()
	}
	return ""
}

// evidenceOf words one value of a fact.
func evidenceOf(name string, value any) Evidence {
	e := Evidence{Fact: name, Value: cut(word(reflect.ValueOf(value)))}
	if v := reflect.ValueOf(value); v.Kind() == reflect.Struct {
		e.Origin = originOf(v)
	}
	return e
}

// word writes a value for people: the fields of a struct that are set, the entries of a short list.
func word(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Invalid:
		return ""
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			if t.IsZero() {
				return "never"
			}
			return t.UTC().Format(time.RFC3339)
		}
		var parts []string
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if name := fieldName(field); field.IsExported() && name != "-" && field.Name != "Origin" && !v.Field(i).IsZero() {
				parts = append(parts, name+"="+word(v.Field(i)))
			}
		}
		return strings.Join(parts, " ")
	case reflect.Slice:
		if v.Len() > 0 && v.Index(0).Kind() == reflect.Struct || v.Len() > 12 {
			return fmt.Sprintf("%d entries", v.Len())
		}
		var parts []string
		for i := range v.Len() {
			parts = append(parts, word(v.Index(i)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case reflect.Map:
		return fmt.Sprintf("%d entries", v.Len())
	}
	return fmt.Sprint(v.Interface())
}

// Plain shows what would steer a terminal, or turn the direction of a line, as a replacement character. All that a report
// tells of a host goes through it, reasons and origins too: they hold names of files that anybody may have made.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) { // C0, C1, controls of direction, what is no UTF-8
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// cut shortens a value, which an attacker may have made long, and shows its control characters as such.
func cut(text string) string {
	text = Plain(text)
	if len(text) <= maxValue {
		return text
	}
	return strings.ToValidUTF8(text[:maxValue], "") + "…"
}
