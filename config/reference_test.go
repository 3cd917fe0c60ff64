package config_test

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/config"
	"github.com/doorward/doorward/firewall/ruleset"
	"github.com/doorward/doorward/gateway"
)

// TestGeneratedReference keeps docs/configuration.md equal to the structs' comments and defaults. `make docs`
// writes it anew.
func TestGeneratedReference(t *testing.T) {
	const file = "../docs/configuration.md"
	got := reference(t)
	if os.Getenv("DOORWARD_UPDATE") == "1" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, string(want)); diff != "" {
		t.Errorf("%s is stale; run: make docs (-want +file):\n%s", file, diff)
	}
}

const referenceHead = `# The configuration file

*Generated from the code by ` + "`make docs`" + `; change the comments there.*

One YAML file, ` + "`" + config.DefaultPath + "`" + ` unless ` + "`--config`" + ` names another. [` + "`doorward init`" + `](commands.md#doorward-init) writes one
with every setting explained, [` + "`doorward check`" + `](commands.md#doorward-check) tells everything that is wrong with it at once,
each with its line. Unknown keys, keys given twice, anchors, aliases and tags are refused.

The smallest useful file has three lines below ` + "`sites`" + `:

` + "```yaml" + `
sites:
  - hosts: [helpdesk.example.org]
    upstreams: [http://127.0.0.1:8080]
    app: request-tracker
` + "```" + `

Values: a *duration* is written ` + "`30s`, `5m`, `12h` or `1h30m`" + `; a *size* ` + "`32KiB`, `64MiB`, `1GiB`" + ` or a number of bytes; a
*network* ` + "`10.0.0.0/8`, `2001:db8::/32`" + ` or one address. To get a default, leave the line out. Relative paths start at
the folder of the file. A setting that names a file may name a systemd credential instead: ` + "`credential:NAME`" + `.

On SIGHUP, and on ` + "`systemctl reload doorward`" + `, the file is read again. When it can be used, it takes the place of
the one in force as a whole; otherwise that one stays, and the log says why. ` + "`data_dir`, `store`, `events`, `log`" + `, the addresses
under ` + "`listen`" + ` and ` + "`console.listen`" + `, and ` + "`header_bytes`" + ` and the timeouts under ` + "`limits`" + ` take a restart; a reload that would change one is
refused.
`

// reference renders the whole page.
func reference(t *testing.T) string {
	t.Helper()
	comments := make(structComments)
	for _, dir := range []string{".", "../audit", "../audit/facts", "../auth", "../auth/directory", "../auth/oidc", "../auth/password", "../console", "../decision", "../detect", "../event", "../firewall", "../firewall/ruleset", "../gateway",
		"../geo", "../hostname", "../ingest", "../mail", "../store"} {
		comments.read(t, dir)
	}
	cfg, err := config.Parse("doorward.yaml", []byte("sites: [{hosts: [helpdesk.example.org], upstreams: ['http://127.0.0.1:8080']}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	// Per-site values of the example are no defaults.
	cfg.Gateway.Sites[0].Hosts, cfg.Gateway.Sites[0].Upstreams, cfg.Gateway.Sites[0].TLS.Source = nil, nil, ""
	page := &referencePage{t: t, comments: comments}
	page.WriteString(referenceHead)
	page.section("", reflect.ValueOf(*cfg))
	return page.String()
}

type referencePage struct {
	strings.Builder
	t        *testing.T
	comments structComments
}

// section writes the table of one struct's own settings, then the sections below it.
func (p *referencePage) section(path string, v reflect.Value) {
	fields := settings(v)
	rows := ""
	for _, f := range fields {
		if isSection(f.value.Type()) {
			continue
		}
		note := p.comments.of(p.t, f)
		rows += fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.key, kindOf(f.value.Type()), defaultOf(f), note)
	}
	if rows != "" {
		if path == "" {
			fmt.Fprintf(p, "\n## At the top\n")
		} else {
			fmt.Fprintf(p, "\n## %s\n", path)
		}
		if note := p.comments.ofSection(v.Type(), fields); note != "" && path != "" {
			fmt.Fprintf(p, "\n%s\n", note)
		}
		fmt.Fprintf(p, "\n| key | value | default | meaning |\n|---|---|---|---|\n%s", rows)
	}
	for _, f := range fields {
		if !isSection(f.value.Type()) {
			continue
		}
		below := strings.TrimPrefix(path+"."+f.key, ".")
		if f.value.Kind() == reflect.Slice {
			element := reflect.New(f.value.Type().Elem()).Elem()
			if f.value.Len() > 0 {
				element = f.value.Index(0)
			}
			p.section(below+"[]", element)
			continue
		}
		p.section(below, f.value)
	}
}

// setting is one key of a struct.
type setting struct {
	key    string
	owner  reflect.Type
	field  string
	value  reflect.Value
	others map[string]string // the Go names of the struct's fields and their keys
}

func settings(v reflect.Value) (list []setting) {
	others := make(map[string]string)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			list = append(list, settings(v.Field(i))...)
		case key != "" && key != "-":
			others[f.Name] = key
			list = append(list, setting{key, v.Type(), f.Name, v.Field(i), others})
		}
	}
	return list
}

func isSection(t reflect.Type) bool {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[netip.Prefix]():
		return "network"
	case t == reflect.TypeFor[gateway.Size]():
		return "size"
	case t == reflect.TypeFor[gateway.LearnUntil]():
		return "date or time"
	case t == reflect.TypeFor[ruleset.Ports]():
		return "port or range"
	case t.Kind() == reflect.Slice:
		return "list: " + kindOf(t.Elem())
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true, false"
	}
	return "number"
}

func defaultOf(f setting) string {
	switch value := f.value.Interface().(type) {
	case time.Duration:
		if value == 0 {
			return ""
		}
		return "`" + shortDuration(value) + "`"
	case bool:
		return fmt.Sprintf("`%v`", value)
	}
	if f.value.IsZero() || f.value.Kind() == reflect.Slice && f.value.Len() == 0 {
		return ""
	}
	if f.value.Kind() == reflect.Slice {
		return "`" + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(f.value.Interface()), "[]")), "`, `") + "`"
	}
	return fmt.Sprintf("`%v`", f.value.Interface())
}

// shortDuration writes 1h0m0s as 1h.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// structComments holds what the code says of each struct ("" is the struct's own comment) and its fields, by
// package.Type.
type structComments map[string]map[string]string

func (c structComments) read(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			general, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				if fields, ok := typ.Type.(*ast.StructType); ok {
					c[file.Name.Name+"."+typ.Name.Name] = fieldComments(general.Doc.Text(), typ.Name.Name, fields)
				}
			}
		}
	}
}

func fieldComments(doc, name string, s *ast.StructType) map[string]string {
	notes := map[string]string{"": plain(strings.TrimPrefix(doc, name+" "))}
	for _, f := range s.Fields.List {
		for _, id := range f.Names {
			notes[id.Name] = plain(strings.TrimSpace(f.Doc.Text() + " " + f.Comment.Text()))
		}
	}
	return notes
}

// plain is a comment as one line of a table, beginning with a capital letter.
func plain(text string) string {
	var p comment.Parser
	text = string((&comment.Printer{TextWidth: -1}).Text(p.Parse(text)))
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// forProgrammers matches a sentence that is about Go code.
var forProgrammers = regexp.MustCompile(`[^.]*\b(SetDefaults|zero value)\b[^.]*\.`)

// ofSection is what the code says of a struct, as a sentence about a part of the file.
func (c structComments) ofSection(typ reflect.Type, fields []setting) string {
	note := strings.TrimSpace(forProgrammers.ReplaceAllString(c[typ.String()][""], ""))
	if note == "" {
		return ""
	}
	if len(fields) > 0 {
		note = withKeys(note, fields[0].others)
	}
	return "This part " + strings.ToLower(note[:1]) + note[1:]
}

var word = regexp.MustCompile(`\b[A-Z][A-Za-z]+\b`)

// of is what the code says of a setting, with keys in the place of Go names.
func (c structComments) of(t *testing.T, f setting) string {
	t.Helper()
	note := c[f.owner.String()][f.field]
	if note == "" {
		t.Errorf("%s.%s has no comment; the reference has nothing to say about %s", f.owner, f.field, f.key)
	}
	return withKeys(note, f.others)
}

// withKeys puts the keys in the place of Go names.
func withKeys(note string, keys map[string]string) string {
	return word.ReplaceAllStringFunc(note, func(w string) string {
		if key, ok := keys[w]; ok {
			return "`" + key + "`"
		}
		return w
	})
}
