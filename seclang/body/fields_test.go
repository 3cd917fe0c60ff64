package body_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/body"
)

const boundaryB = "multipart/form-data; boundary=b"

// field and file are parts of a multipart body.
func field(name, value string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
}

func file(name, content string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + name + "\"\r\nContent-Type: text/plain\r\n\r\n" + content + "\r\n"
}

// TestFields: all of a body counts but the contents of files that are files for everybody.
func TestFields(t *testing.T) {
	const big = 100_000
	text := strings.Repeat("x", big)
	for _, c := range []struct {
		name string
		r    body.Result
		want int
	}{
		{"form", body.Form("a=1&b=2", body.Limits{}), 7},
		{"json", body.JSON(`{"a":1}`, body.Limits{}), 7},
		{"xml", body.XML("<a>b</a>", body.Limits{}), 8},
		{"xml that is refused", body.XML("<a><b></a", body.Limits{Depth: 1}), 9},
		{"no multipart", body.Multipart("text/plain", text, body.Limits{}), 0},
		{"no boundary in it", multipart(text, body.Limits{}), big},
		{"field", multipart(field("a", text)+"--b--\r\n", body.Limits{}), big + len(field("a", "")) + len("--b--\r\n")},
		{"files", multipart(file("a", text)+file("b", text)+field("c", "")+"--b--\r\n", body.Limits{}), len(file("a", "")+file("b", "")+field("c", "")) + 7},
		{"a file that is cut off", multipart(file("a", text)[:1000], body.Limits{}), len(file("a", "")) - 2},
		{"a file for some", multipart(strings.Replace(file("a", text), "filename=", "filename*=UTF-8''", 1)+"--b--", body.Limits{}), big + len(strings.Replace(file("a", ""), "filename=", "filename*=UTF-8''", 1)) + 5},
		{"a file with a boundary for some", multipart(file("a", text+"\n--bx")+"--b--", body.Limits{}), big + 5 + len(file("a", "")) + 5},
		{"behind the end", multipart("--b--\r\n"+file("a", text), body.Limits{}), 7 + len(file("a", text))},
		{"before the front", multipart(text+"\r\n"+file("a", text)+"--b--", body.Limits{}), big + 2 + len(file("a", "")) + 5},
		{"more parts than are read", multipart(field("a", "1")+field("a", text), body.Limits{Parts: 1}), len(field("a", "1")) + 5},
	} {
		if c.r.Fields != c.want || c.r.Over {
			t.Errorf("%s: %d bytes of fields, over %v, want %d", c.name, c.r.Fields, c.r.Over, c.want)
		}
	}
}

// TestFieldsCap: at the cap a body is read whole, one byte beyond it is cut, and says so.
func TestFieldsCap(t *testing.T) {
	const most = 5000
	parts := func(n int) string {
		rest := n - len(field("a", "1")) - len(file("x", "")) - len(field("last", "")) - len("--b--\r\n")
		return field("a", "1") + file("x", strings.Repeat("y", 50_000)) + field("last", strings.Repeat("v", rest)) + "--b--\r\n"
	}
	for _, c := range []struct {
		name string
		body func(n int) string
		read func(string, body.Limits) body.Result
	}{
		{"form", func(n int) string { return "a=" + strings.Repeat("v", n-2) }, body.Form},
		{"json", func(n int) string { return `["` + strings.Repeat("v", n-4) + `"]` }, body.JSON},
		{"xml", func(n int) string { return "<a>" + strings.Repeat("v", n-7) + "</a>" }, body.XML},
		{"multipart", parts, multipart},
		{"preamble", func(n int) string { return strings.Repeat("v", n-9) + "\r\n--b--\r\n" }, multipart},
		{"epilogue", func(n int) string { return "--b--\r\n" + strings.Repeat("v", n-7) }, multipart},
		{"boundaries", func(n int) string { return strings.Repeat(field("a", "1"), 300)[:n] }, multipart},
	} {
		l := body.Limits{Fields: most}
		for _, n := range []int{most - 1, most, most + 1, 3 * most} {
			r := c.read(c.body(n), l)
			if r.Fields != min(n, most) || r.Over != (n > most) {
				t.Errorf("%s, %d bytes: %d of them, over %v", c.name, n, r.Fields, r.Over)
			}
			values := 0
			for _, p := range r.Arguments {
				values += len(p.Value)
			}
			for _, s := range r.Texts {
				values += len(s)
			}
			if values > most {
				t.Errorf("%s, %d bytes: %d bytes of values, want at most %d", c.name, n, values, most)
			}
		}
	}
}

// TestFlattenedCap: the names of JSON repeat those above them, up to eight times the size of a short text, and 128 KiB of a long one.
func TestFlattenedCap(t *testing.T) {
	text := func(names, pad int) string {
		return `{"` + strings.Repeat("n", 1000-len("json..10")) + `":[` + strings.Repeat("10,", names-1) + `10],"b":"` + strings.Repeat("v", pad) + `"}`
	}
	for _, c := range []struct{ names, pad, err int }{{80, 11_000, 0}, {110, 11_000, 1}, {125, 300_000, 0}, {135, 300_000, 1}} {
		r := body.JSON(text(c.names, c.pad), body.Limits{})
		if (r.Err != nil) != (c.err > 0) || r.Err != nil && !errors.Is(r.Err, body.ErrFlattened) {
			t.Errorf("%d names beside %d bytes: %v", c.names, c.pad, r.Err)
		}
	}
}

// measured is what a meter says of a text that comes in pieces, after each of them.
func measured(contentType, text string, piece int, l body.Limits) []int {
	m := body.NewMeter(contentType, l)
	var all []int
	for at := 0; at < len(text); {
		at = min(len(text), at+piece)
		all = append(all, m.Fields(text[:at]))
	}
	return all
}

// TestMeter: of a body as browsers send it, the meter says at each byte what has come of fields.
func TestMeter(t *testing.T) {
	text := field("a", "1\r\n-") + file("x", strings.Repeat("y\r\n--", 5000)) + file("z", "") + field("c", strings.Repeat("v", 300)) + "--b--\r\n"
	whole := multipart(text, body.Limits{})
	if whole.Err != nil || len(whole.Files) != 2 {
		t.Fatalf("got %v, %d files", whole.Err, len(whole.Files))
	}
	for _, piece := range []int{1, 2, 3, 7, 64, 1000, len(text)} {
		all := measured(boundaryB, text, piece, body.Limits{})
		if last := all[len(all)-1]; last != whole.Fields || !slices.IsSorted(all) {
			t.Errorf("in pieces of %d: %d at the end, sorted %v; want %d", piece, last, slices.IsSorted(all), whole.Fields)
		}
	}
	for name, text := range map[string]string{
		"field": field("a", strings.Repeat("v", 100_000)), "preamble": strings.Repeat("v", 100_000), "header": "--b\r\nX: " + strings.Repeat("v", 100_000),
		"boundary": file("a", "1") + "--b" + strings.Repeat(" ", 100_000), "behind the end": "--b--\r\n" + file("a", strings.Repeat("v", 100_000)),
	} {
		if all := measured(boundaryB, text, 50_000, body.Limits{}); all[0] < 49_000 {
			t.Errorf("%s: %v of the first 50,000 bytes", name, all)
		}
	}
	if all := measured("multipart/form-data", text, 100, body.Limits{}); all[0] != 100 {
		t.Errorf("without a boundary: %d of 100 bytes", all[0])
	}
	if all, whole := measured(boundaryB, strings.Repeat(field("a", "1"), 9), 10, body.Limits{Parts: 3}), len(strings.Repeat(field("a", "1"), 3))+5; all[len(all)-1] != whole {
		t.Errorf("more parts than are read: %d, want %d", all[len(all)-1], whole)
	}
}

// FuzzMeter: a meter never counts more than the parser, whatever pieces the body comes in; less, only where the parser found the body odd.
func FuzzMeter(f *testing.F) {
	for i, s := range []string{
		"", field("a", "1") + file("b", "2\r\n") + "--b--\r\n", "x\r\n--bb\r\n" + file("a", "1") + "--b--", "--b\nContent-Disposition: form-data; name=a; filename=f\n\nv\n--b--",
		file("a", "1") + "--b-- x\r\n" + file("c", "22"), file("a", "\n--b\n--bc\r--b") + "--b \r\n" + file("a", "3"), "--b--\r\n" + file("a", "1") + "--b--", file("a", "--b") + "--b--",
		"--b\r\nX: 1\r\n y\r\n\r\nv\n--b\r\n", "--b\r\nContent-Disposition: form-data; name='a'; filename*=utf-8''%41; filename=\"b\\\"\"\r\n\r\n\r\n--b--",
		strings.Repeat(file("a", "1"), 5) + "--b--",
	} {
		f.Add(s, i+1)
	}
	f.Fuzz(func(t *testing.T, s string, piece int) {
		l := body.Limits{Parts: 4, HeaderBytes: 200}
		r := body.Multipart(boundaryB, s, l)
		all := measured(boundaryB, s, 1+int(uint(piece)%50), l)
		if len(all) == 0 {
			return
		}
		// Each count is one of bytes of the body's front, which the parser would count too.
		if last := all[len(all)-1]; slices.Max(all) > r.Fields || r.Flags == 0 && r.Err == nil && last != r.Fields {
			t.Errorf("%q: measured %v, read %d (%v, %s)", s, all, r.Fields, r.Err, r.Flags)
		}
	})
}

// BenchmarkMeter measures a file of 16 MB as it comes.
func BenchmarkMeter(b *testing.B) {
	s := field("a", "1") + file("a", strings.Repeat("a line of text -- with dashes\r\n", 16<<20/31)) + "--b--\r\n"
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		if all := measured(boundaryB, s, 32<<10, body.Limits{}); all[len(all)-1] > 1000 {
			b.Fatal(fmt.Sprint(all[len(all)-1], " bytes"))
		}
	}
}
