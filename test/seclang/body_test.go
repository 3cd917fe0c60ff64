package seclang_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/collection"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/doorward/doorward/seclang/body"
)

// bodies is Coraza with one body processor.
type bodies struct {
	waf         coraza.WAF
	contentType string
}

func newBodies(t testing.TB, processor, contentType string) bodies {
	directives := "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 10000000\nSecRequestBodyInMemoryLimit 10000000\nSecRequestBodyJsonDepthLimit 512\nSecArgumentsLimit 1000\n"
	if processor != "" {
		directives += "SecAction \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=" + processor + "\"\n"
	}
	return bodies{corazaWAF(t, directives), contentType}
}

// read returns what Coraza makes of a body, in our form, and whether it calls a multipart body strictly wrong.
func (b bodies) read(t testing.TB, text string) (r body.Result, strict bool) {
	t.Helper()
	tx := b.waf.NewTransaction()
	defer tx.Close()
	tx.ProcessURI("/", "POST", "HTTP/1.1")
	tx.AddRequestHeader("Content-Type", b.contentType)
	tx.ProcessRequestHeaders()
	if _, _, err := tx.WriteRequestBody([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ProcessRequestBody(); err != nil {
		t.Fatal(err)
	}
	v := tx.(plugintypes.TransactionState).Variables()
	r.Arguments = pairs(v.ArgsPost())
	for _, f := range v.Files().FindAll() {
		r.Files = append(r.Files, body.File{Name: f.Value()})
	}
	r.Headers, r.Names, r.Filenames = pairs(v.MultipartPartHeaders()), pairs(v.MultipartName()), pairs(v.MultipartFilename())
	r.Charsets, r.Languages = pairs(v.MultipartFilenameCharset()), pairs(v.MultipartFilenameLanguage())
	r.Combined, _ = strconv.ParseInt(v.FilesCombinedSize().Get(), 10, 64)
	r.Attributes, r.Texts = v.RequestXML().Get("//@*"), v.RequestXML().Get("/*")
	r.Truncated = v.ArgumentsLimitReached().Get() == "1"
	if v.RequestBodyProcessorError().Get() == "1" {
		r.Err = fmt.Errorf("%s", v.RequestBodyProcessorErrorMsg().Get())
	}
	return r, v.MultipartStrictError().Get() == "1"
}

func pairs(c collection.Collection) (all []body.Pair) {
	for _, m := range c.FindAll() {
		all = append(all, body.Pair{Name: m.Key(), Value: m.Value()})
	}
	return all
}

// canonical sorts what Coraza keeps in maps.
func canonical(r body.Result) body.Result {
	byName := func(a, b body.Pair) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value)) }
	sorted := func(p []body.Pair) []body.Pair {
		p = slices.Clone(p)
		for i := range p {
			p[i].Name = strings.ToLower(p[i].Name) // its names have no case
		}
		slices.SortFunc(p, byName)
		return p
	}
	r.Arguments, r.Headers, r.Names, r.Filenames, r.Charsets, r.Languages = sorted(r.Arguments), sorted(r.Headers), sorted(r.Names), sorted(r.Filenames), sorted(r.Charsets), sorted(r.Languages)
	var files []body.File
	for _, f := range r.Files {
		files = append(files, body.File{Name: f.Name})
		if f.Other != "" {
			files = append(files, body.File{Name: f.Other})
		}
	}
	slices.SortFunc(files, func(a, b body.File) int { return cmp.Compare(a.Name, b.Name) })
	r.Files, r.Flags = files, 0
	return r
}

func show(r body.Result) string {
	err := r.Err != nil
	r.Err, r.Fields = nil, 0 // Coraza counts no fields
	return fmt.Sprintf("%+q error=%v", fmt.Sprintf("%+v", r), err)
}

func multiset(all []string) map[string]int {
	m := make(map[string]int)
	for _, s := range all {
		m[s]++
	}
	return m
}

// missing returns the values of want that got has not.
func missing(got, want []body.Pair) []string {
	var have, need []string
	for _, p := range got {
		have = append(have, p.Value)
	}
	for _, p := range want {
		need = append(need, p.Value)
	}
	return lacking(have, need)
}

// lacking returns what is more often in need than in have.
func lacking(have, need []string) (lost []string) {
	m := multiset(have)
	for s, n := range multiset(need) {
		if m[s] < n {
			lost = append(lost, s)
		}
	}
	return lost
}

// oneNameInTwoCases: of a=1&A=2, Coraza keeps only one of the two, and which one differs from run to run. We keep both.
func oneNameInTwoCases(p []body.Pair) bool {
	seen := make(map[string]string)
	for _, pair := range p {
		if first, ok := seen[strings.ToLower(pair.Name)]; ok && first != pair.Name {
			return true
		}
		seen[strings.ToLower(pair.Name)] = pair.Name
	}
	return false
}

func TestFormsAreCorazas(t *testing.T) {
	b := newBodies(t, "", "application/x-www-form-urlencoded")
	r := rand.New(rand.NewPCG(11, 12))
	parts := []string{"a", "B", "=", "&", "&&", "+", "%41", "%4", "%", "%zz", ";", "%26", "%3d", "\x00", "\xff", " ", "ä", "a=1", "[]", "%00", "a[b]=c"}
	all := []string{"", "&", "=", strings.Repeat("a=1&", 999), strings.Repeat("a=1&", 1000), strings.Repeat("a=1&", 1000) + "&&", strings.Repeat("a=1&", 1000) + "b", strings.Repeat("&", 5000) + "a"}
	for range 30_000 {
		s := ""
		for range r.IntN(10) {
			s += parts[r.IntN(len(parts))]
		}
		all = append(all, s)
	}
	for _, s := range all {
		want, _ := b.read(t, s)
		got := body.Form(s, body.Limits{})
		if g, w := show(canonical(got)), show(canonical(want)); g != w && (!oneNameInTwoCases(got.Arguments) || len(missing(got.Arguments, want.Arguments)) > 0) {
			t.Fatalf("%q\ngot  %s\nwant %s", s, g, w)
		}
		if query := body.Query(s, body.Limits{}); !slices.Equal(query.Arguments, got.Arguments) {
			t.Fatalf("%q: a query has other pairs than a form", s)
		}
	}
}

func TestCookiesAreCorazas(t *testing.T) {
	waf := corazaWAF(t, "SecRuleEngine On\n")
	r := rand.New(rand.NewPCG(13, 14))
	parts := []string{"a", "B", "=", "; ", ";", " ", "\t", "\x01", "\x7f", "\"", "%41", "+", ",", "$Version", "\xff", "a=1", "é"}
	for range 30_000 {
		s := ""
		for range r.IntN(10) {
			s += parts[r.IntN(len(parts))]
		}
		tx := waf.NewTransaction()
		tx.AddRequestHeader("Cookie", s)
		want := body.Result{Arguments: pairs(tx.(plugintypes.TransactionState).Variables().RequestCookies())}
		if g, w := show(canonical(body.Cookies(s, body.Limits{}))), show(canonical(want)); g != w {
			t.Fatalf("%q\ngot  %s\nwant %s", s, g, w)
		}
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// generated makes a JSON text.
func generatedJSON(r *rand.Rand, depth int) string {
	scalars := []string{"1", "-0.5e+7", "true", "false", "null", `""`, `"a"`, `"\u0041\n\/"`, `"\ud83d\ude00"`, `"ä\\\""`, `"<script>"`, "0", "12345678901234567890", `"a.b"`}
	space := []string{"", " ", "\n\t"}[r.IntN(3)]
	if depth == 0 || r.IntN(3) == 0 {
		return space + scalars[r.IntN(len(scalars))] + space
	}
	var items []string
	object := r.IntN(2) == 0
	for range r.IntN(4) {
		item := generatedJSON(r, depth-1)
		if object {
			item = []string{`"a"`, `"A"`, `"b.c"`, `""`, `"\u0062"`, `"0"`, `"é"`}[r.IntN(7)] + space + ":" + item
		}
		items = append(items, item)
	}
	if object {
		return "{" + strings.Join(items, ",") + "}"
	}
	return "[" + space + strings.Join(items, ",") + "]" + space
}

func TestJSONIsCorazas(t *testing.T) {
	b := newBodies(t, "JSON", "application/json")
	r := rand.New(rand.NewPCG(15, 16))
	all := []string{"1", `"a"`, "null", " [] ", "{}", "[[],{}]", "[[1],[2,[3]]]", `{"a":[1,2,{"b":null}]}`,
		strings.Repeat("[", 512) + strings.Repeat("]", 512), strings.Repeat("[", 513) + strings.Repeat("]", 513), strings.Repeat(`{"a":`, 512) + "1" + strings.Repeat("}", 512),
		"[" + strings.Repeat("1,", 999) + "1]", "[" + strings.Repeat("1,", 1000) + "1]", `{"a":[` + strings.Repeat("1,", 998) + `1],"b":[2],"c":[3],"d":[]}`, `{"a":[` + strings.Repeat("1,", 999) + `1],"b":{}}`,
		"[" + strings.Repeat("[1],", 600) + "[1]]", "[" + strings.Repeat("[[[1]]],", 400) + "[1],[2]]", "[" + strings.Repeat("{},", 1200) + "1]",
		strings.Repeat(`{"aaaaaaaaaaaaaaaaaaaaaaaaaaaa":[`, 100) + "1" + strings.Repeat("]}", 100),
	}
	for range 20_000 {
		all = append(all, generatedJSON(r, 4))
	}
	for _, s := range all {
		want, _ := b.read(t, s)
		got := body.JSON(s, body.Limits{})
		if g, w := show(canonical(got)), show(canonical(want)); g != w {
			t.Fatalf("%.300q\ngot  %.1000s\nwant %.1000s\n%v\n%v", s, g, w, got.Err, want.Err)
		}
	}
	// Broken texts are an error for both, and we see what Coraza sees.
	lost, broken := 0, 0
	for i, s := range all {
		c := []byte(s)
		if len(c) == 0 || len(c) > 2000 {
			continue
		}
		c[r.IntN(len(c))] = "{}[]\",:\\x'"[i%10]
		if i%3 == 0 {
			c = c[:r.IntN(len(c)+1)]
		}
		if s = string(c); s == "" {
			continue
		}
		want, _ := b.read(t, s)
		got := body.JSON(s, body.Limits{})
		if (got.Err == nil) != (want.Err == nil) {
			t.Errorf("%.300q: our error is %v, Coraza's %v", s, got.Err, want.Err)
		} else if got.Err == nil && show(canonical(got)) != show(canonical(want)) {
			t.Errorf("%.300q\ngot  %.1000s\nwant %.1000s", s, show(canonical(got)), show(canonical(want)))
		} else {
			for _, value := range missing(got.Arguments, want.Arguments) {
				seen := func(p body.Pair) bool { return strings.Contains(p.Value, value) }
				if strings.ContainsAny(value, "<äé") && !strings.ContainsAny(value, "\\\"") && !slices.ContainsFunc(got.Arguments, seen) {
					t.Errorf("%.300q: we have not %q\n%v", s, value, got)
				}
				lost++
			}
			broken++
		}
	}
	t.Logf("Coraza's lenient reader found %d more values in %d broken texts", lost, broken)
}

// generatedXML makes a text of elements and odds.
func generatedXML(r *rand.Rand) (s string) {
	parts := []string{"<a>", "</a>", "<b c='1'>", "</b>", "<br>", "<br/>", "<x:y xmlns:x=\"u\">", "</x:y>", "text", " ", "\n", "&lt;", "&amp;", "&foo;", "&nbsp;", "<![CDATA[<c>]]>", "<!-- d -->", "<?pi e?>",
		"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>", "&x;", "<?xml version=\"1.0\"?>", "<?xml version=\"1.0\" encoding=\"latin1\"?>", "<", ">", "&", "<a b>", "<a b=c d='e' f=\"g\">", "\x00", "\xff", "ä", "]]>", "</", "<img src=x onerror=alert(1)>"}
	for range 1 + r.IntN(10) {
		s += parts[r.IntN(len(parts))]
	}
	return s
}

func TestXMLIsCorazas(t *testing.T) {
	b := newBodies(t, "XML", "application/xml")
	r := rand.New(rand.NewPCG(17, 18))
	for range 30_000 {
		s := generatedXML(r)
		want, _ := b.read(t, s)
		got := body.XML(s, body.Limits{})
		got.Directives = nil                                 // Coraza has none
		if got.Err == nil && got.Flags.Has(body.Ambiguous) { // texts that we show whole as well
			if len(got.Texts) <= len(want.Texts) || len(lacking(got.Texts, want.Texts)) > 0 {
				t.Errorf("%q: got %q, want %q and more", s, got.Texts, want.Texts)
			}
			got.Texts = want.Texts
		}
		if g, w := show(canonical(got)), show(canonical(want)); g != w {
			t.Fatalf("%q\ngot  %s\nwant %s\n%v\n%v", s, g, w, got.Err, want.Err)
		}
	}
}

// multipartBody makes a body of parts and breaks it now and then.
func multipartBody(r *rand.Rand) string {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	odd := r.IntN(3) > 0 // two of three have something odd
	or := func(usual string, odds ...string) string {
		if odd && r.IntN(8) == 0 {
			return pick(odds...)
		}
		return usual
	}
	nl := or("\r\n", "\n")
	text := or("", "preamble\r\n", "\r\n", "--b junk\r\n", strings.Repeat("x", 5000)+"\r\n")
	for range 1 + r.IntN(3) {
		text += or("--b", "--B", "--bb", "-b") + or("", " ", "\t", "x", "-", "--") + or(nl, "\n", "\r", "\r\n", "")
		name := or(`name="`+pick("a", "B", "a[b]")+`"`, `name=a`, `name='a'`, `name="a`, `name=a"b"`, `name="a\"b"`, `name="a\b"`, `name = "a"`, `name="a";name="b"`, `name="a";name="a"`, `name*=utf-8''a`, `name="a"; name*=utf-8''b`, `name=""`, "", `Name="a"`, `name="a" x`, "name=\"a;b\"", "name=ä", "xname=\"c\"; name=\"d\"")
		file := or(pick("", `; filename="f.txt"`, `; filename="g.php"`), `; filename=""`, `; filename*=utf-8''h.php`, `; filename="f"; filename*=utf-8''g%2e`, `; filename="f"; filename*="utf-8''g"`, `; filename*=g`, `; filename*=latin1'de'%zz`,
			`; filename*0="a"; filename*1="b"`, `; filename="f"; filename*0=c`, `; filename="C:\x\y.txt"`, `; filename="a;b"`, `; filename="a\"b"`, `;filename="f";filename="g"`, "; filename='f'", `;`, `; filename`, `; filename*=utf-8''`, `; filename="f"; filename*=utf-8''`)
		text += or("Content-Disposition: form-data; "+name+file+nl, "content-disposition:form-data;"+name+file+nl, "Content-Disposition : form-data; "+name+file+nl, "Content-Disposition: form-data;"+nl+" "+name+file+nl, "Content-Disposition: attachment; "+name+file+nl, "", " Content-Disposition: form-data; "+name+nl,
			"Content-Disposition: form-data; "+name+nl+"Content-Disposition: form-data; name=\"z\""+nl, "Content-Disposition form-data; "+name+nl, "Content-Disposition: "+name+file+nl)
		text += or(pick("", "Content-Type: text/plain"+nl), "Content-Type: text/plain; charset=utf-7"+nl, "Content-Transfer-Encoding: quoted-printable"+nl, "Content-Transfer-Encoding: base64"+nl, "X: a\x00b"+nl, "X: a\rb"+nl, ": x"+nl, "X Y: z"+nl, "nothing"+nl, "\tfold"+nl, " "+nl, "Content-Type: multipart/mixed; boundary=c"+nl, "X:"+nl+" y"+nl, "x-É: 1"+nl)
		text += or(nl, "\n", "\r", "\r\n", "")
		text += or(pick("v", "", "line"+nl+"line", "<script>"), "x\n--b\nContent-Disposition: form-data; name=\"s\"\n\ny", "x\r--b\r", "=3Cscript=3E", "a=\r\nb", "=zz", "x\r\n--bb\r\n", "x\r\n--b-\r\n", "x--b\r\n", "\r\n", "\n", "x\r\n--b junk\r\ny")
		text += or(nl, "\n", "\r", "\r\n", "")
	}
	text += or("--b--"+nl, "--b--", "--b-- "+nl, "--b"+nl, "", "--b", "--b--junk"+nl, "--b--"+nl+"epilogue", "--b--"+nl+"--b"+nl+"Content-Disposition: form-data; name=\"p\""+nl+nl+"late"+nl+"--b--", "--b--\n")
	if odd && r.IntN(8) == 0 {
		c := []byte(text)
		c[r.IntN(len(c))] = byte(r.IntN(256))
		text = string(c)
	}
	if odd && r.IntN(10) == 0 {
		text = text[:r.IntN(len(text))]
	}
	return text
}

func TestMultipartIsCorazas(t *testing.T) {
	const contentType = "multipart/form-data; boundary=b"
	b := newBodies(t, "", contentType)
	r := rand.New(rand.NewPCG(19, 20))
	var equal, more, stricter int
	for range 60_000 {
		s := multipartBody(r)
		want, strict := b.read(t, s)
		got := body.Multipart(contentType, s, body.Limits{})
		switch {
		case want.Err != nil && got.Err == nil && !got.Flags.Has(body.Strict):
			t.Errorf("%q: Coraza has the error %v, we have none", s, want.Err)
		case strict && got.Err == nil && !got.Flags.Has(body.StrictCoraza):
			t.Errorf("%q: Coraza is strict, our flags are %v", s, got.Flags)
		case want.Err != nil || strict:
			// Where Coraza stops, we have at least its values.
			if lost := missing(got.Arguments, want.Arguments); len(lost) > 0 && !got.Flags.Has(body.Incomplete) {
				t.Errorf("%q: we have not %q\ngot  %s\nwant %s %v", s, lost, show(canonical(got)), show(canonical(want)), want.Err)
			}
			more++
		case show(canonical(got)) == show(canonical(want)):
			equal++
			if got.Flags.Has(body.Strict) {
				stricter++
			}
		case got.Flags.Has(body.Ambiguous | body.Contested | body.Incomplete):
			if lost := missing(got.Arguments, want.Arguments); len(lost) > 0 {
				t.Errorf("%q: we have not %q\ngot  %s\nwant %s", s, lost, show(canonical(got)), show(canonical(want)))
			}
			more++
		default:
			t.Errorf("%q\nflags %v\ngot  %s %v\nwant %s", s, got.Flags, show(canonical(got)), got.Err, show(canonical(want)))
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("equal: %d, of which we call %d strictly wrong; refused or flagged: %d", equal, stricter, more)
	if equal < 10_000 {
		t.Errorf("only %d bodies were read without a flag", equal)
	}
}
