package seclang_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

// setup is how both engines are set up.
type setup struct {
	level int
	block bool
	large bool // without the limits of sizes, which the regression tests need
}

func (s setup) String() string {
	mode := "detect"
	if s.block {
		mode = "block"
	}
	return fmt.Sprintf("PL%d %s", s.level, mode)
}

// directives are the settings that the regression tests of CRS need.
func (s setup) directives() string {
	engine := "DetectionOnly"
	if s.block {
		engine = "On"
	}
	vars := ""
	all := []string{"blocking_paranoia_level=" + strconv.Itoa(s.level), "crs_validate_utf8_encoding=1"}
	if !s.large {
		all = append(all, "arg_name_length=100", "arg_length=400", "total_arg_length=64000", "max_num_args=255", "max_file_size=64100",
			"combined_file_sizes=65535")
	}
	for _, v := range all {
		vars += ",setvar:'tx." + v + "'"
	}
	return "SecRuleEngine " + engine + "\nSecAction \"id:900005,phase:1,nolog,pass" + vars + "\"\n"
}

// outcome is what an engine says about a request: the ids of all rules that matched, and the rule that refused.
type outcome struct {
	ids     []int
	refused int
}

func (o outcome) String() string {
	words := make([]string, 0, len(o.ids)+1)
	for _, id := range o.ids {
		words = append(words, strconv.Itoa(id))
	}
	return strings.Join(append(words, "refused:"+strconv.Itoa(o.refused)), " ")
}

func (o *outcome) add(id int) { o.ids = append(o.ids, id) }

func (o *outcome) done() outcome {
	slices.Sort(o.ids)
	o.ids = slices.Compact(o.ids)
	return *o
}

func newCoraza(t testing.TB, s setup) coraza.WAF {
	t.Helper()
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(
		"Include @coraza.conf-recommended\nInclude @crs-setup.conf.example\n" + s.directives() + "Include @owasp_crs/*.conf\n"))
	if err != nil {
		t.Fatal(err)
	}
	return waf
}

func runCoraza(waf coraza.WAF, r *request) outcome {
	tx := waf.NewTransactionWithID("0123456789")
	defer func() { _ = tx.Close() }()
	tx.ProcessConnection("127.0.0.1", 40000, "127.0.0.1", 80)
	tx.ProcessURI(r.uri, r.method, r.protocol)
	for _, h := range r.headers {
		tx.AddRequestHeader(h.name, h.value)
	}
	feedCoraza(tx, r)
	tx.ProcessLogging()
	var o outcome
	for _, m := range tx.MatchedRules() {
		o.add(m.Rule().ID())
	}
	if i := tx.Interruption(); i != nil {
		o.refused = i.RuleID
	}
	return o.done()
}

func feedCoraza(tx types.Transaction, r *request) {
	if tx.ProcessRequestHeaders() != nil {
		return
	}
	if tx.IsRequestBodyAccessible() && r.body != "" {
		if i, _, err := tx.WriteRequestBody([]byte(r.body)); i != nil || err != nil {
			return
		}
	}
	if i, err := tx.ProcessRequestBody(); i != nil || err != nil {
		return
	}
	for _, h := range r.answer {
		tx.AddResponseHeader(h.name, h.value)
	}
	if tx.ProcessResponseHeaders(r.status, "HTTP/1.1") != nil {
		return
	}
	if tx.IsResponseBodyAccessible() && tx.IsResponseBodyProcessable() {
		if i, _, err := tx.WriteResponseBody([]byte(r.answerBody)); i != nil || err != nil {
			return
		}
	}
	_, _ = tx.ProcessResponseBody()
}

func newProgram(t testing.TB, s setup) *seclang.Program {
	t.Helper()
	rules, err := syntax.Parse(
		syntax.Source{Name: "@coraza.conf-recommended", Files: coreruleset.FS},
		syntax.Source{Name: "@crs-setup.conf.example", Files: coreruleset.FS},
		syntax.Source{Name: "setup", Text: s.directives()},
		syntax.Source{Name: "@owasp_crs/*.conf", Files: coreruleset.FS})
	if err != nil {
		t.Fatal(err)
	}
	p, err := seclang.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newSite(t testing.TB, p *seclang.Program, plain bool) *seclang.Site {
	t.Helper()
	site, err := p.NewSite(seclang.SiteConfig{Plain: plain})
	if err != nil {
		t.Fatal(err)
	}
	return site
}

// begin feeds a whole request and its answer to a transaction.
func begin(site *seclang.Site, r *request) *seclang.Transaction {
	now := time.Unix(1700000000, 0)
	tx := site.Begin("0123456789", now)
	tx.Connection(netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:80"))
	tx.RequestLine(r.method, r.uri, r.protocol)
	for _, h := range r.headers {
		tx.RequestHeader(h.name, h.value)
	}
	feedDoorward(tx, r)
	tx.Finish(now)
	return tx
}

func runDoorward(site *seclang.Site, r *request) outcome {
	tx := begin(site, r)
	defer tx.Close()
	var o outcome
	for _, m := range tx.Matches() {
		o.add(m.Rule.ID)
	}
	if i := tx.Interruption(); i != nil {
		o.refused = i.Rule
	}
	return o.done()
}

func feedDoorward(tx *seclang.Transaction, r *request) {
	if tx.CheckRequestHeaders() != nil || tx.WriteRequestBody([]byte(r.body)) || tx.CheckRequestBody() != nil {
		return
	}
	tx.Response(r.status, "HTTP/1.1")
	for _, h := range r.answer {
		tx.ResponseHeader(h.name, h.value)
	}
	if tx.CheckResponseHeaders() != nil {
		return
	}
	tx.WriteResponseBody([]byte(r.answerBody))
	tx.CheckResponseBody()
}
