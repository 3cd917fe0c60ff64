package body_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/doorward/doorward/seclang/body"
)

// bounded checks what holds for every body: no more than the caps, and no more text than the body can account for.
func bounded(t *testing.T, text string, r body.Result) {
	t.Helper()
	if len(r.Arguments) > 5*2000 || len(r.Names) > 1000 || len(r.Attributes)+len(r.Texts) > 65536 {
		t.Errorf("%d arguments, %d parts, %d nodes of %d bytes", len(r.Arguments), len(r.Names), len(r.Attributes)+len(r.Texts), len(text))
	}
	total := 0
	for _, p := range r.Arguments {
		total += len(p.Name) + len(p.Value)
	}
	// A field may be seen under six names, and a piece of JSON may stand behind names eight times as long as the body.
	if total > 4096+14*len(text) {
		t.Errorf("%d bytes of arguments of %d bytes", total, len(text))
	}
	headers := 0
	for _, p := range r.Headers {
		headers += len(p.Value)
	}
	if headers > 3*len(text) {
		t.Errorf("%d bytes of headers of %d bytes", headers, len(text))
	}
}

func FuzzForm(f *testing.F) {
	for _, s := range []string{"", "a=1&b", "a=%41+%4", "&&;=;", "a=1; b=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bounded(t, s, body.Form(s, body.Limits{}))
		bounded(t, s, body.Cookies(s, body.Limits{}))
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{"", "1", `{"a":[1,{"b":null}],"c":"\ud83d\ude00\n"}`, "[[[[]]]]", `{"a":1}{"b":2}`, `"a`, "\ufeff{}", `[-0.5e+7,true]`, `{"a":"b\q"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := body.JSON(s, body.Limits{})
		bounded(t, s, r)
		// The standard library refuses what we refuse, but for our own caps.
		ours := r.Err == nil || r.Err == body.ErrDepth || r.Err == body.ErrFlattened
		if valid := json.Valid([]byte(s)); valid && !ours || !valid && r.Err == nil {
			t.Errorf("%q: we say %v, the standard library that it is valid: %v", s, r.Err, valid)
		}
		if r.Err != nil || r.Truncated || !utf8.ValidString(s) {
			return
		}
		// Each text that it reads is among ours.
		var shown strings.Builder
		for _, p := range r.Arguments {
			shown.WriteString(p.Name + "\n" + p.Value + "\n")
		}
		decoder := json.NewDecoder(strings.NewReader(s))
		for {
			token, err := decoder.Token()
			if err != nil {
				return
			}
			// The name of an empty container has no value, and is not shown.
			if text, ok := token.(string); ok && !strings.Contains(shown.String(), text) && !strings.ContainsAny(s, "{") {
				t.Errorf("%q: the standard library reads %q, we %q", s, text, r.Arguments)
			}
		}
	})
}

func FuzzXML(f *testing.F) {
	for _, s := range []string{"", "<a b='c'>d</a>", "<a><br>&lt;&x;<![CDATA[e]]>", "<!DOCTYPE a [<!ENTITY x SYSTEM 'y'>]><a/>", "<a b c=d>", "<?xml version='1.0' encoding='latin1'?>", "</a>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bounded(t, s, body.XML(s, body.Limits{}))
	})
}

func FuzzMultipart(f *testing.F) {
	for _, s := range []string{
		"", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--b--\r\n", "--b\nContent-Disposition: form-data; name=a; filename=f\n\nv\n--b--",
		"x\r\n--b \r\n\r\n\r\n--b--\r\n--b\r\n\r\n", "--b\r\nX: 1\r\n y\r\n\r\nv\n--b\r\n", "--b\r\nContent-Disposition: form-data; name='a'; filename*=utf-8''%41; filename=\"b\\\"\"\r\n\r\n\r\n--b--",
		"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41=\r\n--b--",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := body.Multipart("multipart/form-data; boundary=b", s, body.Limits{})
		bounded(t, s, r)
		if r.Err == nil && len(r.Names) == 0 && !r.Flags.Has(body.Incomplete) && !strings.Contains(s, "--b--") {
			t.Errorf("%q: no part, no error and no end", s)
		}
		if len(r.Files)+len(r.Arguments) < len(r.Names) {
			t.Errorf("%q: %d parts, but %d files and %d arguments", s, len(r.Names), len(r.Files), len(r.Arguments))
		}
	})
}

func FuzzContentType(f *testing.F) {
	for _, s := range []string{"multipart/form-data; boundary=b", `multipart/form-data; boundary="b"; charset=utf-8`, "multipart/mixed;boundary*0=b", "text/plain", "multipart/form-data; boundary=a,b", "multipart/form-data; boundary='b'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bounded(t, s, body.Multipart(s, "--b\r\nContent-Disposition: "+s+"\r\n\r\nv\r\n--b--\r\n", body.Limits{}))
	})
}

func BenchmarkForm(b *testing.B) {
	s := strings.Repeat("subject=A+question+about+invoice&text=Hello%2C+please+look+at+this.&id=4711&", 12)
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		body.Form(s, body.Limits{})
	}
}

func BenchmarkJSON(b *testing.B) {
	s := `{"tickets":[` + strings.Repeat(`{"id":4711,"subject":"A question about invoice","text":"Hello,\nplease look at this.","tags":["a","b"]},`, 10) + `{}]}`
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		if r := body.JSON(s, body.Limits{}); r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}

func BenchmarkXML(b *testing.B) {
	s := "<tickets>" + strings.Repeat(`<ticket id="4711"><subject>A question about invoice</subject><text>Hello, please look at this.</text></ticket>`, 10) + "</tickets>"
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		if r := body.XML(s, body.Limits{}); r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}

// BenchmarkMultipart is a form of four fields with a file of 1 MB, in lines.
func BenchmarkMultipart(b *testing.B) {
	s := strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"subject\"\r\n\r\nA question about invoice\r\n", 4) +
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("a line of text -- with dashes\r\n", 1<<20/31) + "\r\n--b--\r\n"
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		if r := multipart(s, body.Limits{}); r.Err != nil || r.Flags != 0 {
			b.Fatal(r.Err, r.Flags)
		}
	}
}

// BenchmarkHostile shows that no shape of a body makes the work grow faster than the body.
func BenchmarkHostile(b *testing.B) {
	const size = 1 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	open := "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n"
	for _, c := range []struct {
		name, text string
		read       func(string, body.Limits) body.Result
	}{
		{"multipart/boundaries behind CR", open + fill("\r--b"), multipart},
		{"multipart/boundaries behind LF", open + fill("\n--b"), multipart},
		{"multipart/boundaries in a line", open + fill("--b"), multipart},
		{"multipart/long boundaries", open + fill("\r\n--bb"), multipart},
		{"multipart/last boundaries", open + fill("\r\n--b--\r\n--b\r\n\r\n"), multipart},
		{"multipart/blank end", open + strings.Repeat("\r\n--b--\r\n--b\r\n\r\n", 500) + fill(" "), multipart},
		{"multipart/empty parts", fill("--b\r\n\r\n\r\n"), multipart},
		{"multipart/headers", "--b\r\n" + fill("a:b\r\n"), multipart},
		{"multipart/header in many lines", fill("--b\r\na:b\r\n" + strings.Repeat("x\r\n", 90) + "\r\n\r\n"), multipart},
		{"multipart/folded header", fill("--b\r\na:b\r\n" + strings.Repeat(" x\r\n", 90) + "\r\n\r\n"), multipart},
		{"multipart/parameters", fill("--b\r\nContent-Disposition: form-data" + strings.Repeat(";name=x", 2000) + "\r\n\r\n\r\n"), multipart},
		{"multipart/preamble", fill("--bb\r\n"), multipart},
		{"json/brackets", fill("["), body.JSON},
		{"json/objects", fill(`{"a":`), body.JSON},
		{"json/elements", "[" + fill("1,") + "1]", body.JSON},
		{"json/empty arrays", "[" + fill("[],") + "1]", body.JSON},
		{"json/escapes", `"` + fill(`\ud800`) + `"`, body.JSON},
		{"json/quotes", fill(`"a`), body.JSON},
		{"json/values", fill("1 "), body.JSON},
		{"json/long names", "[" + strings.Repeat(`{"`+strings.Repeat("a", 2000)+`":[`, 250) + fill("1,") + "1", body.JSON},
		{"xml/elements", fill("<a>"), body.XML},
		{"xml/ends", strings.Repeat("<a>", 500) + fill("</b>"), body.XML},
		{"xml/attributes", "<a" + fill(" b"), body.XML},
		{"xml/open elements of HTML", fill("<br>"), body.XML},
		{"xml/entities", fill("&a;"), body.XML},
		{"xml/less than", fill("<"), body.XML},
		{"xml/comments", fill("<!---->"), body.XML},
		{"xml/texts", "<a>" + fill("b<c/>"), body.XML},
		{"form/pairs", fill("&"), body.Form},
		{"form/escapes", fill("%4"), body.Form},
		{"cookies/pairs", fill(";"), body.Cookies},
		{"cookies/blanks", fill(" "), body.Cookies},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				c.read(c.text, body.Limits{})
			}
		})
	}
}
