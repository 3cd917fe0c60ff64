package seclang_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang"
)

// views are what a rule that looks at everything is shown beside the values as they came.
func views(tx *seclang.Transaction) string {
	var all []string
	for _, m := range tx.Matches() {
		for _, f := range m.Found {
			if f.View != "" {
				all = append(all, fmt.Sprintf("%s(%s)=%s", f.Name(), f.View, f.Value))
			}
		}
	}
	return strings.Join(all, " ")
}

func TestViews(t *testing.T) {
	const text = "<b>one & two</b>"
	encode := base64.StdEncoding.EncodeToString
	form := []string{"Content-Type: application/x-www-form-urlencoded"}
	for _, c := range []struct {
		name  string
		asked asked
		want  string
	}{
		{"a word", asked{uri: "/?a=something&b=information+desk"}, ""},
		{"base64", asked{uri: "/?a=" + url.QueryEscape(encode([]byte(text)))}, "ARGS:a(base64)=" + text},
		{"base64 whose + became a space", asked{uri: "/?a=" + encode([]byte("<b>~~~>>>~~~ and more</b>"))}, "ARGS:a(base64)=<b>~~~>>>~~~ and more</b>"},
		{"base64url", asked{uri: "/?a=" + base64.RawURLEncoding.EncodeToString([]byte("<b>~~~>>>~~~</b>"))}, "ARGS:a(base64url)=<b>~~~>>>~~~</b>"},
		{"a data address", asked{uri: "/?a=data:text/html;base64," + url.QueryEscape(encode([]byte(text)))}, "ARGS:a(base64)=" + text + " ARGS:a(semicolon)=data:text/html"},
		{"bytes", asked{uri: "/?a=" + url.QueryEscape(encode([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00")))}, ""},
		{"hexadecimal digits", asked{uri: "/?a=0x" + hex.EncodeToString([]byte(text))}, "ARGS:a(hex)=" + text},
		{"escaped bytes", asked{uri: `/?a=\x61\x62\x63\x64\x65\x66\x67\x68`}, "ARGS:a(hex)=abcdefgh"},
		{"a checksum", asked{uri: "/?a=d41d8cd98f00b204e9800998ecf8427e"}, ""},
		{"escaped once more", asked{uri: "/?a=%2561%2562"}, "ARGS:a(url)=ab"},
		{"escaped twice more", asked{uri: "/?a=%252561bc"}, "ARGS:a(url)=%61bc ARGS:a(url url)=abc"},
		{"JSON", asked{uri: "/?a=" + url.QueryEscape(`{"x":["one","`+encode([]byte(text))+`"],"y":{"z":"%41%42"}}`)},
			"ARGS:a(json)=one ARGS:a(json)=" + encode([]byte(text)) + " ARGS:a(json base64)=" + text + " ARGS:a(json)=%41%42 ARGS:a(json url)=AB"},
		{"two levels at most", asked{uri: "/?a=" + encode([]byte(encode([]byte(encode([]byte(text))))))},
			"ARGS:a(base64)=" + encode([]byte(encode([]byte(text)))) + " ARGS:a(base64 base64)=" + encode([]byte(text))},
		{"XML", asked{uri: "/?a=" + url.QueryEscape(`<q><name key="first">1&#39; or</name></q>`)}, "ARGS:a(xml)=first ARGS:a(xml)=1' or"},
		{"an editor's text", asked{uri: "/?a=" + url.QueryEscape(`<p>Good &amp; bad</p>`)}, ""},
		{"a form", asked{uri: "/", method: "POST", headers: form, body: "a=%2561bcd&b=2"}, "ARGS:a(url)=abcd"},
		{"a cookie", asked{uri: "/", headers: []string{"Cookie: c=" + encode([]byte(text)) + "; d=1"}}, "REQUEST_COOKIES:c(base64)=" + text},
		{"base64 with signs that are none", asked{uri: "/?a=" + url.QueryEscape(encode([]byte(text))[:6]+"*.*"+encode([]byte(text))[6:])}, "ARGS:a(base64)=" + text},
		{"values of one name", asked{uri: "/?a=1-x&b=2&A=3"}, "ARGS:a(joined)=1-x,3"},
		{"numbers of one name", asked{uri: "/?a=1&b=2&a=3"}, ""},
		{"letters of full width", asked{uri: "/?a=" + url.QueryEscape("ａｂ＜")}, "ARGS:a(fullwidth)=ab<"},
		{"a cookie in quotes", asked{uri: "/", headers: []string{`Cookie: c="\141\"b"`}}, `REQUEST_COOKIES:c(quoted)=a"b`},
		{"JSON as a form", asked{uri: "/", method: "POST", headers: form, body: `{"a":"bcd"}`}, "ARGS(json)=bcd"},
		{"a feed as a form", asked{uri: "/", method: "POST", headers: form, body: `<rss><link>bcd</link><param>efg</param></rss>`}, "ARGS(xml)=bcd ARGS(xml)=efg"},
		{"a short text with padding", asked{uri: "/?a=e3s5Kjl9fQ%3D%3D"}, "ARGS:a(base64)={{9*9}}"},
		{"bytes that are too long", asked{uri: "/?a=x%C0%BCb%E0%80%BE"}, "ARGS:a(overlong)=x<b>"},
		{"bytes that are too long, escaped", asked{uri: "/?a=%25E0%2580%25BCb"}, "ARGS:a(url)=<b"},
		{"bytes of Latin-1", asked{uri: "/?a=caf%E9%C0"}, ""},
		{"entities by number", asked{uri: "/?a=" + url.QueryEscape("&#39; or &lt;")}, "ARGS:a(entities)=' or <"},
		{"entities of an editor", asked{uri: "/?a=" + url.QueryEscape("<p>it&#39;s</p>")}, ""},
		{"digits in circles", asked{uri: "/?a=" + url.QueryEscape("①⓪.x")}, "ARGS:a(fullwidth)=10.x"},
		{"a query of GraphQL", asked{uri: "/?a=" + url.QueryEscape(`{user(name:"one \"two\" \u0027"){id}}`)}, `ARGS:a(graphql)=one "two" '`},
		{"a query of GraphQL that is broken", asked{uri: "/?a=" + url.QueryEscape(`query { user(name: "one) }`)}, `ARGS:a(graphql)=one) }`},
		{"braces and texts", asked{uri: "/?a=" + url.QueryEscape(`{x("y")}`)}, ""},
		{"a header line", asked{uri: "/?a=1", headers: []string{"X-Tenant: <b>x", "X-Request-Id: a1b2", `Sec-CH-UA: "a;b"`, "X-Part: " + encode([]byte(text))}},
			"ARGS:X-Tenant(header)=<b>x ARGS:X-Part(header)=" + encode([]byte(text)) + " ARGS:X-Part(header base64)=" + text},
		{"semicolons", asked{uri: "/?a=1;b=2&c=3"}, "ARGS:a(semicolon)=1 ARGS:b(semicolon)=2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.asked.site.Views = true
			tx := begin(t, `SecRule ARGS|REQUEST_COOKIES "@rx ." "id:1,phase:2"`, c.asked)
			if got := views(tx); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			c.asked.site.Views = false
			if got := views(begin(t, `SecRule ARGS|REQUEST_COOKIES "@rx ." "id:1,phase:2"`, c.asked)); got != "" {
				t.Errorf("without views, got %s", got)
			}
		})
	}
}

func TestViewsAreNoArguments(t *testing.T) {
	tx := begin(t, `SecRule &ARGS|ARGS_COMBINED_SIZE "@ge 0" "id:1,phase:1"
SecRule ARGS_NAMES "@rx ." "id:2,phase:1"`, asked{uri: "/?a=%2561bc;d", site: seclang.SiteConfig{Views: true}})
	// d is a name, although only for Perl.
	if got, want := said(tx), "1(ARGS=1)(ARGS_COMBINED_SIZE=8) 2(ARGS_NAMES:a=a)(ARGS_NAMES:a=a)(ARGS_NAMES:d=d)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnExclusionCoversViews(t *testing.T) {
	tx := begin(t, `SecRule ARGS|!ARGS:a "@rx <script" "id:1,phase:1"`, asked{uri: "/?a=PHNjcmlwdD4xPC9zY3JpcHQ%2B&b=PHNjcmlwdD4yPC9zY3JpcHQ%2B",
		site: seclang.SiteConfig{Views: true}})
	if got, want := said(tx), "1(ARGS:b=<script>2</script>)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestADocumentTypeIsShown(t *testing.T) {
	tx := begin(t, `SecRule REQUEST_HEADERS:Content-Type "xml" "id:1,phase:1,nolog,ctl:requestBodyProcessor=XML"
SecRule XML:/* "@rx SYSTEM" "id:2,phase:2"`, asked{uri: "/", method: "POST", headers: []string{"Content-Type: text/xml"},
		body: `<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/x">]><r>&x;</r>`, site: seclang.SiteConfig{Views: true}})
	if got := views(tx); !strings.HasPrefix(got, `XML:/*(doctype)=<!DOCTYPE r [<!ENTITY x SYSTEM`) {
		t.Errorf("got %s of %s", got, said(tx))
	}
}

func TestViewsAreCapped(t *testing.T) {
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "&a%d=%%2561%%2562c%d", i, i)
	}
	long := strings.Repeat("%2561", 20<<10)
	half := strings.Repeat("%2561", 12<<10) // 36 KiB that become 12
	for _, c := range []struct {
		name, body   string
		views, lost  int
		countedBytes bool
	}{
		{"number", many.String()[1:], 256, 300 - 256, false},
		{"a long value", "a=" + strings.Repeat("a", 64<<10+1), 0, 1, false},
		{"a long code", "a=" + long + long, 0, 1, false},
		{"size", "a=" + strings.Repeat(half+"&b=", 30), 21, 10, true}, // the last is b's values, joined
		{"leaves", "a=[" + strings.Repeat(`"abc",`, 200) + `"abc"]`, 128, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx := begin(t, `SecRule ARGS "@rx ." "id:1,phase:2"`, asked{uri: "/", method: "POST", body: c.body,
				headers: []string{"Content-Type: application/x-www-form-urlencoded"}, site: seclang.SiteConfig{Views: true, RequestBodyLimit: 4 << 20}})
			arguments := strings.Count(c.body, "=")
			if strings.HasSuffix(c.body, "=") {
				arguments-- // the last is empty
			}
			if m := tx.Matches(); m[0].Values-arguments != c.views || tx.Dropped.Views != c.lost {
				t.Errorf("got %d views and %d lost, want %d and %d", m[0].Values-arguments, tx.Dropped.Views, c.views, c.lost)
			}
		})
	}
}

func FuzzViews(f *testing.F) {
	for _, seed := range []string{"YWJjZGVmZ2hpamts", "0x616263646566", `{"a":["b"]}`, "<a b='c'>d</a>", "%2561", "data:x;base64,YWJjZGVmZ2hpamts", "\xc0\xbc\xe0\x80", "&#39;", `{a(b:"\\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := asked{uri: "/?a=" + url.QueryEscape(text), headers: []string{"Cookie: b=" + text}, site: seclang.SiteConfig{Views: true}}
		tx := begin(t, `SecRule ARGS|REQUEST_COOKIES "@rx (?s)." "id:1,phase:2"`, a)
		size := 0
		for _, m := range tx.Matches() {
			for _, found := range m.Found {
				if found.View != "" {
					size += len(found.Raw)
				}
				if strings.Count(found.View, " ") > 1 {
					t.Errorf("view %q is deeper than two", found.View)
				}
			}
		}
		if size > 256<<10 {
			t.Errorf("views take %d bytes", size)
		}
	})
}
