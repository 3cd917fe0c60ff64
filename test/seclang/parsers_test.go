package seclang_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/seclang/body"
	"github.com/doorward/doorward/test/real"
)

// A parser is what an application behind the firewall may use: it returns the fields of a body.
type parser func(t testing.TB, contentType, text string) []body.Pair

// pairsOf reads what the scripts under testdata/parsers print.
func pairsOf(t testing.TB, line string) (all []body.Pair) {
	for field := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(field, "=")
		n, err := hex.DecodeString(name)
		v, err2 := hex.DecodeString(value)
		if err != nil || err2 != nil {
			t.Fatalf("a parser printed %q", line)
		}
		all = append(all, body.Pair{Name: string(n), Value: string(v)})
	}
	return all
}

// scripted starts a program that reads requests from its standard input.
func scripted(t testing.TB, name string, args ...string) parser {
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it ends with its input
	})
	lines := bufio.NewReader(out)
	return func(t testing.TB, contentType, text string) []body.Pair {
		t.Helper()
		if _, err := fmt.Fprintf(in, "%d %d\n%s%s", len(contentType), len(text), contentType, text); err != nil {
			t.Fatal(err)
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%s %v ended: %v", name, args, err)
		}
		return pairsOf(t, line)
	}
}

// php is PHP's own server.
func php(t testing.TB) parser {
	port := real.FreePort(t)
	address := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	p := real.Start(t, "php", exec.Command("php", "-d", "display_errors=0", "-d", "max_input_vars=5000", "-S", address, "testdata/parsers/index.php"))
	p.AwaitListening(address, time.Minute)
	return func(t testing.TB, contentType, text string) []body.Pair {
		t.Helper()
		response, err := http.Post("http://"+address+"/", contentType, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		line, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return pairsOf(t, string(line))
	}
}

// golang is the standard library.
func golang(_ testing.TB, contentType, text string) (all []body.Pair) {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte(text)))
	r.Header.Set("Content-Type", contentType)
	_ = r.ParseMultipartForm(1 << 20) // a refused body has the fields before it
	for name, values := range r.PostForm {
		for _, v := range values {
			all = append(all, body.Pair{Name: name, Value: v})
		}
	}
	if r.MultipartForm != nil {
		for name, values := range r.MultipartForm.Value {
			for _, v := range values {
				all = append(all, body.Pair{Name: name, Value: v})
			}
		}
	}
	return all
}

func parsers(t testing.TB) map[string]parser {
	real.Require(t, "/usr/bin/python3", "perl", "php")
	if err := exec.Command("perl", "-MCGI", "-MPlack::Request", "-e", "1").Run(); err != nil {
		real.Missing(t, "Perl has no CGI or Plack; scripts/packages.txt lists the Debian packages")
	}
	folder := filepath.Join("testdata", "parsers")
	return map[string]parser{
		"go": golang, "php": php(t), "python": scripted(t, "/usr/bin/python3", filepath.Join(folder, "python.py")),
		"perl-cgi": scripted(t, "perl", filepath.Join(folder, "perl.pl"), "cgi"), "perl-plack": scripted(t, "perl", filepath.Join(folder, "perl.pl"), "plack"),
	}
}

// inspected says whether rules that look at our values see the field's value.
func inspected(all []body.Pair, value string) bool {
	for _, p := range all {
		if strings.Contains(p.Value, value) || strings.Contains(strings.ReplaceAll(p.Value, "\r\n", "\n"), value) {
			return true
		}
	}
	return false
}

// TestNoParserSplitsMore: the fields that the parsers read from a form are ours, in Loose where the flag says so. Names
// that PHP changes are compared by their values. CGI.pm decodes %uHHHH as well, which is for t:urlDecodeUni to see through.
func TestNoParserSplitsMore(t *testing.T) {
	const contentType = "application/x-www-form-urlencoded"
	all := parsers(t)
	r := rand.New(rand.NewPCG(23, 24))
	parts := []string{"a", "b", "=", "=", "&", ";", "+", "%41", "%4", "%", "%3b", "%26", "%3D", " ", "x y", "a[b]", "a.b", "<script>", "\u00e4", "%c3%a4", "\r\n", ",", "|"}
	for range 4000 {
		s := ""
		for range 1 + r.IntN(9) {
			s += parts[r.IntN(len(parts))]
		}
		got := body.Form(s, body.Limits{})
		if got.Flags.Has(body.Semicolons) {
			got.Arguments = append(got.Arguments, body.Loose(s, body.Limits{}).Arguments...)
		}
		for name, parse := range all {
			for _, field := range parse(t, contentType, s) {
				exact := func(p body.Pair) bool {
					return strings.TrimSpace(p.Value) == strings.TrimSpace(field.Value) && (name == "php" || strings.TrimSpace(p.Name) == strings.TrimSpace(field.Name))
				}
				if field.Name != "" && field.Name != "keywords" && field.Value != "" && !slices.ContainsFunc(got.Arguments, exact) {
					t.Errorf("%s has the field %q of %q; we have %q", name, field, s, got.Arguments)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestNoParserSeesMore: whatever PHP, Perl, Python or Go make of a hostile multipart body, each field is among our
// arguments, or the body is flagged as one to refuse. The log counts what Coraza neither shows nor refuses.
func TestNoParserSeesMore(t *testing.T) {
	const usual = "multipart/form-data; boundary=b"
	odd := []string{`multipart/form-data; boundary="b"`, `multipart/form-data; boundary=b; boundary=c`, `multipart/form-data; boundary=c; x="; boundary=b"`, `multipart/form-data; boundary*=utf-8''c; boundary=b`,
		`multipart/form-data; BOUNDARY=b`, `Multipart/Form-Data; boundary = b`, `multipart/form-data; boundary=b,c`, `multipart/form-data; xboundary=c; boundary=b`, `multipart/form-data; boundary='b'`, `multipart/form-data; boundary="b\c"`,
		`multipart/form-data; boundary="b;c"`, `multipart/form-data; boundary="b "`, `multipart/form-data;boundary=b;`, `multipart/form-data; boundary*0=b; boundary*1=c`, `multipart/form-data; x=y boundary=b`, `multipart/form-data boundary=b`, `multipart/form-data, boundary=b`, `multipart/mixed; boundary=b`,
		`multipart/form-data; charset=utf-7; boundary=b`, `multipart/form-data; boundary=""; boundary=b`, `multipart/form-data; boundary=b; charset="x`}
	b := newBodies(t, "", usual)
	all := parsers(t)
	r := rand.New(rand.NewPCG(21, 22))
	fields, hidden := map[string]int{}, map[string]int{}
	for range 4000 {
		s, contentType := multipartBody(r), usual
		if r.IntN(4) == 0 {
			contentType = odd[r.IntN(len(odd))]
			for strings.Contains(s, "--b") && r.IntN(2) == 0 { // some parts are for another boundary
				s = strings.Replace(s, "--b", []string{"--c", "--bc", "--b,c", "--'b'"}[r.IntN(4)], 1)
			}
		}
		b.contentType = contentType
		got := body.Multipart(contentType, s, body.Limits{})
		theirs, strict := b.read(t, s)
		for name, parse := range all {
			for _, field := range parse(t, contentType, s) {
				if field.Name == "" || field.Name == "POSTDATA" {
					continue // CGI.pm makes such a field of each part, and of each body, that it cannot read
				}
				fields[name]++
				if theirs.Err == nil && !strict && !inspected(append(theirs.Arguments, theirs.Filenames...), field.Value) {
					hidden[name]++
				}
				if !inspected(append(got.Arguments, got.Filenames...), field.Value) && got.Err == nil && !got.Flags.Has(body.Strict|body.UnmatchedBoundary) {
					t.Errorf("%s has the field %q of %q in %s; we have %q, flags %v", name, field, s, contentType, got.Arguments, got.Flags)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("fields: %v; not seen and not refused by Coraza: %v", fields, hidden)
}

// TestNoXMLParserSeesMore: the texts and attributes that Python reads from XML are ours, or the body is flagged.
func TestNoXMLParserSeesMore(t *testing.T) {
	real.Require(t, "/usr/bin/python3")
	parse := scripted(t, "/usr/bin/python3", filepath.Join("testdata", "parsers", "python_xml.py"))
	r := rand.New(rand.NewPCG(25, 26))
	nodes, parsed := 0, 0
	for range 8000 {
		s := generatedXML(r)
		if r.IntN(2) == 0 { // as it is, hardly one is well formed
			s = "<a>" + wellFormed(r, 3) + "</a>"
		}
		got := body.XML(s, body.Limits{})
		all := parse(t, "application/xml", s)
		parsed += min(1, len(all))
		for _, node := range all {
			// An attribute's line ends are spaces.
			value := strings.Join(strings.Fields(node.Value), " ")
			same := func(ours string) bool { return strings.Join(strings.Fields(ours), " ") == value }
			nodes++
			if !slices.ContainsFunc(append(got.Texts, got.Attributes...), same) && value != "" && got.Err == nil && !got.Flags.Has(body.Entities) {
				t.Errorf("Python reads %q in %q; we have %q and %q, flags %v", value, s, got.Texts, got.Attributes, got.Flags)
			}
		}
		if t.Failed() {
			return
		}
	}
	if nodes < 5000 {
		t.Errorf("Python read only %d texts and attributes", nodes)
	}
	t.Logf("%d texts and attributes of %d bodies", nodes, parsed)
}

// wellFormed makes the inside of an element.
func wellFormed(r *rand.Rand, depth int) (s string) {
	for range r.IntN(5) {
		switch pick := r.IntN(8); {
		case pick == 0 && depth > 0:
			s += "<b c='&lt;1&#x41;\n2'>" + wellFormed(r, depth-1) + "</b>"
		case pick == 1 && depth > 0:
			s += "<x:d xmlns:x='u' x:e=\"'>\">" + wellFormed(r, depth-1) + "</x:d >"
		default:
			s += []string{"text", " ", "\r\n", "&lt;script&gt;", "&#60;&#x3C;", "<![CDATA[<c>]]>", "<!-- d -->", "<?pi e?>", "ä", "<![CDATA[]]>", "]]&gt;", "<e/>", "&amp;lt;"}[r.IntN(13)]
		}
	}
	return s
}

// TestNoJSONParserSeesMore: the texts that Python reads from JSON, and from what is hardly JSON, are ours, or the body
// is an error.
func TestNoJSONParserSeesMore(t *testing.T) {
	real.Require(t, "/usr/bin/python3")
	parse := scripted(t, "/usr/bin/python3", filepath.Join("testdata", "parsers", "python_json.py"))
	r := rand.New(rand.NewPCG(27, 28))
	odd := []string{`"\ud800\u003cscript>"`, `"\udc00"`, "NaN", "-Infinity", `"a` + "\n" + `b"`, `"\u0000"`, "\ufeff", `'a'`, "/* */", "01", `"\x41"`, `"\U0041"`, "1.", `"\ud83d\ude00x"`, `"\ud83d\ud83d\ude00"`}
	texts := 0
	for range 8000 {
		s := generatedJSON(r, 3)
		if r.IntN(2) == 0 {
			s = strings.Replace(s, []string{"1", "true", `""`, `"a"`}[r.IntN(4)], odd[r.IntN(len(odd))], 1)
		}
		if r.IntN(20) == 0 { // UTF-16, which some parsers recognise
			s = "\x00" + strings.Join(strings.Split(s, ""), "\x00")
		}
		got := body.JSON(s, body.Limits{})
		for _, text := range parse(t, "application/json", s) {
			texts++
			value := strings.NewReplacer("?", "\ufffd").Replace(text.Value) // how the script writes half a pair
			same := func(p body.Pair) bool { return strings.ReplaceAll(p.Value, "?", "\ufffd") == value }
			if !slices.ContainsFunc(got.Arguments, same) && got.Err == nil {
				t.Errorf("Python reads %q in %q; we have %q", text.Value, s, got.Arguments)
			}
		}
		if t.Failed() {
			return
		}
	}
	if texts < 5000 {
		t.Errorf("Python read only %d texts", texts)
	}
}
