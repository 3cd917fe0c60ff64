package plainyaml_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"

	"github.com/doorward/doorward/plainyaml"
)

const depth = 8

// TestRefused: each fault with the place where it is, and next to it what is just let through.
func TestRefused(t *testing.T) {
	entries := func(n int) string { return strings.Repeat("- a\n", n) } // two tokens each
	for _, c := range []struct {
		name, text string
		fault      plainyaml.Fault
		line, col  int
	}{
		{"longest", "#" + strings.Repeat("x", plainyaml.MaxBytes-1), 0, 0, 0},
		{"too long", "#" + strings.Repeat("x", plainyaml.MaxBytes), plainyaml.TooLong, 1, 1},
		{"as many as may be", entries(plainyaml.MaxTokens / 2), 0, 0, 0},
		{"too many", entries(plainyaml.MaxTokens/2 + 1), plainyaml.TooMany, plainyaml.MaxTokens/2 + 1, 1},
		{"comments do not count", strings.Repeat("#\n", plainyaml.MaxTokens+1) + "a: b\n", 0, 0, 0},
		{"indented as far as may be", "a:\n" + strings.Repeat(" ", plainyaml.MaxIndent-1) + "b: c\n", 0, 0, 0},
		{"indented too far", "a:\n" + strings.Repeat(" ", plainyaml.MaxIndent) + "b: c\n", plainyaml.Indented, 2, plainyaml.MaxIndent + 1},
		{"flow as deep as may be", strings.Repeat("[", depth) + strings.Repeat("]", depth), 0, 0, 0},
		{"flow too deep", strings.Repeat("[", depth+1) + strings.Repeat("]", depth+1), plainyaml.Deep, 1, depth + 1},
		{"dashes too deep", strings.Repeat("- ", depth+1) + "a", plainyaml.Deep, 1, 2*depth + 1},
		{"flow below dashes too deep", strings.Repeat("- ", depth/2) + strings.Repeat("{a: ", depth/2+1), plainyaml.Deep, 1, 2*depth*3/2 + 1},
		{"anchor", "a: &b c\n", plainyaml.Alias, 1, 4},
		{"alias", "a: b\nc: *b\n", plainyaml.Alias, 2, 4},
		{"merge key", "a:\n  <<: b\n", plainyaml.Alias, 2, 3},
		{"tag", "a: !!binary b\n", plainyaml.Tag, 1, 4},
		{"directive", "%YAML 1.2\n---\na: b\n", plainyaml.Tag, 1, 1},
		{"complex key", "? a\n: b\n", plainyaml.ComplexKey, 1, 1},
		{"tab", "a:\n\tb: c\n", plainyaml.Tab, 2, 1},
		{"word", "a: \"b\n", plainyaml.Word, 1, 4},
		{"syntax", "a: b\nc\n", plainyaml.Syntax, 2, 1},
		{"quoted signs", "a: '&b'\nc: \"*d\"\ne: '!f'\ng: '? h'\n", 0, 0, 0},
		{"a key twice", "a: 1\na: 2\n", 0, 0, 0},
		{"two documents", "a: 1\n---\nb: 2\n", 0, 0, 0},
		{"nothing", "", 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, p := plainyaml.Parse(c.text, depth)
			if (file == nil) != (p != nil) {
				t.Fatalf("got file %v and problem %+v, want one of them", file != nil, p)
			}
			if p == nil {
				p = &plainyaml.Problem{}
			}
			if p.Fault != c.fault || p.Line != c.line || p.Column != c.col {
				t.Errorf("got %+v, want fault %d at %d:%d", *p, c.fault, c.line, c.col)
			}
			if said := p.Text != "" && !strings.Contains(p.Text, "\n"); said != (p.Fault >= plainyaml.Word) {
				t.Errorf("got the text %q with fault %d", p.Text, p.Fault)
			}
		})
	}
}

func TestPlace(t *testing.T) {
	file, p := plainyaml.Parse("# comment\n\na:\n  b: {c: [d]}\n", depth)
	if p != nil {
		t.Fatal(*p)
	}
	var got []string
	ast.Walk(visit(func(n ast.Node) {
		line, column := plainyaml.Place(n)
		got = append(got, fmt.Sprintf("%v %d:%d", n.Type(), line, column))
	}), file.Docs[0].Body)
	want := "Mapping 3:1, MappingValue 3:1, String 3:1, Mapping 4:3, MappingValue 4:3, String 4:3, Mapping 4:6, MappingValue 4:7, String 4:7, Sequence 4:10, String 4:11"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if line, column := plainyaml.Place(nil); line != 1 || column != 1 {
		t.Errorf("no node is at %d:%d, want 1:1", line, column)
	}
}

type visit func(ast.Node)

func (v visit) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}

// FuzzParse: whatever the text, there is an answer, and no place in it is outside of the text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"a: b\n", "- [a, {b: c}]\n", "a: |\n  b\n", "a: \"b\\u0041\"\n", "{", "a: &b [*b]", "\t", "--- a\n...\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, p := plainyaml.Parse(text, depth)
		if (file == nil) != (p != nil) {
			t.Fatalf("got file %v and problem %+v, want one of them", file != nil, p)
		}
		if p != nil && (p.Line < 1 || p.Fault == 0) {
			t.Errorf("got %+v", *p)
		}
	})
}
