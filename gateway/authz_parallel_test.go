package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/gateway"
)

// TestAuthzParallel: questions are answered with memory that was another's a moment ago; nothing of that may show.
func TestAuthzParallel(t *testing.T) {
	t.Parallel()
	r := start(t, trusting("127.0.0.1/32"), authzSite(t))
	type person struct {
		name   string
		cookie *http.Cookie
	}
	people := []person{{}}
	for i, role := range []auth.Role{auth.User, auth.Agent, auth.Admin} {
		name := fmt.Sprintf("person%d", i)
		cookie, _ := r.signInAs(name, role)
		people = append(people, person{name, cookie})
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 60 {
				p := people[(i+n)%len(people)]
				q := question{cookie: p.cookie, header: http.Header{"X-Forwarded-For": {fmt.Sprintf("192.0.2.%d", i)}}}
				want, location := 200, ""
				switch n % 4 {
				case 1:
					q.mode = "mode=redirect"
				case 2:
					q.uri = "/admin"
				case 3:
					q.uri = "-"
				}
				switch {
				case q.uri == "-":
					want = 400
				case p.name == "" && q.mode != "":
					want, location = 302, "https://localhost/.doorward/sign-in?return_to=%2F"
				case p.name == "":
					want = 401
				case q.uri == "/admin" && p.name != "person2":
					want = 403
				}
				res := r.ask(q)
				user, cookies := res.Header.Get("X-Doorward-User"), strings.Join(res.Header["Cookie"], "")
				if wantUser := map[bool]string{true: p.name}[want == 200]; res.StatusCode != want || user != wantUser || cookies != "" || res.Header.Get("Location") != location {
					t.Errorf("%q at %q %q: got %d, %q, %q, Cookie %q; want %d", p.name, q.uri, q.mode, res.StatusCode, user, res.Header.Get("Location"), cookies, want)
				}
			}
		})
	}
	wg.Wait()
}

// TestAuthzCostsLittle: a question that is answered yes makes next to nothing for the collector.
func TestAuthzCostsLittle(t *testing.T) {
	r := start(t, trusting("127.0.0.1/32"), authzSite(t))
	agent, _ := r.signInAs("anna", auth.Agent)
	cookies := []string{"SID=1; " + gateway.CookieName + "=" + agent.Value}
	req := &http.Request{Method: http.MethodGet, RequestURI: "/.doorward/authz", Host: "doorward", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:40000",
		Header: http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"localhost"}, "X-Forwarded-Uri": {"/desk"}, "X-Forwarded-For": {"192.0.2.7"}}}
	w := &emptyWriter{h: make(http.Header, 8)}
	wantAllocations(t, 6, func() {
		clear(w.h)
		req.Header["Cookie"] = cookies
		r.ServeHTTP(w, req)
	})
	if w.status != http.StatusOK {
		t.Errorf("got %d, want 200", w.status)
	}
}
