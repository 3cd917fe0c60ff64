package body_test

import (
	"errors"
	"fmt"
	mime "mime/multipart"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/body"
)

func wantPairs(t *testing.T, what string, got []body.Pair, want ...string) {
	t.Helper()
	var all []string
	for _, p := range got {
		all = append(all, p.Name+"="+p.Value)
	}
	if !slices.Equal(all, want) {
		t.Errorf("%s: got %q, want %q", what, all, want)
	}
}

func wantErr(t *testing.T, what string, r body.Result, want error) {
	t.Helper()
	if !errors.Is(r.Err, want) {
		t.Errorf("%s: got the error %v, want %v", what, r.Err, want)
	}
}

func TestForm(t *testing.T) {
	r := body.Form("b=1&a=%41+%4&&c&=d&a=%zz&;=;", body.Limits{})
	wantPairs(t, "form", r.Arguments, "b=1", "a=A %4", "c=", "=d", "a=%zz", ";=;")
	if r.Err != nil || r.Truncated || r.Flags != body.InvalidEscape|body.Semicolons {
		t.Errorf("got %v, %v, %v; want the flags invalid-escape and semicolons only", r.Err, r.Truncated, r.Flags)
	}
	wantPairs(t, "loose form", body.Loose("a=1;b=%3b&c;;=", body.Limits{}).Arguments, "a=1", "b=;", "c=", "=")
	if n := testing.AllocsPerRun(10, func() { body.Query("a=1&b=2&c", body.Limits{}) }); n > 1 {
		t.Errorf("a query without escapes allocates %v times, want 1", n)
	}
}

func TestCookies(t *testing.T) {
	r := body.Cookies(" a=1 ;b=%41+; =c;; ;d;a=x=y\x7f", body.Limits{})
	wantPairs(t, "cookies", r.Arguments, "a=1", "b=%41+", "=c", "d=", "a=x=y")
}

// TestCaps: each thing that a stranger can make grow stops at its cap, and says so; at the cap it does not.
func TestCaps(t *testing.T) {
	l := body.Limits{Arguments: 3, Depth: 3, Parts: 3, HeaderBytes: 200, Nodes: 20}
	for _, c := range []struct {
		name string
		read func(n int) body.Result
		most int
		err  error
		cut  bool
	}{
		{"form", func(n int) body.Result { return body.Form(strings.Repeat("a&", n), l) }, 3, nil, true},
		{"query", func(n int) body.Result { return body.Query(strings.Repeat("a&", n), l) }, 3, nil, true},
		{"cookies", func(n int) body.Result { return body.Cookies(strings.Repeat("a;", n), l) }, 3, nil, true},
		{"elements", func(n int) body.Result { return body.JSON("["+strings.Repeat("1,", n-1)+"1]", l) }, 3, nil, true},
		{"members", func(n int) body.Result { return body.JSON(`{"a":1`+strings.Repeat(`,"a":1`, n-1)+"}", l) }, 3, nil, true},
		{"lengths", func(n int) body.Result { return body.JSON(`{"a":[[]]`+strings.Repeat(`,"a":[[]]`, n-1)+"}", l) }, 3, nil, true},
		{"pieces", func(n int) body.Result { return body.JSON("x"+strings.Repeat(`"x`, n-1), l) }, 3, nil, true},
		{"json depth", func(n int) body.Result { return body.JSON(strings.Repeat("[", n)+strings.Repeat("]", n), l) }, 3, body.ErrDepth, false},
		{"xml depth", func(n int) body.Result { return body.XML(strings.Repeat("<a>", n)+strings.Repeat("</a>", n), l) }, 3, body.ErrDepth, false},
		{"attributes", func(n int) body.Result { return body.XML(strings.Repeat("<a b='c'/>", n), l) }, 20, body.ErrNodes, false},
		{"texts", func(n int) body.Result { return body.XML("<a>"+strings.Repeat("b<c/>", n)+"</a>", l) }, 20, body.ErrNodes, false},
		{"tag", func(n int) body.Result { return body.XML("<a"+strings.Repeat(" ", n-3)+">", l) }, 20, body.ErrNodes, false},
		{"parts", func(n int) body.Result {
			return multipart(strings.Repeat("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n", n)+"--b--", l)
		}, 3, body.ErrParts, false},
		{"header", func(n int) body.Result {
			return multipart("--b\r\nX:"+strings.Repeat("x", n-6)+"\r\n\r\n1\r\n--b--", l)
		}, 200, body.ErrHeader, false},
	} {
		at, beyond := c.read(c.most), c.read(c.most+1)
		if errors.Is(at.Err, body.ErrDepth) || errors.Is(at.Err, body.ErrNodes) || errors.Is(at.Err, body.ErrParts) || errors.Is(at.Err, body.ErrHeader) || at.Truncated {
			t.Errorf("%s at the cap: %v, truncated %v", c.name, at.Err, at.Truncated)
		}
		if c.err != nil {
			wantErr(t, c.name, beyond, c.err)
		}
		if beyond.Truncated != c.cut {
			t.Errorf("%s beyond the cap: truncated is %v", c.name, beyond.Truncated)
		}
	}
	wantErr(t, "lines of a header", multipart("--b\r\n"+strings.Repeat("a:\r\n", 102)+"\r\n1\r\n--b--", body.Limits{}), body.ErrHeader)
	deep := strings.Repeat(`{"aaaaaaaaaaaaaaaaaaaaaaaaaaaa":[`, 200) + "1" + strings.Repeat("]}", 200)
	wantErr(t, "names longer than the body", body.JSON(deep, body.Limits{}), body.ErrFlattened)
}

func TestJSON(t *testing.T) {
	r := body.JSON(` {"b":[1,{"c":null}],"a":{"x":true,"x":"\u00e4\ud83d\ude00"},"e":[]} `, body.Limits{})
	wantPairs(t, "json", r.Arguments, "json.b.0=1", "json.b.1.c=", "json.b=2", "json.a.x=true", "json.a.x=ä😀")
	if r.Err != nil {
		t.Error(r.Err)
	}
	// Half a pair of surrogates takes nothing away with it.
	r = body.JSON(`"\ud800\u003cscript>"`, body.Limits{})
	wantPairs(t, "half a pair", r.Arguments, "json.0=\ufffd<script>", "json=1")
	for _, c := range []struct {
		text string
		want []string
		err  string
	}{
		{"\ufeff{\"a\":1}", []string{"json.a=1"}, "json: a byte order mark"},
		{`{"a":1}{"b":2}`, []string{"json.a=1", "json.b=2"}, "json: text behind the value at byte 7"},
		{`{"a":1,'b':'<x>'}`, []string{"json.a=1", "json='b':'<x>'}"}, "json: no name of a member at byte 7"},
		{`{"a":"b\q<x>"`, []string{`json=b\q<x>`}, "json: no escape at byte 9"},
		{`[1,2`, []string{"json.0=1", "json.1=2"}, "json: no comma and no end at byte 4"},
		{"[\"a\nb\"]", []string{"json=a\nb"}, "json: a control character in a string at byte 3"},
		{"[01]", []string{"json.0=0", "json=1]"}, "json: no comma and no end at byte 2"},
		{"[1.]", []string{}, "json: no digit at byte 3"},
		{"\xff\xfe[\x001\x00]\x00", []string{"json=\xff\xfe[\x001\x00]\x00"}, "json: no value at byte 0"},
		{"", nil, "json: no value at byte 0"},
	} {
		r := body.JSON(c.text, body.Limits{})
		wantPairs(t, c.text, r.Arguments, c.want...)
		if r.Err == nil || r.Err.Error() != c.err {
			t.Errorf("%q: got the error %v, want %s", c.text, r.Err, c.err)
		}
	}
}

func TestXML(t *testing.T) {
	r := body.XML(`<?xml version="1.0"?><a b="1" c='&lt;'> x <d>&amp;<![CDATA[<y>]]></d><br>&unknown; </a>`, body.Limits{})
	if want := []string{"1", "<"}; !slices.Equal(r.Attributes, want) || r.Err != nil || r.Flags != body.Ambiguous {
		t.Errorf("attributes: got %q, %v, %v; want %q", r.Attributes, r.Err, r.Flags, want)
	}
	if want := []string{"x", "&", "<y>", "&<y>", "&unknown;"}; !slices.Equal(r.Texts, want) {
		t.Errorf("texts: got %q, want %q", r.Texts, want)
	}
	r = body.XML("<a>un<!-- -->ion sel<![CDATA[ect]]> <!-- --> <b/>x<!-- --></a>", body.Limits{})
	if want := []string{"un", "ion sel", "ect", "union select", "x"}; !slices.Equal(r.Texts, want) || r.Flags != body.Ambiguous {
		t.Errorf("texts in pieces: got %q, %v; want %q", r.Texts, r.Flags, want)
	}
	for text, want := range map[string]body.Flags{
		"<a>b": body.Incomplete,
		"<a b": body.Incomplete,
		`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`: body.Entities,
		`<!DOCTYPE a PUBLIC "x" "http://192.0.2.1/x.dtd"><a/>`:             body.Entities,
		"<!DOCTYPE html><a/>": 0,
	} {
		if r := body.XML(text, body.Limits{}); r.Flags != want || r.Err != nil {
			t.Errorf("%q: got %v, %v; want %v", text, r.Flags, r.Err, want)
		}
	}
	for _, text := range []string{`<?xml version="1.0" encoding="utf-7"?><a>b</a>`, "<a>b</a></c>", "<a>\x00</a>", "<a>\xff</a>"} {
		if r := body.XML(text, body.Limits{}); r.Err == nil || r.Texts != nil {
			t.Errorf("%q: got %v and %q; want an error and no texts", text, r.Err, r.Texts)
		}
	}
}

func multipart(text string, l body.Limits) body.Result {
	return body.Multipart("multipart/form-data; boundary=b", text, l)
}

func TestMultipart(t *testing.T) {
	r := multipart("--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nx\r\ny\r\n"+
		"--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n12345\r\n--b--\r\n", body.Limits{})
	wantPairs(t, "arguments", r.Arguments, "q=x\r\ny")
	wantPairs(t, "headers", r.Headers, `q=Content-Disposition: form-data; name="q"`, `f=Content-Disposition: form-data; name="f"; filename="a.txt"`, "f=Content-Type: text/plain")
	wantPairs(t, "names", r.Names, "q=q", "f=f")
	wantPairs(t, "file names", r.Filenames, "f=a.txt")
	if want := []body.File{{Field: "f", Name: "a.txt", Size: 5}}; !slices.Equal(r.Files, want) || r.Combined != 9 {
		t.Errorf("files: got %v of %d bytes, want %v of 9", r.Files, r.Combined, want)
	}
	if r.Err != nil || r.Flags != 0 || r.Truncated {
		t.Errorf("got %v, %v, %v; want nothing odd", r.Err, r.Flags, r.Truncated)
	}
}

// TestOrdinaryClients: what browsers and programs send has no flag, whatever people call their fields and files.
func TestOrdinaryClients(t *testing.T) {
	names := []string{"subject", "a b", "Überschrift", `a"b`, `a\b`, "it's", "a;b=c", "a[b][]", "日本語"}
	var text strings.Builder
	w := mime.NewWriter(&text)
	for _, name := range names {
		if err := w.WriteField(name, "--"+w.Boundary()[:20]+"\r\n--\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.CreateFormFile("file", name); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := body.Multipart(w.FormDataContentType(), text.String(), body.Limits{})
	if r.Err != nil || r.Flags != 0 || len(r.Arguments) != len(names) || len(r.Files) != len(names) {
		t.Fatalf("got %d fields, %d files, %v, %v; want %d of each and nothing odd", len(r.Arguments), len(r.Files), r.Flags, r.Err, len(names))
	}
	for i, name := range names {
		if r.Arguments[i].Name != name || r.Files[i].Name != name {
			t.Errorf("got the field %q and the file %q, want %q", r.Arguments[i].Name, r.Files[i].Name, name)
		}
	}
	// Chromium and Firefox, curl, and Python's requests.
	for disposition, name := range map[string]string{
		`name="file"; filename="%22a%22; b.txt"`:                "%22a%22; b.txt",
		`name="file"; filename="\"a\"; b.txt"`:                  `"a"; b.txt`,
		`name="file"; filename="C:\Users\maria\scan.pdf"`:       `C:\Users\maria\scan.pdf`,
		`name="file"; filename="Übersicht (1).pdf"`:             "Übersicht (1).pdf",
		`name="file"; filename=""`:                              "",
		`name="file"; filename="blob"`:                          "blob",
		`name="file"; filename="a.txt"; filename*=UTF-8''a.txt`: "a.txt",
	} {
		r := multipart(part(disposition), body.Limits{})
		got := ""
		if len(r.Files) > 0 {
			got = r.Files[0].Name
		}
		if got != name || r.Flags != 0 || r.Err != nil {
			t.Errorf("%s: got %q, %v, %v; want %q and nothing odd", disposition, got, r.Flags, r.Err, name)
		}
	}
}

func part(disposition string) string {
	return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\nv\r\n--b--\r\n"
}

// TestMultipartFlags: one body for each flag, and what is seen of it all the same.
func TestMultipartFlags(t *testing.T) {
	const a = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--b--\r\n"
	for _, c := range []struct {
		name, contentType, text string
		want                    body.Flags
		args                    []string
		err                     bool
	}{
		{"quoted boundary", `multipart/form-data; boundary="b"`, a, body.BoundaryQuoted, []string{"a=v"}, false},
		{"spaced boundary", `multipart/form-data; boundary= b`, a, body.BoundaryWhitespace, []string{"a=v"}, false},
		{"space behind a boundary", "", strings.Replace(a, "--b\r\n", "--b \r\n", 1), body.BoundaryWhitespace, []string{"a=v"}, false},
		{"two boundaries", `multipart/form-data; xboundary=c; boundary=b`, a, body.Contested, []string{"a=v"}, false},
		{"a browser's boundary", "multipart/form-data; boundary=----WebKitFormBoundaryb", strings.ReplaceAll(a, "--b", "------WebKitFormBoundaryb"), 0, []string{"a=v"}, false},
		{"a boundary that names another", "multipart/form-data; boundary=\"b;boundary=c\"", strings.ReplaceAll(a, "--b", "--b;boundary=c"), body.BoundaryQuoted | body.Contested, []string{"a=v"}, false},
		{"the word before", "multipart/form-data; x=boundary; boundary=b", a, body.Contested, []string{"a=v"}, false},
		{"extended boundary", `multipart/form-data; boundary*=utf-8''b`, a, body.Contested, []string{"a=v"}, false},
		{"no boundary", `multipart/form-data`, a, body.Malformed, nil, true},
		{"bad type", `multipart/form-data; boundary=b; boundary=c`, a, body.Malformed, nil, true},
		{"preamble", "", "x\r\n" + a, body.DataBefore, []string{"a=v"}, false},
		{"epilogue", "", a + "x", body.DataAfter, []string{"a=v"}, false},
		{"parts behind the end", "", a + strings.Replace(a, "=a", "=z", 1), body.DataAfter | body.Contested, []string{"a=v", "z=v"}, false},
		{"a file behind the end", "", a + strings.Replace(a, "=a", "=z; filename=f", 1), body.DataAfter | body.Contested | body.Ambiguous, []string{"a=v", "z=v"}, false},
		{"folding", "", strings.Replace(a, "; name", ";\r\n name", 1), body.HeaderFolding, []string{"a=v"}, false},
		{"empty folding", "", strings.Replace(a, "=a\r\n", "=a\r\n \r\n", 1), body.HeaderFolding | body.InvalidHeaderFolding, []string{"a=v"}, false},
		{"folding of nothing", "", strings.Replace(a, "Content", " Content", 1), body.HeaderFolding | body.InvalidHeaderFolding | body.Malformed | body.InvalidPart, []string{"=v"}, true},
		{"line feeds", "", strings.ReplaceAll(a, "\r\n", "\n"), body.LFLine, []string{"a=v"}, false},
		{"some line feeds", "", strings.Replace(a, "=a\r\n", "=a\n", 1), body.LFLine | body.CRLFLFLines, []string{"a=v"}, false},
		{"text behind quotes", "", part(`name="a" x`), body.MissingSemicolon | body.Malformed | body.Ambiguous, []string{"=v", `"a" x=v`}, false},
		{"single quotes", "", part(`name='a'`), body.InvalidQuoting | body.Ambiguous, []string{"'a'=v", "a=v"}, false},
		{"open quotes", "", part(`name="a`), body.InvalidQuoting | body.Malformed | body.Ambiguous, []string{"=v", `"a=v`}, false},
		{"two names", "", part(`name=a; name=b`), body.DuplicatePartHeader | body.Malformed | body.Ambiguous, []string{"=v", "a=v", "b=v"}, false},
		{"backslash", "", part(`name="a\b"`), body.Ambiguous, []string{`a\b=v`, "ab=v"}, false},
		{"no name", "", part(`x=y`), body.InvalidPart, []string{"=v"}, false},
		{"no disposition", "", "--b\r\n\r\nv\r\n--b--", body.InvalidPart, []string{"=v"}, false},
		{"two headers", "", strings.Replace(a, "\r\n\r\n", "\r\nX: 1\r\nx: 2\r\n\r\n", 1), body.DuplicatePartHeader, []string{"a=v"}, false},
		{"no colon", "", strings.Replace(a, "\r\n\r\n", "\r\nnothing\r\n\r\n", 1), body.Malformed, []string{"anothing=v"}, true},
		{"space before the colon", "", strings.Replace(a, "Disposition:", "Disposition :", 1), body.Contested | body.InvalidPart, []string{"=v"}, false},
		{"lookalike", "", strings.Replace(a, "v", "v\r\n--bb", 1), body.UnmatchedBoundary | body.Contested, []string{"a=v\r\n--bb"}, false},
		{"boundary within a line", "", strings.Replace(a, "v", "v--b", 1), body.Contested, []string{"a=v--b"}, false},
		{"boundary in a header", "", strings.Replace(a, "=a", "=\"--b\"", 1), body.Contested, []string{"--b=v"}, false},
		{"boundary behind LF in a file", "", strings.Replace(strings.Replace(a, "=a", "=a; filename=f", 1), "v", "v\n--b\r\nX:1\r\n\r\ny", 1), body.UnmatchedBoundary | body.Contested | body.Ambiguous, []string{"a=v\n--b\r\nX:1\r\n\r\ny"}, false},
		{"text on a boundary", "", strings.Replace(a, "v\r\n--b--", "v\r\n--b x\r\n\r\ny\r\n--b--", 1), body.Malformed | body.InvalidPart, []string{"a=v", "=y"}, true},
		{"extended name only", "", part(`name=a; filename*=utf-8''f`), body.Ambiguous, []string{"a=v"}, false},
		{"quoted extended name", "", part(`name=a; filename=g; filename*="utf-8''f"`), body.InvalidQuoting, nil, false},
		{"continued name", "", part(`name=a; filename=g; filename*0=f`), body.Malformed, nil, false},
		{"bad escape", "", part(`name=a; filename=g; filename*=x''%z`), body.Malformed, nil, false},
		{"other charset", "", part(`name=a; filename=g; filename*=iso-8859-1''f`), 0, nil, false},
		{"parts in a part", "", strings.Replace(a, "\r\n\r\n", "\r\nContent-Type: multipart/mixed\r\n\r\n", 1), body.Contested, []string{"a=v"}, false},
		{"base64", "", strings.Replace(a, "\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1), body.Contested, []string{"a=v"}, false},
		{"quoted-printable", "", strings.Replace(strings.Replace(a, "\r\n\r\n", "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", 1), "v", "=3C", 1), body.Contested | body.Ambiguous, []string{"a=<", "a==3C"}, false},
		{"cut", "", a[:len(a)-8], body.Incomplete, []string{"a=v"}, false},
		{"cut in the header", "", a[:20], body.Incomplete, nil, false},
		{"no parts", "", "x", body.Incomplete, nil, true},
	} {
		if c.contentType == "" {
			c.contentType = "multipart/form-data; boundary=b"
		}
		r := body.Multipart(c.contentType, c.text, body.Limits{})
		if r.Flags != c.want || (r.Err != nil) != c.err {
			t.Errorf("%s: got %v, %v; want %v, error %v", c.name, r.Flags, r.Err, c.want, c.err)
		}
		wantPairs(t, c.name, r.Arguments, c.args...)
	}
}

func TestOtherFileNames(t *testing.T) {
	r := multipart(part(`name=a; filename="g.txt"; filename*=iso-8859-1'de'f%2ephp`), body.Limits{})
	if want := []body.File{{Field: "a", Name: "f.php", Other: "g.txt", Size: 1}}; !slices.Equal(r.Files, want) {
		t.Errorf("got %v, want %v", r.Files, want)
	}
	wantPairs(t, "file names", r.Filenames, "a=f.php", "a=g.txt")
	wantPairs(t, "charsets", r.Charsets, "a=iso-8859-1")
	wantPairs(t, "languages", r.Languages, "a=de")
}

func TestFlagsHaveNames(t *testing.T) {
	if got, want := (body.BoundaryQuoted | body.Contested | body.Entities).String(), "boundary-quoted contested entities"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fmt.Sprint(body.Flags(0)); got != "" {
		t.Errorf("no flags are called %q", got)
	}
}

// TestDataXML: elements that have the names of HTML's without an end have one in data.
func TestDataXML(t *testing.T) {
	const text = "<rss><link>a</link><params><param>b</param></params></rss>"
	if r := body.XML(text, body.Limits{}); r.Err == nil {
		t.Errorf("XML reads %q as %q, and Coraza finds it broken", text, r.Texts)
	}
	if r := body.DataXML(text, body.Limits{}); r.Err != nil || !slices.Equal(r.Texts, []string{"a", "b"}) {
		t.Errorf("DataXML reads %q as %q, %v", text, r.Texts, r.Err)
	}
	wantErr(t, "deep", body.DataXML(strings.Repeat("<link>", 4), body.Limits{Depth: 3}), body.ErrDepth)
}
