package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
)

// fieldsMost is the limit of these tests.
const fieldsMost = 20 << 10

// sized is a body with so many bytes besides files.
type sized struct {
	name, kind string
	body       func(n int) string
}

const partsKind = "multipart/form-data; boundary=limit"

// partOf is a part of a multipart body.
func partOf(disposition, content string) string {
	return "--limit\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n"
}

// sizedBodies are harmless bodies of all kinds that rules look at.
func sizedBodies() []sized {
	text := func(n int) string { return strings.Repeat("word ", n/5+1)[:n] }
	with := func(parts func(text string) string) func(int) string {
		return func(n int) string {
			file := partOf(`name="file"; filename="a.txt"`, "")
			whole := parts("") + file + "--limit--\r\n"
			return parts(text(n-len(whole))) + strings.Replace(file, "\r\n\r\n", "\r\n\r\n"+strings.Repeat("a line of a file\r\n", 5000), 1) + "--limit--\r\n"
		}
	}
	return []sized{
		{"form", "application/x-www-form-urlencoded", func(n int) string { return "a=" + strings.ReplaceAll(text(n-2), " ", "+") }},
		{"JSON", "application/json", func(n int) string { return `{"a":"` + text(n-8) + `"}` }},
		{"XML", "application/xml", func(n int) string { return "<a>" + text(n-7) + "</a>" }},
		{"multipart, one field", partsKind, with(func(s string) string { return partOf(`name="text"`, s) })},
		{"multipart, many fields", partsKind, with(func(s string) string {
			each := len(s) / 20
			all := ""
			for i := range 19 {
				all += partOf(fmt.Sprintf(`name="text%02d"`, i), s[i*each:(i+1)*each])
			}
			return all + partOf(`name="rest"`, s[19*each:])
		})},
		{"multipart, file names", partsKind, with(func(s string) string {
			all := ""
			for i := range 50 {
				all += partOf(fmt.Sprintf(`name="f%02d"; filename="report of the week %02d.txt"`, i, i), "")
			}
			return all + partOf(`name="text"`, s)
		})},
	}
}

// fieldsClients are ways to send a body.
func fieldsClients(r *running) map[string]func(s sized, body string) *http.Request {
	request := func(s sized, body io.Reader) *http.Request {
		req, err := http.NewRequest(http.MethodPost, r.url("https", "/"), body)
		must(r.t, err)
		req.Header.Set("Content-Type", s.kind)
		req.Header.Set("User-Agent", browser)
		req.Header.Set("Accept", "*/*")
		return req
	}
	return map[string]func(s sized, body string) *http.Request{
		"length": func(s sized, body string) *http.Request { return request(s, strings.NewReader(body)) },
		"chunked": func(s sized, body string) *http.Request {
			return request(s, struct{ io.Reader }{strings.NewReader(body)})
		},
	}
}

// oneOne is a client that speaks HTTP/1.1 only.
func (r *running) oneOne() *http.Client {
	c := r.client()
	transport := c.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = false
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	return c
}

// TestInspectFields: at the limit a body of each kind passes, one byte beyond it is refused before the application hears of it; files do not
// count. Where nothing is refused it passes whole.
func TestInspectFields(t *testing.T) {
	t.Parallel()
	arrived := make(chan int, 1000)
	up := application(t, func(_ http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- int(n)
	})
	for mode, beyond := range map[string]int{"block": 413, "detect": 200} {
		site := walled(t, up.URL)
		site.WAF.Mode, site.WAF.FieldsLimit = mode, fieldsMost
		r := start(t, gateway.Config{}, site)
		want := 0
		for version, client := range map[int]*http.Client{1: r.oneOne(), 2: r.client()} {
			for how, request := range fieldsClients(r) {
				for _, s := range sizedBodies() {
					for n, status := range map[int]int{fieldsMost: 200, fieldsMost + 1: beyond} {
						body := s.body(n)
						res, err := client.Do(request(s, body))
						must(t, err)
						res.Body.Close()
						if res.StatusCode != status || res.ProtoMajor != version {
							t.Errorf("%s, %s, HTTP/%d %s, %d bytes: got %d by HTTP/%d, want %d", mode, s.name, version, how, n, res.StatusCode, res.ProtoMajor, status)
						}
						if res.StatusCode == 200 {
							if got := <-arrived; got != len(body) {
								t.Errorf("%s, %s: %d of %d bytes arrived", mode, s.name, got, len(body))
							}
						}
						if n > fieldsMost {
							want++
						}
					}
				}
			}
		}
		told := r.findingsOf("waf-limit", want)
		for _, e := range told {
			if valueOf(e, "setting") != "fields_limit" || valueOf(e, "limit") != strconv.Itoa(fieldsMost) || valueOf(e, "request_id") == "" ||
				e.Outcome != map[string]event.Outcome{"block": event.Refused, "detect": event.Unknown}[mode] {
				t.Errorf("%s: got %+v", mode, e)
			}
		}
		got := r.Stats()
		if len(told) != want || got.WAF.Fields != uint64(want) || got.WAF.Memory != 0 || mode == "block" && got.Refused["fields-too-large"] != uint64(want) {
			t.Errorf("%s: %d events, %+v, %d refused; want %d", mode, len(told), got.WAF, got.Refused["fields-too-large"], want)
		}
		if found := r.findings(0); mode == "block" && len(found) != 0 || len(arrived) != 0 {
			t.Errorf("%s: %d findings, %d requests arrived; want none: %+v", mode, len(found), len(arrived), found)
		}
	}
}

// TestInspectFieldsEarly: nobody waits for the end of a body that is too long, nor for its front where its length says enough.
func TestInspectFieldsEarly(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) { t.Error("the request arrived") })
	site := walled(t, up.URL)
	site.WAF.FieldsLimit = fieldsMost
	r := start(t, gateway.Config{}, site)
	long := strings.Repeat("b", 600<<10) // net/http throws 256 KiB of a body away before it answers by HTTP/1.1
	for _, c := range []struct {
		name, kind, front string
		length            int64
	}{
		{"form that says its length", "application/x-www-form-urlencoded", "a=" + long[:8<<10], 10 << 20},
		{"form", "application/x-www-form-urlencoded", "a=" + long, -1},
		{"field", partsKind, partOf(`name="a"; filename="a"`, strings.Repeat("line\r\n", 10_000)) + partOf(`name="text"`, long), -1},
		{"field of a body that says its length", partsKind, partOf(`name="text"`, long), 10 << 20},
		{"a body longer than body_limit", partsKind, long[:8<<10], 20 << 20},
	} {
		for version, client := range map[int]*http.Client{1: r.oneOne(), 2: r.client()} {
			rest, feed := io.Pipe()
			req, err := http.NewRequest(http.MethodPost, r.url("https", "/"), struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader(c.front), rest), rest})
			must(t, err)
			req.ContentLength = c.length
			req.Header.Set("Content-Type", c.kind)
			req.Header.Set("User-Agent", browser)
			res, err := client.Do(req) // the rest never comes
			must(t, err)
			res.Body.Close()
			feed.Close()
			if res.StatusCode != 413 {
				t.Errorf("%s, HTTP/%d: got %d, want 413", c.name, version, res.StatusCode)
			}
		}
	}
}

// TestInspectFieldsOwn: a directive in a file of the site's own lowers the limit, and a rule may leave bodies out; what is no limit is an error.
func TestInspectFieldsOwn(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	site := walled(t, up.URL)
	own := filepath.Join(t.TempDir(), "own.conf")
	must(t, os.WriteFile(own, []byte(`SecRequestBodyNoFilesLimit 5000
SecRule REQUEST_FILENAME "@beginsWith /files/" "id:1000,phase:1,pass,nolog,ctl:requestBodyAccess=Off,ctl:ruleRemoveById=920420"
`), 0o600))
	site.WAF.Before = []string{own}
	r := start(t, gateway.Config{}, site)
	for _, c := range []struct {
		kind, target string
		size, status int
	}{
		{"application/x-www-form-urlencoded", "/", 5000, 200},
		{"application/x-www-form-urlencoded", "/", 5001, 413},
		{"application/octet-stream", "/files/a", 2 << 20, 200},
	} {
		res, _ := fetchBody(t, r, c.kind, c.target, "a="+strings.Repeat("b", c.size-2))
		if res.StatusCode != c.status {
			t.Errorf("%s of %d bytes: got %d, want %d", c.kind, c.size, res.StatusCode, c.status)
		}
	}
	if told := r.findingsOf("waf-limit", 1); len(told) != 1 || valueOf(told[0], "limit") != "5000" {
		t.Errorf("got %+v", told)
	}
	must(t, os.WriteFile(own, []byte("# none\nSecRequestBodyNoFilesLimit much\n"), 0o600))
	bad := gateway.Config{DataDir: t.TempDir(), Sites: []gateway.SiteConfig{site}}
	bad.SetDefaults()
	_, err := gateway.New(bad, r.deps)
	if err == nil || !strings.Contains(err.Error(), "own.conf:2: SecRequestBodyNoFilesLimit is \"much\"; write a number of bytes") {
		t.Errorf("a limit that is no number: got %v", err)
	}
}

func fetchBody(t *testing.T, r *running, kind, target, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.url("https", target), strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", browser)
	req.Header.Set("Accept", "text/html")
	res, err := r.client().Do(req)
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	return res, string(text)
}
