package seclang_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
	"github.com/doorward/doorward/seclang/transform"
)

// asked is a request with its answer.
type asked struct {
	method, uri string
	headers     []string // "Name: value"
	body        string
	answer      string
	site        seclang.SiteConfig
}

// begin compiles rules and feeds a request to both ways of evaluating them, which must say the same. The transaction
// returned is the fast one.
func begin(t *testing.T, rules string, a asked) *seclang.Transaction {
	t.Helper()
	fast, plain := both(t, "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n"+rules, a.site)
	var all [2]*seclang.Transaction
	for i, site := range []*seclang.Site{plain, fast} {
		all[i] = site.Begin("id", time.Unix(1700000000, 0).UTC())
		feed(all[i], a)
	}
	if plain, fast := said(all[0]), said(all[1]); plain != fast {
		t.Errorf("the fast way says %s, the plain way %s", fast, plain)
	}
	return all[1]
}

func feed(tx *seclang.Transaction, a asked) {
	tx.Connection(netip.MustParseAddrPort("192.0.2.7:4711"), netip.MustParseAddrPort("192.0.2.1:443"))
	tx.RequestLine(a.method, a.uri, "HTTP/1.1")
	for _, h := range a.headers {
		name, value, _ := strings.Cut(h, ": ")
		tx.RequestHeader(name, value)
	}
	tx.CheckRequestHeaders()
	tx.WriteRequestBody([]byte(a.body))
	tx.CheckRequestBody()
	tx.Response(200, "HTTP/1.1")
	tx.ResponseHeader("Content-Type", "text/html; charset=utf-8")
	tx.CheckResponseHeaders()
	tx.WriteResponseBody([]byte(a.answer))
	tx.CheckResponseBody()
	tx.Finish(time.Unix(1700000001, 0))
}

// said is what a transaction said: ids of rules with what they found, and the interruption.
func said(tx *seclang.Transaction) string {
	var all []string
	for _, m := range tx.Matches() {
		one := fmt.Sprint(m.Rule.ID)
		for _, f := range m.Found {
			one += fmt.Sprintf("(%s=%s)", f.Name(), f.Value)
		}
		all = append(all, one)
	}
	if i := tx.Interruption(); i != nil {
		all = append(all, fmt.Sprintf("%v %d by %d", i.Action, i.Status, i.Rule))
	}
	return strings.Join(all, " ")
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		asked       asked
		want        string
	}{
		{"order of the request", `SecRule ARGS|ARGS_NAMES "@rx ." "id:1,phase:2"`, asked{uri: "/?b=1&a=2&b=3"},
			"1(ARGS:b=1)(ARGS:a=2)(ARGS:b=3)(ARGS_NAMES:b=b)(ARGS_NAMES:a=a)(ARGS_NAMES:b=b)"},
		{"a part of a collection without regard to case", `SecRule REQUEST_HEADERS:user-AGENT|ARGS:A|ARGS:/^B/ "@rx ." "id:1,phase:1"`,
			asked{uri: "/?a=1&bx=2&c=3", headers: []string{"User-Agent: me"}}, "1(REQUEST_HEADERS:User-Agent=me)(ARGS:a=1)(ARGS:bx=2)"},
		{"exclusions", `SecRule ARGS|!ARGS:a|!ARGS:/^b/ "@rx ." "id:1,phase:1"`, asked{uri: "/?a=1&bx=2&c=3"}, "1(ARGS:c=3)"},
		{"counts", `SecRule &ARGS|&ARGS:a|!ARGS:c "@eq 2" "id:1,phase:1"`, asked{uri: "/?a=1&b=2&c=3"}, "1(ARGS=2)"},
		{"negation", `SecRule ARGS "!@rx ^\d+$" "id:1,phase:1"`, asked{uri: "/?a=1&b=x"}, "1(ARGS:b=x)"},
		{"transformations in their order", `SecRule ARGS "@streq script" "id:1,phase:1,t:urlDecodeUni,t:lowercase"`, asked{uri: "/?a=%2553CRIPT"},
			"1(ARGS:a=script)"},
		{"multiMatch", `SecRule ARGS "@rx ^[A-Z%]" "id:1,phase:1,multiMatch,t:urlDecode,t:lowercase"`, asked{uri: "/?a=%2541"}, "1(ARGS:a=%41)(ARGS:a=A)"},
		{"letters that lowercase makes ASCII", `SecRule ARGS "@rx xi|k1" "id:1,phase:1,t:lowercase"
SecRule ARGS "@rx (?i)zs" "id:2,phase:1"`, asked{uri: "/?a=x%C4%B0&b=%E2%84%AA1&c=z%C5%BF"}, "1(ARGS:a=xi)(ARGS:b=k1) 2(ARGS:c=zſ)"},
		{"captures", `SecRule ARGS "@rx (a)(x)?(b)" "id:1,phase:1,capture,setvar:'tx.all=%{tx.0}-%{tx.1}-%{tx.2}-%{tx.3}'"
SecRule TX:all "@unconditionalMatch" "id:2,phase:1"`, asked{uri: "/?a=zabz"}, "1(ARGS:a=zabz) 2(TX:all=ab-a--b)"},
		{"a chain needs all links; effects run at once", `SecRule ARGS:a "@rx ." "id:1,phase:1,chain,setvar:tx.first=+1"
SecRule ARGS:b "@rx ." "setvar:tx.second=+1"
SecRule TX:/first|second/ "@eq 1" "id:2,phase:1"`, asked{uri: "/?a=1&c=1"}, "2(TX:first=1)"},
		{"a chain's links", `SecRule ARGS:a "@rx (.)" "id:1,phase:1,capture,chain"
SecRule MATCHED_VARS|MATCHED_VARS_NAMES "@rx ." "chain"
SecRule TX:1 "@streq %{args.b}"`, asked{uri: "/?a=x&b=x"}, "1(ARGS:a=x)(MATCHED_VARS:ARGS:a=x)(MATCHED_VARS_NAMES:ARGS:a=ARGS:a)(MATCHED_VARS_NAMES:MATCHED_VARS:ARGS:a=MATCHED_VARS:ARGS:a)(TX:1=x)"},
		{"setvar", `SecAction "id:1,phase:1,nolog,setvar:tx.a=5,setvar:tx.a=+3,setvar:tx.a=-10,setvar:tx.b=x,setvar:!tx.b,setvar:tx.c,setvar:tx.d=+x"
SecRule TX:/^[abcd]$/ "@rx ." "id:2,phase:1"`, asked{uri: "/"}, "1(UNKNOWN=) 2(TX:a=-2)(TX:c=1)(TX:d=+x)"},
		{"skipAfter and skip", `SecAction "id:1,phase:1,skipAfter:A"
SecAction "id:2,phase:1"
SecMarker A
SecAction "id:3,phase:1,skip:1"
SecAction "id:4,phase:2"
SecAction "id:5,phase:1"
SecAction "id:6,phase:1"`, asked{uri: "/"}, "1(UNKNOWN=) 3(UNKNOWN=) 6(UNKNOWN=) 4(UNKNOWN=)"},
		{"ctl removes rules and targets", `SecAction "id:1,phase:1,ctl:ruleRemoveById=2-3,ctl:ruleRemoveByTag=x,ctl:ruleRemoveTargetById=5;ARGS:a,ctl:ruleRemoveTargetByTag=y;ARGS:/^b/"
SecAction "id:2,phase:1"
SecAction "id:4,phase:1,tag:x"
SecRule ARGS "@rx ." "id:5,phase:1,tag:y"`, asked{uri: "/?a=1&bx=2&c=3"}, "1(UNKNOWN=) 5(ARGS:c=3)"},
		{"ctl switches the engine off", `SecAction "id:1,phase:1,ctl:ruleEngine=Off"
SecAction "id:2,phase:1"
SecAction "id:3,phase:5"`, asked{uri: "/"}, "1(UNKNOWN=)"},
		{"deny ends the phases but for the last", `SecRule ARGS "@rx x" "id:1,phase:1,deny,status:406"
SecAction "id:2,phase:1"
SecAction "id:3,phase:2"
SecAction "id:4,phase:5"`, asked{uri: "/?a=x"}, "1(ARGS:a=x) 4(UNKNOWN=) deny 406 by 1"},
		{"the last phase refuses nothing", `SecAction "id:1,phase:5,deny"
SecAction "id:2,phase:5"`, asked{uri: "/"}, "1(UNKNOWN=) 2(UNKNOWN=)"},
		{"allow:phase", `SecAction "id:1,phase:1,allow:phase"
SecAction "id:2,phase:1"
SecAction "id:3,phase:2"`, asked{uri: "/"}, "1(UNKNOWN=) 3(UNKNOWN=)"},
		{"allow:request", `SecAction "id:1,phase:1,allow:request"
SecAction "id:2,phase:2"
SecAction "id:3,phase:3"`, asked{uri: "/"}, "1(UNKNOWN=) 3(UNKNOWN=)"},
		{"allow", `SecAction "id:1,phase:1,allow"
SecAction "id:2,phase:4"
SecAction "id:3,phase:5"`, asked{uri: "/"}, "1(UNKNOWN=) 3(UNKNOWN=)"},
		{"form", `SecRule ARGS_POST|REQUEST_BODY "@rx ." "id:1,phase:2"`,
			asked{method: "POST", uri: "/?q=1", body: "a=b+c", headers: []string{"Content-Type: application/x-www-form-urlencoded"}},
			"1(ARGS_POST:a=b c)(REQUEST_BODY=a=b+c)"},
		{"JSON by ctl", `SecAction "id:1,phase:1,nolog,ctl:requestBodyProcessor=JSON"
SecRule ARGS "@rx b" "id:2,phase:2"`, asked{method: "POST", uri: "/", body: `{"a":["b"]}`}, "1(UNKNOWN=) 2(ARGS:json.a.0=b)"},
		{"a body that is no JSON", `SecAction "id:1,phase:1,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" "id:2,phase:2,deny,status:400"`, asked{method: "POST", uri: "/", body: `{"a":`}, "1(UNKNOWN=) 2(REQBODY_ERROR=1) deny 400 by 2"},
		{"a body of no known kind", `SecAction "id:1,phase:1,nolog,ctl:forceRequestBodyVariable=On"
SecRule REQUEST_BODY|REQBODY_PROCESSOR "@rx ." "id:2,phase:2"`, asked{method: "POST", uri: "/", body: `x y`},
			"1(UNKNOWN=) 2(REQUEST_BODY=x y)(REQBODY_PROCESSOR=URLENCODED)"},
		{"the answer", `SecRule RESPONSE_BODY|RESPONSE_STATUS|RESPONSE_HEADERS:content-type "@pm <b>secret 200 html" "id:1,phase:4,capture"
SecRule TX:0 "@rx ." "id:2,phase:4"`, asked{uri: "/", answer: "a <B>SECRET"},
			"1(RESPONSE_BODY=a <B>SECRET)(RESPONSE_STATUS=200)(RESPONSE_HEADERS:Content-Type=text/html; charset=utf-8) 2(TX:0=html)"},
		{"single variables", `SecRule REQUEST_METHOD|REQUEST_BASENAME|REQUEST_FILENAME|QUERY_STRING|REMOTE_ADDR|SERVER_PORT|TIME_EPOCH|UNIQUE_ID "@rx ." "id:1,phase:1"`,
			asked{method: "PUT", uri: "/a/b%20c?x#y"}, "1(REQUEST_METHOD=PUT)(REQUEST_BASENAME=b c)(REQUEST_FILENAME=/a/b c)(QUERY_STRING=x)(REMOTE_ADDR=192.0.2.7)(SERVER_PORT=443)(TIME_EPOCH=1700000000)(UNIQUE_ID=id)"},
		{"bytes that are no UTF-8", `SecRule ARGS "@rx \xac\xed" "id:1,phase:1,capture"
SecRule TX:0 "@rx ." "id:2,phase:1"`, asked{uri: "/?a=z%ac%edz"}, "1(ARGS:a=z\xac\xedz) 2(TX:0=\xac\xed)"},
		{"the rule itself", `SecRule ARGS "@rx ." "id:12,phase:1,msg:'m %{matched_var}',setvar:'tx.what=%{rule.id} %{rule.msg}'"
SecRule TX:what "@rx ." "id:13,phase:1"`, asked{uri: "/?a=z"}, "12(ARGS:a=z) 13(TX:what=12 m z)"},
		{"redirect", `SecAction "id:1,phase:1,redirect:'https://example.org/%{unique_id}'"`, asked{uri: "/"}, "1(UNKNOWN=) redirect 302 by 1"},
		{"setenv", `SecAction "id:1,phase:1,setenv:a=b%{unique_id}"
SecRule ENV:a "@streq bid" "id:2,phase:1"`, asked{uri: "/"}, "1(UNKNOWN=) 2(ENV:a=bid)"},
		{"the site's variables", `SecRule TX:level "@ge 3" "id:1,phase:1"`,
			asked{uri: "/", site: seclang.SiteConfig{Variables: []seclang.Variable{{Name: "LEVEL", Value: "3"}}}}, "1(TX:LEVEL=3)"},
		{"detection only", `SecRule ARGS "@rx x" "id:1,phase:1,deny"
SecAction "id:2,phase:2"`, asked{uri: "/?a=x", site: seclang.SiteConfig{Mode: syntax.EngineDetects}}, "1(ARGS:a=x) 2(UNKNOWN=)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.asked.method == "" {
				c.asked.method = "GET"
			}
			tx := begin(t, c.rules, c.asked)
			if got := said(tx); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestMessagesAreExpanded(t *testing.T) {
	tx := begin(t, `SecRule ARGS "@rx x" "id:1,phase:1,msg:'found %{matched_var_name}',logdata:'%{tx.0} %{tx.nothing}',capture"
SecRule ARGS:a "@rx x" "id:2,phase:1,msg:'%{tx.end}',chain"
SecRule ARGS:b "@rx y" "setvar:tx.end=%{matched_var}"`, asked{method: "GET", uri: "/?a=1x2&b=zy"})
	m := tx.Matches()
	if len(m) != 2 || m[0].Message != "found ARGS:a" || m[0].LogData != "x tx.nothing" || m[1].Message != "zy" {
		t.Errorf("got %+v", m)
	}
}

func TestDetectedIsWhatWouldHaveBeen(t *testing.T) {
	tx := begin(t, `SecRule ARGS "@rx x" "id:1,phase:1,deny,status:429"
SecAction "id:2,phase:2,deny"`, asked{method: "GET", uri: "/?a=x", site: seclang.SiteConfig{Mode: syntax.EngineDetects}})
	if d := tx.Detected(); tx.Interruption() != nil || d == nil || d.Rule != 1 || d.Status != 429 {
		t.Errorf("got %+v and %+v", tx.Interruption(), tx.Detected())
	}
}

// TestCtlCannotMakeADetectingSiteRefuse: what a site only detects stays so, whatever its rules say.
func TestCtlCannotMakeADetectingSiteRefuse(t *testing.T) {
	tx := begin(t, `SecAction "id:1,phase:1,ctl:ruleEngine=On"
SecAction "id:2,phase:1,deny"`, asked{method: "GET", uri: "/", site: seclang.SiteConfig{Mode: syntax.EngineDetects}})
	if tx.Interruption() != nil || tx.Detected() == nil {
		t.Errorf("got %+v and %+v", tx.Interruption(), tx.Detected())
	}
}

func TestEveryNameOfTheLanguageHasItsPart(t *testing.T) {
	for _, name := range syntax.Transformations() {
		if _, ok := transform.Lookup(name); !ok {
			t.Errorf("transformation %s is read and there is none", name)
		}
	}
	for _, name := range transform.Names() {
		if !slices.Contains(syntax.Transformations(), strings.ToLower(name)) {
			t.Errorf("transformation %s is not read", name)
		}
	}
	arguments := map[string]string{"validatebyterange": "1-255", "ipmatch": "192.0.2.0/24", "eq": "1", "ge": "1", "gt": "1", "le": "1", "lt": "1"}
	for _, name := range syntax.Operators() {
		if strings.HasSuffix(name, "f") || strings.HasSuffix(name, "fromfile") {
			continue // needs a file
		}
		argument := arguments[name]
		if argument == "" && !slices.Contains([]string{"detectsqli", "detectxss", "validateurlencoding", "validateutf8encoding", "unconditionalmatch", "nomatch"}, name) {
			argument = "x"
		}
		read, err := syntax.Parse(syntax.Source{Name: "rules.conf", Text: fmt.Sprintf(`SecRule ARGS "@%s %s" "id:1"`, name, argument)})
		if err != nil {
			t.Errorf("operator %s: %v", name, err)
			continue
		}
		if _, err := seclang.Compile(read); err != nil {
			t.Errorf("operator %s: %v", name, err)
		}
	}
}

func TestWhatCannotBeCompiledSaysWhere(t *testing.T) {
	read, err := syntax.Parse(syntax.Source{Name: "rules.conf", Text: "SecRule ARGS \"@rx (\" id:1\nSecRule ARGS \"@ipMatch x\" id:2\nSecRule ARGS \"@pmFromFile gone\" id:3"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = seclang.Compile(read)
	for _, want := range []string{"rules.conf:1: operator @rx: ", "rules.conf:2: operator @ipmatch: ", "rules.conf:3: operator @pmfromfile: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
