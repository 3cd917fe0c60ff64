package transform_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang/transform"
)

func lookup(t testing.TB, name string) transform.Func {
	t.Helper()
	do, ok := transform.Lookup(name)
	if !ok {
		t.Fatalf("no function is called %s", name)
	}
	return do
}

// TestFunctions has one or two values of each; test/seclang compares all of them with Coraza.
func TestFunctions(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"base64Decode", "QUJD\r\nRA==QUJD", "ABCD"},
		{"base64Decode", "QU!JD", "A"},
		{"base64DecodeExt", "QU.!J D-_", "ABC\xfb"},
		{"base64Encode", "ABCD", "QUJDRA=="},
		{"cmdLine", `C^md.EXE  /c,"dir";(x)`, "cmd.exe/c dir(x)"},
		{"compressWhitespace", "a \t\u00a0\n b\xa0c", "a b c"},
		{"cssDecode", `ja\vascript\3a alert\000028`, "javascript:alert("},
		{"escapeSeqDecode", `\x41\101\n\q\`, "AA\nq\\"},
		{"hexDecode", "414243", "ABC"},
		{"hexDecode", "4142zz", "4142zz"},
		{"hexEncode", "AB\xff", "4142ff"},
		{"htmlEntityDecode", "&lt;&#x41;&#66&amp", "<AB&"},
		{"jsDecode", `\u0061\x62\143\u{64}\uff1c\e`, "abcd<e"},
		{"length", "ä€", "5"},
		{"lowercase", "AbÄ", "abä"},
		{"md5", "", "\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e"},
		{"normalisePath", "/a//b/./../c/", "/a/c/"},
		{"normalizePath", "./", ""},
		{"normalisePathWin", `C:\a\..\web.config::$DATA`, "C:/web.config"},
		{"normalizePathWin", `a. \b .`, "a/b"},
		{"removeComments", "a/*b*/c<!--d-->e--f", "ace"},
		{"removeCommentsChar", "a/*b*/c<!--d-->e--f#g", "abcdefg"},
		{"removeNulls", "a\x00b", "ab"},
		{"removeWhitespace", "a \t\u3000b", "ab"},
		{"replaceComments", "a/*b*/c/*d", "a c "},
		{"replaceNulls", "a\x00b", "a b"},
		{"sha1", "", "\xda\x39\xa3\xee\x5e\x6b\x4b\x0d\x32\x55\xbf\xef\x95\x60\x18\x90\xaf\xd8\x07\x09"},
		{"sqlHexDecode", "a0x41420X43g 0x4", "aABCg 0x4"},
		{"trim", "\v a b \n", "a b"},
		{"trimLeft", " a ", "a "},
		{"trimRight", " a ", " a"},
		{"uppercase", "abä", "ABÄ"},
		{"urlDecode", "%41+%4%zz%", "A %4%zz%"},
		{"urlDecodeUni", "%u0041%uff1c%u2019%u00e4+%41%u12", "A<'a A%u12"},
		{"urlEncode", "a b/*ä", "a+b%2f*%c3%a4"},
		{"utf8toUnicode", "aä€😀\xff", "a%u00e4%u20ac%u1f600%ufffd"},
	} {
		if got := lookup(t, c.name)(c.in); got != c.want {
			t.Errorf("%s(%q): got %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	names := transform.Names()
	if !slices.IsSorted(names) || len(names) != 34 {
		t.Errorf("%d names: %v; want 34, sorted", len(names), names)
	}
	for _, name := range names {
		if _, ok := transform.Lookup(strings.ToUpper(name)); !ok {
			t.Errorf("%s is not found in capitals", name)
		}
	}
	for _, name := range []string{"", "none", "t:trim"} {
		if _, ok := transform.Lookup(name); ok {
			t.Errorf("%q is found", name)
		}
	}
}

// changesAll are the functions whose result is never their argument.
func changesAll(name string) bool {
	return slices.Contains([]string{"base64Decode", "base64DecodeExt", "base64Encode", "hexEncode", "length", "md5", "sha1"}, name)
}

// TestNothingChangedNothingAllocated: most values are not changed by most functions.
func TestNothingChangedNothingAllocated(t *testing.T) {
	for _, s := range []string{"", "plain", "/ticket/update.html", "a=1&b=2", "a %zz b", "x y & z; q", "&amb=1"} {
		for _, name := range transform.Names() {
			do := lookup(t, name)
			if do(s) != s || changesAll(name) {
				continue
			}
			if n := testing.AllocsPerRun(10, func() { do(s) }); n != 0 {
				t.Errorf("%s(%q) changes nothing and allocates %v times", name, s, n)
			}
		}
	}
}

// TestOneAllocation: a change costs the new text and nothing else, however many changes there are.
func TestOneAllocation(t *testing.T) {
	s := strings.Repeat(`%41+\x41\3a /*x*/ # "B" &lt; --`, 40)
	for _, name := range transform.Names() {
		do := lookup(t, name)
		most := 1.0
		switch name {
		case "htmlEntityDecode", "md5", "sha1", "utf8toUnicode", "base64Encode", "hexEncode", "normalisePath", "normalizePath", "normalisePathWin", "normalizePathWin":
			most = 6 // the standard library's way
		}
		if n := testing.AllocsPerRun(10, func() { do(s) }); n > most {
			t.Errorf("%s allocates %v times, want at most %v", name, n, most)
		}
	}
}

func FuzzFunctions(f *testing.F) {
	for _, s := range []string{"", "%u0041", `\u{41}\377`, "a/*b*/--c", "&lt;&#0;", "C:\\a. \\b::$DATA", "\xa0\xc2\xa0", "\xa3\xbe\x8a\xfd", "0x4142", "QUJD="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, name := range transform.Names() {
			got := lookup(t, name)(s)
			if len(got) > 6*len(s)+40 {
				t.Errorf("%s makes %d bytes of %d: %q", name, len(got), len(s), s)
			}
		}
	})
}

func benchmark(b *testing.B, s string) {
	for _, name := range transform.Names() {
		do := lookup(b, name)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				do(s)
			}
		})
	}
}

func BenchmarkPlain(b *testing.B) {
	benchmark(b, "a customer writes about invoice 4711 of last week, which is wrong")
}

func BenchmarkAttack(b *testing.B) {
	benchmark(b, `%3Cscript%3Ealert(%22x%22)%3C/script%3E \u003cimg src=x onerror="Alert(1)"/* c */&gt; C:\..\x`)
}
