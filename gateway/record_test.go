package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/event"
	"github.com/doorward/doorward/gateway"
)

// TestAccessEvents: every request leaves one event, whoever answered it, and its outcome says how it went.
func TestAccessEvents(t *testing.T) {
	helpdesk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			http.NotFound(w, r)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("half"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	defer helpdesk.Close()
	site := publicSite(t, helpdesk.URL)
	site.Access = append([]gateway.AccessRule{{Path: "/closed", Deny: true}}, site.Access...)
	r := start(t, gateway.Config{}, site)
	long := strings.Repeat("x", 9000)
	began := time.Now()
	send := func(method, path, agent string, form url.Values) {
		t.Helper()
		req, err := http.NewRequest(method, r.url("https", path), strings.NewReader(form.Encode()))
		must(t, err)
		req.Header.Set("User-Agent", agent)
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := r.client().Do(req)
		if err != nil && path == "/cut" {
			return
		}
		must(t, err)
		_, _ = io.Copy(io.Discard, resp.Body) // the cut answer's error is what the event must show
		resp.Body.Close()
	}
	for _, path := range []string{"/fine", "/missing", "/closed", "/a;b", "/cut", "/fine?" + long} {
		send(http.MethodGet, path, "tester/"+long, nil)
	}
	send(http.MethodPost, "/.doorward/sign-in", "tester", url.Values{"username": {"nobody"}, "password": {"wrong"}})

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := map[string]string{ // target → outcome, status, reason
		"/fine": "success 200 ", "/missing": "failure 404 ", "/closed": "refused 403 path-denied",
		"/a;b": "refused 400 path-semicolon", "/cut": "failure 200 aborted", "/fine?" + long[:50]: "success 200 ",
		"/.doorward/sign-in": "failure 401 ",
	}
	got := make(map[string]string)
	eventually(t, time.Minute, "all events", func() bool {
		must(t, r.deps.Events.Flush(ctx))
		events, err := r.deps.Events.Query(ctx, event.Query{From: began.Add(-time.Second), Class: event.HTTP, Limit: 100})
		must(t, err)
		clear(got)
		for _, e := range events {
			fields := make(map[string]string)
			for _, f := range e.Fields {
				fields[f.Key] = f.Value
			}
			target := fields["target"]
			if len(target) > 4096 {
				t.Errorf("got a target of %d bytes, want 4096 at most", len(target))
			}
			target = target[:min(len(target), 56)]
			got[target] = string(e.Outcome) + " " + fields["status"] + " " + fields["reason"]
			if len(fields["user_agent"]) > 512 || fields["request_id"] == "" {
				t.Errorf("%.40s: got a user agent of %d bytes and request id %q", fields["target"], len(fields["user_agent"]), fields["request_id"])
			}
		}
		return len(events) >= len(want)
	})
	for target, outcome := range want {
		if got[target] != outcome {
			t.Errorf("%.40s: got %q, want %q", target, got[target], outcome)
		}
	}
}

// TestHostNameInEvents: the access events of people say which host they were at, and those of strangers do not: what they
// send must not have name servers asked (D-11).
func TestHostNameInEvents(t *testing.T) {
	t.Parallel()
	up := application(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, gateway.Config{TrustedProxies: loopback}, publicSite(t, up.URL))
	cookie, _ := r.signIn("zoe")
	r.askFrom("192.0.2.77", "/person", cookie)
	r.askFrom("192.0.2.77", "/stranger", nil)
	r.askFrom("192.0.2.78", "/nameless", cookie)
	got := make(map[string]string)
	eventually(t, time.Minute, "the events", func() bool {
		must(t, r.deps.Events.Flush(t.Context()))
		events, err := r.deps.Events.Query(t.Context(), event.Query{Class: event.HTTP, Limit: 100})
		must(t, err)
		for _, e := range events {
			fields := make(map[string]string)
			for _, f := range e.Fields {
				fields[f.Key] = f.Value
			}
			got[fields["target"]] = fields["host_name"]
		}
		return len(events) >= 3
	})
	want := map[string]string{"/person": "pc77.example.org", "/stranger": "", "/nameless": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("host names by target (-want +got):\n%s", diff)
	}
}
