package gateway_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/gateway/waf"
)

// walled is a public site behind the firewall.
func walled(t *testing.T, upstream string) gateway.SiteConfig {
	t.Helper()
	site := publicSite(t, upstream)
	site.WAF = gateway.SiteWAFConfig{Mode: "block"}
	return site
}

const scriptAttack = "<script>alert(1)</script>"

// findings are the firewall's events, latest first, once there are as many as wanted: an answer is out before its event.
func (r *running) findings(want int) []event.Event {
	r.t.Helper()
	return r.findingsOf("waf", want)
}

// findingsOf is findings for another action.
func (r *running) findingsOf(action string, want int) []event.Event {
	r.t.Helper()
	var found []event.Event
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		must(r.t, r.deps.Events.Flush(r.t.Context()))
		all, err := r.deps.Events.Query(r.t.Context(), event.Query{Class: event.Detection, Limit: 100})
		must(r.t, err)
		found = found[:0]
		for _, e := range all {
			if e.Action == action {
				found = append(found, e)
			}
		}
		if len(found) >= want || time.Now().After(end) {
			return found
		}
	}
}

func valueOf(e event.Event, key string) string {
	for _, f := range e.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// TestInspect: attacks in query, form, JSON and multipart are refused and told; what is harmless passes whole.
func TestInspect(t *testing.T) {
	t.Parallel()
	got := make(chan string, 100)
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- string(body)
	})
	r := start(t, gateway.Config{}, walled(t, up.URL))
	form := "application/x-www-form-urlencoded"
	long := strings.Repeat("Die Rechnung liegt bei. ", 400)
	for name, c := range map[string]struct {
		method, target, kind, body string
		want                       int
	}{
		"query":            {"GET", "/?q=" + url.QueryEscape(scriptAttack), "", "", 403},
		"form":             {"POST", "/", form, "q=" + url.QueryEscape(scriptAttack), 403},
		"json":             {"POST", "/", "application/json", `{"a":{"b":["` + scriptAttack + `"]}}`, 403},
		"multipart":        {"POST", "/", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n" + scriptAttack + "\r\n--x--\r\n", 403},
		"broken json":      {"POST", "/", "application/json", `{"a":`, 400},
		"harmless":         {"GET", "/?q=hello", "", "", 200},
		"harmless form":    {"POST", "/", form, "q=hello+world", 200},
		"long form":        {"POST", "/", form, "q=" + url.QueryEscape(long), 200},
		"harmless upload":  {"POST", "/", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nhello\r\n--x--\r\n", 200},
		"a browser's form": {"POST", "/", "multipart/form-data; boundary=----WebKitFormBoundaryx", "------WebKitFormBoundaryx\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nhello\r\nworld\r\n------WebKitFormBoundaryx--\r\n", 200},
	} {
		req, err := http.NewRequest(c.method, r.url("https", c.target), strings.NewReader(c.body))
		must(t, err)
		req.Header.Set("User-Agent", browser)
		req.Header.Set("Accept", "text/html")
		if c.kind != "" {
			req.Header.Set("Content-Type", c.kind)
		}
		res, err := r.client().Do(req)
		must(t, err)
		page, err := io.ReadAll(res.Body)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", name, res.StatusCode, c.want)
		}
		if c.want == 403 {
			if id := res.Header.Get("X-Request-Id"); id == "" || !strings.Contains(string(page), id) {
				t.Errorf("%s: the page does not show the request id %q", name, id)
			}
			if strings.Contains(string(page), "9411") {
				t.Errorf("%s: the page tells which rules there are", name)
			}
		}
		if res.StatusCode == 200 {
			if body := <-got; body != c.body {
				t.Errorf("%s: the application got %d bytes, want the %d that were sent", name, len(body), len(c.body))
			}
		}
	}
	found := r.findings(5)
	if len(found) != 5 {
		t.Fatalf("%d findings, want one for each refused request", len(found))
	}
	for _, e := range found {
		if e.Outcome != event.Refused || valueOf(e, "request_id") == "" {
			t.Errorf("finding %+v: want refused, with a request id", e)
		}
		var hit waf.Hit
		if err := json.Unmarshal([]byte(valueOf(e, "match")), &hit); err != nil || hit.Rule == 0 || hit.Variable == "" {
			t.Errorf("match %q: %v", valueOf(e, "match"), err)
		}
	}
}

// TestInspectModes: detect tells and refuses nothing, off does not look.
func TestInspectModes(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	for mode, c := range map[string]struct{ status, findings int }{"detect": {200, 1}, "off": {200, 0}, "block": {403, 1}} {
		site := walled(t, up.URL)
		site.WAF.Mode = mode
		r := start(t, gateway.Config{}, site)
		if got, _ := fetch(t, r.client(), http.MethodGet, r.url("https", "/?q="+url.QueryEscape(scriptAttack))); got.StatusCode != c.status {
			t.Errorf("%s: got %d, want %d", mode, got.StatusCode, c.status)
		}
		if found := r.findings(c.findings); len(found) != c.findings {
			t.Errorf("%s: %d findings, want %d", mode, len(found), c.findings)
		} else if mode == "detect" && valueOf(found[0], "would_refuse") != "949110" {
			t.Errorf("detect: would_refuse %q, want 949110", valueOf(found[0], "would_refuse"))
		}
	}
}

// TestInspectBodies: what is too large is refused with 413, or passes unlooked at where nothing is refused; memory is given back.
func TestInspectBodies(t *testing.T) {
	t.Parallel()
	sizes := make(chan int, 100)
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sizes <- len(body)
	})
	for mode, want := range map[string]int{"block": 413, "detect": 200} {
		site := walled(t, up.URL)
		site.WAF.Mode, site.WAF.BodyLimit = mode, 10<<10
		r := start(t, gateway.Config{}, site)
		for _, size := range []int{10 << 10, 10<<10 + 1, 1 << 20} {
			status := want
			if size <= 10<<10 {
				status = 200
			}
			for _, chunked := range []bool{false, true} {
				var body io.Reader = strings.NewReader("a=" + strings.Repeat("b", size-2))
				if chunked {
					body = struct{ io.Reader }{body}
				}
				req, err := http.NewRequest(http.MethodPost, r.url("https", "/"), body)
				must(t, err)
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("User-Agent", browser)
				res, err := r.client().Do(req)
				must(t, err)
				res.Body.Close()
				if res.StatusCode != status {
					t.Errorf("%s, %d bytes, chunked %v: got %d, want %d", mode, size, chunked, res.StatusCode, status)
				}
				if res.StatusCode == 200 {
					if got := <-sizes; got != size {
						t.Errorf("%s: the application got %d bytes, want %d", mode, got, size)
					}
				}
			}
		}
		if held := r.WAF().Memory; held != 0 {
			t.Errorf("%s: %d bytes are still taken", mode, held)
		}
	}
}

// TestInspectMemory: no more bodies are held at once than waf.memory allows.
func TestInspectMemory(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := walled(t, up.URL)
	site.WAF.BodyLimit, site.WAF.FieldsLimit = 16<<20, 16<<20
	r := start(t, gateway.Config{WAF: gateway.WAFConfig{Memory: 16 << 20}}, site)
	res := upload(t, r, strings.Repeat("a", 8<<20))
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a body for which there is no memory: got %d, want 503 with Retry-After", res.StatusCode)
	}
	if got := r.WAF(); got.Busy != 1 || got.Memory != 0 {
		t.Errorf("after it: %+v, want one busy and nothing held", got)
	}
	if res = upload(t, r, "a=1"); res.StatusCode != 200 {
		t.Errorf("a small body: got %d, want 200", res.StatusCode)
	}
}

func upload(t *testing.T, r *running, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.url("https", "/"), strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", browser)
	res, err := r.client().Do(req)
	must(t, err)
	res.Body.Close()
	return res
}

// TestInspectAnswers: an answer that gives the database's errors away is told, or refused, packed or not; nobody gets a part of it.
func TestInspectAnswers(t *testing.T) {
	t.Parallel()
	const leak = "<html>You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version</html>"
	up := application(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		text := leak
		if r.URL.Path == "/fine" {
			text = "<html>fine</html>"
		}
		if r.Header.Get("Accept-Encoding") != "gzip" {
			io.WriteString(w, text)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, text)
		z.Close()
	})
	for mode, want := range map[string]int{"block": 403, "detect": 200, "off": 200} {
		site := walled(t, up.URL)
		site.WAF.Answers = mode
		r := start(t, gateway.Config{}, site)
		for _, coding := range []string{"", "gzip, br"} {
			req, err := http.NewRequest(http.MethodGet, r.url("https", "/"), nil)
			must(t, err)
			req.Header.Set("Accept-Encoding", coding)
			req.Header.Set("User-Agent", browser)
			res, err := r.client().Do(req)
			must(t, err)
			body, err := io.ReadAll(res.Body)
			must(t, err)
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("answers %s, %q: got %d, want %d", mode, coding, res.StatusCode, want)
			}
			if want == 403 && bytes.Contains(body, []byte("SQL syntax")) {
				t.Errorf("answers %s, %q: the refusal shows the answer", mode, coding)
			}
		}
		if res, _ := fetch(t, r.client(), http.MethodGet, r.url("https", "/fine")); res.StatusCode != 200 {
			t.Errorf("answers %s: a harmless page: %d, want 200", mode, res.StatusCode)
		}
		told := 2
		if mode == "off" {
			told = 0
		}
		if got := len(r.findings(told)); got != told {
			t.Errorf("answers %s: %d findings, want %d", mode, got, told)
		}
	}
}

// TestInspectExclusions: by rule, path and parameter, from the configuration.
func TestInspectExclusions(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := walled(t, up.URL)
	site.WAF.Exclude = []gateway.WAFExclusion{
		{Path: "/reply", Rules: []gateway.RuleRange{{First: 941000, Last: 941999}}, Parameter: "body"},
		{Path: "/free", Tags: []string{"OWASP_CRS"}},
	}
	own := filepath.Join(t.TempDir(), "own.conf")
	must(t, os.WriteFile(own, []byte("SecRule REQUEST_URI \"@beginsWith /own\" \"id:1000,phase:1,deny,status:404,log,msg:'Own'\"\n"), 0o600))
	site.WAF.Before = []string{own}
	r := start(t, gateway.Config{}, site)
	q := url.QueryEscape(scriptAttack)
	for target, want := range map[string]int{"/reply?body=" + q: 200, "/reply/12?body=" + q: 200, "/reply?other=" + q: 403, "/replyx?body=" + q: 403, "/REPLY?body=" + q: 403,
		"/free?x=" + q: 200, "/own": 404, "/?body=" + q: 403} {
		if res, _ := fetch(t, r.client(), http.MethodGet, r.url("https", target), "User-Agent", browser); res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", target, res.StatusCode, want)
		}
	}
}

// TestInspectHidesSecrets: what may be a password is in no event.
func TestInspectHidesSecrets(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, gateway.Config{}, walled(t, up.URL))
	for _, target := range []string{"/?password=" + url.QueryEscape(scriptAttack+"hunter2"), "/?api_token=" + url.QueryEscape("' or 1=1 -- hunter2")} {
		req, err := http.NewRequest(http.MethodPost, r.url("https", "/"), strings.NewReader(strings.TrimPrefix(target, "/?")))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Cookie", "c="+url.QueryEscape(scriptAttack+"hunter2"))
		res, err := r.client().Do(req)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != 403 {
			t.Errorf("%s: got %d, want 403", target, res.StatusCode)
		}
	}
	found := r.findings(2)
	if len(found) != 2 {
		t.Fatalf("%d findings, want 2", len(found))
	}
	for _, e := range found {
		for _, f := range e.Fields {
			if strings.Contains(f.Value, "hunter2") {
				t.Errorf("the event shows %s=%q", f.Key, f.Value)
			}
		}
	}
}

// TestMatchLog: each match is a line in ModSecurity's form, and no value ends its line.
func TestMatchLog(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	file := filepath.Join(t.TempDir(), "match.log")
	site := walled(t, up.URL)
	r := start(t, gateway.Config{WAF: gateway.WAFConfig{MatchLog: file}}, site)
	fetch(t, r.client(), http.MethodGet, r.url("https", "/?q="+url.QueryEscape(scriptAttack+"\n[id \"1\"]")), "User-Agent", browser)
	text, err := os.ReadFile(file)
	must(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	found := false
	for _, line := range lines {
		if !strings.Contains(line, `[client 127.0.0.1] ModSecurity: Warning. `) || strings.Count(line, `[id "`) != 1 || !strings.Contains(line, `[unique_id "`) {
			t.Errorf("line %q", line)
		}
		found = found || strings.Contains(line, `[id "941100"]`)
	}
	if !found {
		t.Errorf("941100 is not in\n%s", text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the log: %v %v", info.Mode(), err)
	}
}
