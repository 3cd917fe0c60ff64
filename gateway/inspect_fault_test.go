package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/gateway/waf"
)

// manyPairs is a form with one pair more than is looked at.
func manyPairs() string {
	var b strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&b, "a%d=%d&", i, i)
	}
	return strings.TrimSuffix(b.String(), "&")
}

// TestInspectLimit: a request of which the rules saw only a part is refused where the site blocks, and told in any case.
func TestInspectLimit(t *testing.T) {
	t.Parallel()
	for mode, c := range map[string]struct {
		status, arrived int
		outcome         event.Outcome
	}{"block": {503, 0, event.Refused}, "detect": {200, 1, event.Failure}, "off": {200, 1, ""}} {
		arrived := make(chan int, 10)
		up := application(t, func(_ http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				t.Error(err)
			}
			arrived <- int(n)
		})
		site := walled(t, up.URL)
		site.WAF.Mode = mode
		r := start(t, gateway.Config{}, site)
		res := upload(t, r, manyPairs())
		if res.StatusCode != c.status || len(arrived) != c.arrived {
			t.Errorf("%s: got %d, %d requests arrived; want %d and %d", mode, res.StatusCode, len(arrived), c.status, c.arrived)
		}
		if c.outcome == "" {
			continue
		}
		told := r.findingsOf("waf-error", 1)
		if len(told) != 1 || told[0].Outcome != c.outcome || told[0].Site != "localhost" || valueOf(told[0], "failed") != "limit" ||
			valueOf(told[0], "step") != "request-body" || valueOf(told[0], "request_id") == "" || valueOf(told[0], "target") != "/" {
			t.Errorf("%s: got %+v", mode, told)
		}
		if mode == "block" && valueOf(told[0], "request_id") != res.Header.Get("X-Request-Id") {
			t.Errorf("the event names the request %s, the answer %s", valueOf(told[0], "request_id"), res.Header.Get("X-Request-Id"))
		}
		if got := r.Stats(); got.WAF.Limits != 1 || mode == "block" && got.Refused["waf-error"] != 1 {
			t.Errorf("%s: got %+v", mode, got)
		}
		site.WAF.ParameterLimit = 2000
		if status := upload(t, start(t, gateway.Config{}, site), manyPairs()).StatusCode; status != 200 {
			t.Errorf("%s: with a higher limit: got %d, want 200", mode, status)
		}
		if found := r.findings(0); len(found) != 0 {
			t.Errorf("%s: it is told as a finding too: %+v", mode, found)
		}
	}
}

// panicking is a body at which whoever reads it meets a panic.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic(errors.New("a defect")) }
func (panicking) Close() error             { return nil }

// TestInspectPanic: a panic inside an inspection closes the door, is told with what a developer needs, and the next request is judged.
func TestInspectPanic(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) { t.Error("the request arrived") })
	r := start(t, gateway.Config{}, walled(t, up.URL))
	request := httptest.NewRequest(http.MethodPost, "/reply?id=7", panicking{})
	request.Host = "localhost"
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", browser)
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, request)
	if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), answer.Header().Get("X-Request-Id")) {
		t.Errorf("got %d %s, want 503 with the request's id", answer.Code, answer.Body)
	}
	told := r.findingsOf("waf-error", 1)
	if len(told) != 1 || told[0].Outcome != event.Refused || told[0].Severity != event.High || valueOf(told[0], "failed") != "panic" ||
		valueOf(told[0], "error") != "a defect" || valueOf(told[0], "target") != "/reply?id=7" || valueOf(told[0], "request_id") != answer.Header().Get("X-Request-Id") {
		t.Errorf("got %+v", told)
	}
	if log := r.log.String(); !strings.Contains(log, "a defect") || !strings.Contains(log, "inspect_fault_test.go") {
		t.Errorf("the log lacks the panic with its stack:\n%s", log)
	}
	if got := r.WAF(); got.Panics != 1 || got.Memory != 0 {
		t.Errorf("got %+v, want one panic and nothing held", got)
	}
	if res, _ := fetch(t, r.client(), http.MethodGet, r.url("https", "/?q="+url.QueryEscape(scriptAttack))); res.StatusCode != 403 {
		t.Errorf("the next attack: got %d, want 403", res.StatusCode)
	}
}

// TestInspectCompare: with waf.compare requests are judged in both ways, and what they do not agree about is an event.
func TestInspectCompare(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, gateway.Config{WAF: gateway.WAFConfig{Compare: 1}}, walled(t, up.URL))
	for end := time.Now().Add(time.Minute); r.WAF().Compared < 3; time.Sleep(10 * time.Millisecond) { // the fast way takes a second to be there
		for _, target := range []string{"/?q=hello", "/?q=" + url.QueryEscape(scriptAttack)} {
			fetch(t, r.client(), http.MethodGet, r.url("https", target))
		}
		if time.Now().After(end) {
			t.Fatalf("nothing was compared within a minute: %+v", r.WAF())
		}
	}
	if got := r.WAF(); got.Differed != 0 {
		t.Errorf("got %+v, want no differences", got)
	}
	r.NoteDifference(waf.Difference{ID: "5SJ6ZT7Q2MXWK3VA", Host: "localhost", What: "rule 1 matched in the second only"})
	told := r.findingsOf("waf-difference", 1)
	if len(told) != 1 || told[0].Site != "localhost" || valueOf(told[0], "request_id") != "5SJ6ZT7Q2MXWK3VA" || valueOf(told[0], "difference") != "rule 1 matched in the second only" {
		t.Errorf("got %+v", told)
	}
}
