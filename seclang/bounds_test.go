package seclang_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

// arguments is a query of n pairs.
func arguments(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&a%d=%d", i, i)
	}
	return "/?" + b.String()[1:]
}

func TestVariablesThatRulesMakeOfNamesAreCapped(t *testing.T) {
	tx := begin(t, `SecRule ARGS_NAMES "@rx ." "id:1,phase:1,nolog,setvar:tx.seen_%{matched_var}=1,setenv:%{matched_var}=1"
SecRule &TX|&ENV "@ge 0" "id:2,phase:1"`, asked{method: "GET", uri: arguments(5000), site: seclang.SiteConfig{Arguments: 5000}})
	m := tx.Matches()[1]
	if m.Found[0].Value != "4096" || m.Found[1].Value != "1000" || tx.Dropped.Variables != 5000-4096+5000-1000 {
		t.Errorf("got %+v and %d dropped", m.Found, tx.Dropped.Variables)
	}
}

func TestMatchesAreCapped(t *testing.T) {
	var rules strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&rules, "SecRule ARGS \"@rx .\" \"id:%d,phase:1\"\n", i+1)
	}
	tx := begin(t, rules.String(), asked{method: "GET", uri: arguments(20)})
	if m := tx.Matches(); len(m) != 1000 || tx.Dropped.Matches != 100 || len(m[0].Found) != 8 || m[0].Values != 20 {
		t.Errorf("got %d matches, %d dropped, %d of %d values", len(m), tx.Dropped.Matches, len(m[0].Found), m[0].Values)
	}
}

func TestArgumentsAreCapped(t *testing.T) {
	tx := begin(t, `SecRule ARGUMENTS_LIMIT_REACHED "@eq 1" "id:1,phase:1,deny,status:400"
SecRule &ARGS "@eq 7" "id:2,phase:5"`, asked{method: "GET", uri: arguments(8), site: seclang.SiteConfig{Arguments: 7}})
	if got := said(tx); got != "1(ARGUMENTS_LIMIT_REACHED=1) 2(ARGS=7) deny 400 by 1" || tx.Dropped.Arguments != 1 {
		t.Errorf("got %s, %d dropped", got, tx.Dropped.Arguments)
	}
}

// compiled is the program of a file.
func compiled(t *testing.T, text string) *seclang.Program {
	t.Helper()
	read, err := syntax.Parse(syntax.Source{Name: "rules.conf", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	p, err := seclang.Compile(read)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBodiesAreBounded(t *testing.T) {
	p := compiled(t, `SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecRule INBOUND_DATA_ERROR "@eq 1" "id:1,phase:2"
SecRule ARGS_POST:a "@streq 12345678" "id:2,phase:2"
SecRule OUTBOUND_DATA_ERROR "@eq 1" "id:3,phase:4"
SecRule RESPONSE_BODY "@streq abcd" "id:4,phase:4"`)
	for _, c := range []struct {
		partial bool
		mode    syntax.EngineMode
		refused bool
	}{{false, syntax.EngineOn, true}, {true, syntax.EngineOn, false}, {false, syntax.EngineDetects, false}} {
		site, err := p.NewSite(seclang.SiteConfig{Mode: c.mode, RequestBodyLimit: 10, ResponseBodyLimit: 4, RequestBodyPartial: c.partial})
		if err != nil {
			t.Fatal(err)
		}
		tx := site.Begin("id", time.Unix(0, 0))
		tx.RequestLine("POST", "/", "HTTP/1.1")
		tx.RequestHeader("Content-Type", "application/x-www-form-urlencoded")
		tx.CheckRequestHeaders()
		if tx.WriteRequestBody([]byte("a=123456")) {
			t.Error("a body that fits is too long")
		}
		if over := tx.WriteRequestBody([]byte("789")); over != c.refused {
			t.Errorf("%+v: a body over the limit: got %v", c, over)
		}
		tx.CheckRequestBody()
		tx.ResponseHeader("Content-Type", "text/html")
		tx.CheckResponseHeaders()
		if tx.WriteResponseBody([]byte("abcdef")) || tx.WriteResponseBody([]byte("g")) {
			t.Error("more of the answer is wanted than the limit")
		}
		tx.CheckResponseBody()
		if got := said(tx); got != "1(INBOUND_DATA_ERROR=1) 2(ARGS_POST:a=12345678) 3(OUTBOUND_DATA_ERROR=1) 4(RESPONSE_BODY=abcd)" {
			t.Errorf("got %s", got)
		}
		tx.Close()
	}
}

// TestFieldsAreBounded: what a body has besides files is shown to rules as far as the lower of the site's limit and the directive's.
func TestFieldsAreBounded(t *testing.T) {
	p := compiled(t, `SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyNoFilesLimit 10
SecRule REQUEST_HEADERS:X-Processor "@rx ." "id:1,phase:1,nolog,pass,chain"
SecRule REQUEST_HEADERS:X-Processor "@streq RAW" "ctl:requestBodyProcessor=RAW"
SecRule REQUEST_BODY_LENGTH "@gt 0" "id:2,phase:2"
SecRule INBOUND_DATA_ERROR "@eq 1" "id:3,phase:2"`)
	for _, c := range []struct {
		kind, processor, body string
		limit, most           int // the site's, and what holds
		over                  bool
		want                  string
	}{
		{formType, "", "a=12345678", 0, 10, false, "2(REQUEST_BODY_LENGTH=10)"},
		{formType, "", "a=123456789", 0, 10, true, "2(REQUEST_BODY_LENGTH=10) 3(INBOUND_DATA_ERROR=1)"},
		{formType, "", "a=123456789", 20, 10, true, "2(REQUEST_BODY_LENGTH=10) 3(INBOUND_DATA_ERROR=1)"},
		{formType, "", "a=12345", 6, 6, true, "2(REQUEST_BODY_LENGTH=6) 3(INBOUND_DATA_ERROR=1)"},
		{"text/plain", "RAW", "a=123456789", 0, 10, true, "1(REQUEST_HEADERS:X-Processor=RAW)(REQUEST_HEADERS:X-Processor=RAW) 2(REQUEST_BODY_LENGTH=10) 3(INBOUND_DATA_ERROR=1)"},
		{"text/plain", "", "a=123456789", 0, 0, false, ""},
	} {
		site, err := p.NewSite(seclang.SiteConfig{RequestFieldsLimit: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		tx := site.Begin("id", time.Unix(0, 0))
		tx.RequestLine("POST", "/", "HTTP/1.1")
		tx.RequestHeader("Content-Type", c.kind)
		if c.processor != "" {
			tx.RequestHeader("X-Processor", c.processor)
		}
		tx.CheckRequestHeaders()
		if most, all := tx.FieldsLimit(); most != c.most || all != (c.most > 0) {
			t.Errorf("%+v: the limit is %d, all %v", c, most, all)
		}
		tx.WriteRequestBody([]byte(c.body))
		if over := tx.ReadRequestBody(); over != c.over || tx.ReadRequestBody() {
			t.Errorf("%+v: over %v", c, over)
		}
		tx.CheckRequestBody()
		if got := said(tx); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
		tx.Close()
	}
}

const formType = "application/x-www-form-urlencoded"

func TestSiteSaysWhatIsWrong(t *testing.T) {
	p := compiled(t, `SecAction "id:1,phase:1"`)
	for _, c := range []struct {
		site seclang.SiteConfig
		want string
	}{
		{seclang.SiteConfig{RequestBodyLimit: -1}, "request body limit is -1"},
		{seclang.SiteConfig{Depth: 20_000}, "depth is 20000, not from 1 to 10000"},
		{seclang.SiteConfig{Variables: []seclang.Variable{{Name: "paranoia", Value: "1"}}}, "no rule knows the variable tx.paranoia"},
	} {
		if _, err := p.NewSite(c.site); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// crs is the Core Rule Set at its highest paranoia level, for a site that evaluates the fast way and one the plain way.
func crs(t testing.TB) (fast, plain *seclang.Site) {
	t.Helper()
	c := seclang.SiteConfig{Variables: []seclang.Variable{{Name: "blocking_paranoia_level", Value: "4"}}}
	return sites(t, c, syntax.Source{Name: "@coraza.conf-recommended", Files: coreruleset.FS},
		syntax.Source{Name: "@crs-setup.conf.example", Files: coreruleset.FS}, syntax.Source{Name: "@owasp_crs/*.conf", Files: coreruleset.FS})
}

// both is a site that evaluates the rules the fast way and one that does it the plain way.
func both(t testing.TB, rules string, c seclang.SiteConfig) (fast, plain *seclang.Site) {
	t.Helper()
	return sites(t, c, syntax.Source{Name: "rules.conf", Text: rules})
}

func sites(t testing.TB, c seclang.SiteConfig, sources ...syntax.Source) (fast, plain *seclang.Site) {
	t.Helper()
	read, err := syntax.Parse(sources...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := seclang.Compile(read)
	if err != nil {
		t.Fatal(err)
	}
	if fast, err = p.NewSite(c); err != nil {
		t.Fatal(err)
	}
	c.Plain = true
	if plain, err = p.NewSite(c); err != nil {
		t.Fatal(err)
	}
	return fast, plain
}

func TestDiffersSaysWhat(t *testing.T) {
	a := begin(t, `SecRule ARGS "@rx ." "id:1,phase:1"`, asked{method: "GET", uri: "/?a=1"})
	for _, c := range []struct{ rules, uri, want string }{
		{`SecRule ARGS "@rx ." "id:1,phase:1"`, "/?a=1", ""},
		{`SecRule ARGS "@rx ." "id:1,phase:1"`, "/?a=2", "rule 1 matched other values in the first than in the second"},
		{`SecRule ARGS "@rx ." "id:2,phase:1"`, "/?a=1", "rule 1 matched in the first where rule 2 did in the second"},
		{`SecRule ARGS "@rx ." "id:1,phase:1"`, "/", "rule 1 matched in the first only"},
		{`SecRule ARGS "@rx ." "id:1,phase:1,deny"`, "/?a=1", "refused by rule 0 in the first and by rule 1 in the second"},
	} {
		if got := seclang.Differs(a, begin(t, c.rules, asked{method: "GET", uri: c.uri})); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestManyGoroutinesShareAProgram: transactions come from a pool, and none may show anything of another.
func TestManyGoroutinesShareAProgram(t *testing.T) {
	site, _ := crs(t)
	requests := []asked{
		{method: "GET", uri: "/?q=<script>alert(1)</script>", headers: []string{"Host: a.example", "User-Agent: x"}},
		{method: "GET", uri: "/?q=hello", headers: []string{"Host: a.example", "User-Agent: x", "Accept: */*"}},
		{method: "POST", uri: "/", headers: []string{"Host: a.example", "Content-Type: application/json"}, body: `{"a":"1 union select 2 from users"}`},
		{method: "GET", uri: "/", headers: []string{"Host: a.example"}, answer: "You have an error in your SQL syntax"},
	}
	ask := func(a asked) string {
		tx := site.Begin("id", time.Unix(1700000000, 0))
		defer tx.Close()
		feed(tx, a)
		return said(tx)
	}
	var want []string
	for _, a := range requests {
		want = append(want, ask(a))
	}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 20 {
				n := (g + i) % len(requests)
				if got := ask(requests[n]); got != want[n] {
					t.Errorf("request %d: got %s\nwant %s", n, got, want[n])
					return
				}
			}
		})
	}
	all.Wait()
}

func FuzzFastSaysWhatPlainSays(f *testing.F) {
	f.Add("/?q=<script>alert(1)</script>", "x=1'--", "text/html", "a=b; c=d", "ORA-00933: SQL command not properly ended")
	f.Add("/a/../etc/passwd?a[b]=%c0%af&\xff=ſ", "{\"a\":[1,\"$(id)\"]}", "application/json", "", "<?php")
	f.Add("/", "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.php\"\r\n\r\n<?php\r\n--x--", "multipart/form-data; boundary=x", "K", "")
	// CRS takes seconds to compile, and each worker of the fuzzer does it anew.
	fast, plain := both(f, `SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "@rx json" "id:1,phase:1,nolog,pass,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "@contains xml" "id:2,phase:1,nolog,pass,ctl:requestBodyProcessor=XML"
SecRule ARGS|ARGS_NAMES|REQUEST_COOKIES|!REQUEST_COOKIES:/^_/|XML:/* "@rx (?i)<[^>]*script|(?:union|select)\b.*from" "id:3,phase:2,capture,t:none,t:urlDecodeUni,t:htmlEntityDecode,t:lowercase,setvar:tx.score=+5,setvar:'tx.seen_%{matched_var_name}=%{tx.0}'"
SecRule ARGS|REQUEST_BODY|REQUEST_URI_RAW "@pm etc/passwd <?php $(id) K" "id:4,phase:2,capture,t:none,t:urlDecodeUni,t:removeNulls"
SecRule ARGS "!@rx ^[a-z0-9]*$" "id:5,phase:2,t:lowercase,chain"
SecRule MATCHED_VARS "@rx [^\x20-\x7e]|\x27" "t:none,t:jsDecode,multiMatch,capture,setvar:tx.score=+1"
SecRule ARGS|FILES|REQUEST_HEADERS|MULTIPART_PART_HEADERS "@rx \xc3|\bsleep\(|s" "id:6,phase:2,multiMatch,t:none,t:base64Decode,t:cmdLine,t:compressWhitespace"
SecRule &ARGS:a|&TX:score|TX:/^seen_/ "!@eq 0" "id:7,phase:2"
SecRule ARGS:q|ARGS:a "@contains <Script" "id:8,phase:2,ctl:ruleRemoveTargetById=9;ARGS:q"
SecRule ARGS "@detectXSS" "id:9,phase:2,t:utf8toUnicode,t:urlDecodeUni,capture"
SecRule RESPONSE_BODY "@rx (?i)(?:sql|ora-\d+).*error|<\?php" "id:10,phase:4,capture"
SecRule RESPONSE_BODY "!@pm error <?php" "id:11,phase:4"
SecRule TX:score "@ge 5" "id:12,phase:4,deny"`, seclang.SiteConfig{})
	f.Fuzz(func(t *testing.T, uri, body, kind, cookie, answer string) {
		a := asked{method: "POST", uri: uri, body: body, answer: answer, headers: []string{"Host: a.example", "Content-Type: " + kind, "Cookie: " + cookie}}
		var all [2]*seclang.Transaction
		for i, site := range []*seclang.Site{plain, fast} {
			all[i] = site.Begin("id", time.Unix(1700000000, 0))
			defer all[i].Close()
			feed(all[i], a)
		}
		if d := seclang.Differs(all[0], all[1]); d != "" {
			t.Errorf("%s: plain: %s\nfast:  %s", d, said(all[0]), said(all[1]))
		}
	})
}
