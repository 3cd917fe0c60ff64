package seclang_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

// One program, compiled once, serves all sites; each site has its mode, limits and variables.
func Example() {
	rules, err := syntax.Parse(
		syntax.Source{Name: "before.conf", Text: `SecAction "id:100001,phase:1,nolog,pass,setvar:tx.early_blocking=0"`},
		syntax.Source{Name: "@crs-setup.conf.example", Files: coreruleset.FS},
		syntax.Source{Name: "@owasp_crs/*.conf", Files: coreruleset.FS})
	if err != nil {
		fmt.Println(err)
		return
	}
	program, err := seclang.Compile(rules)
	if err != nil {
		fmt.Println(err)
		return
	}
	site, err := program.NewSite(seclang.SiteConfig{Mode: syntax.EngineOn, RequestBody: syntax.On, ResponseBody: syntax.On,
		Variables: []seclang.Variable{{Name: "blocking_paranoia_level", Value: "1"}, {Name: "inbound_anomaly_score_threshold", Value: "5"}}})
	if err != nil {
		fmt.Println(err)
		return
	}

	now := time.Now()
	tx := site.Begin("request-1", now)
	defer tx.Close()
	tx.Connection(netip.MustParseAddrPort("192.0.2.7:40000"), netip.MustParseAddrPort("192.0.2.1:443"))
	tx.RequestLine("GET", "/?q=%3Cscript%3Ealert(1)%3C/script%3E", "HTTP/1.1")
	tx.RequestHeader("Host", "helpdesk.example.org")
	tx.RequestHeader("User-Agent", "Mozilla/5.0")
	tx.RequestHeader("Accept", "*/*")
	if i := tx.CheckRequestHeaders(); i == nil {
		if tx.WantsRequestBody() {
			tx.WriteRequestBody(nil)
		}
		if i = tx.CheckRequestBody(); i != nil {
			fmt.Println(i.Action, i.Status, "by", i.Rule)
		}
	}
	tx.Finish(now)
	for _, m := range tx.Matches() {
		if m.Message != "" && m.Rule.Log == syntax.On {
			fmt.Println(m.Rule.ID, m.Found[0].Name(), m.Message)
		}
	}
	// Output:
	// deny 403 by 949110
	// 941100 ARGS:q XSS Attack Detected via libinjection
	// 941110 ARGS:q XSS Filter - Category 1: Script Tag Vector
	// 941160 ARGS:q NoScript XSS InjectionChecker: HTML Injection
	// 941390 ARGS:q Javascript method detected
	// 949110 TX:blocking_inbound_anomaly_score Inbound Anomaly Score Exceeded (Total Score: 20)
	// 980170 UNKNOWN Anomaly Scores: (Inbound Scores: blocking=20, detection=20, per_pl=20-0-0-0, threshold=5) - (Outbound Scores: blocking=0, detection=0, per_pl=0-0-0-0, threshold=4) - (SQLI=0, XSS=20, RFI=0, LFI=0, RCE=0, PHPI=0, HTTP=0, SESS=0, COMBINED_SCORE=20)
}

func BenchmarkGet(b *testing.B) {
	fast, _ := crs(b)
	a := asked{method: "GET", uri: "/search?q=red+shoes&page=3&sort=price&order=asc", headers: []string{"Host: shop.example.org",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Accept: text/html",
		"Cookie: session=0123456789abcdef; theme=dark", "Referer: https://shop.example.org/"}}
	b.ReportAllocs()
	for b.Loop() {
		tx := fast.Begin("id", time.Unix(1700000000, 0))
		feed(tx, a)
		tx.Close()
	}
}
