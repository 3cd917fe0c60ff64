package pages_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/auth"
)

// doors are all that takes something from a browser.
func doors() []string {
	doors := []string{"/.doorward/sign-in", "/.doorward/sign-out", "/.doorward/step-up", "/.doorward/link/release", "/.doorward/link/not-me"}
	for _, step := range []string{"/cancel", "/factor", "/held", "/password", "/enrol"} {
		doors = append(doors, "/.doorward/sign-in"+step)
	}
	for _, name := range []string{"sign-in-options", "sign-in", "factor-options", "factor", "enrol-options", "enrol", "confirm-options", "confirm"} {
		doors = append(doors, "/.doorward/passkey/"+name)
	}
	for _, name := range []string{"", "/confirm", "/password", "/passkey", "/passkey/rename", "/passkey/remove", "/app", "/app/remove", "/recovery",
		"/sessions/end", "/sessions/end-others", "/addresses/forget", "/language"} {
		doors = append(doors, account+name)
	}
	return doors
}

// FuzzDoors: whatever a stranger sends, to whichever door and with whichever cookies, no answer is a 5xx and no account is
// another than before.
func FuzzDoors(f *testing.F) {
	for i := range doors() {
		for _, body := range []string{"", "username=agent&password=x&return_to=%2F", "c=" + strings.Repeat("A", 43) + "&do=release", "do=begin&code=123456",
			`{"ceremony":"x","response":{"id":"AA","rawId":"AA","type":"public-key","response":{}}}`, `{"account":true}`, "{", "\x00\xff", "%zz"} {
			f.Add(uint8(i), strings.HasPrefix(body, "{"), "return_to=%2F&c=x&factor=passkey&next=/x&done=password", strings.Repeat("A", 43), body)
		}
	}
	s := newSite(f, demanding("any"))
	turn := 0
	state := func() any {
		list, err := s.auth.Principals(context.Background())
		if err != nil {
			s.t.Fatal(err)
		}
		var factors []auth.FactorSummary
		for _, p := range list {
			f, err := s.auth.Factors(context.Background(), p.ID)
			if err != nil {
				s.t.Fatal(err)
			}
			factors = append(factors, f)
		}
		sessions, err := s.auth.ListSessions(context.Background(), "")
		if err != nil {
			s.t.Fatal(err)
		}
		return []any{list, factors, len(sessions)}
	}
	before := state()
	list := doors()
	f.Fuzz(func(t *testing.T, door uint8, isJSON bool, query, token, text string) {
		target := list[int(door)%len(list)]
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := request(target, nil)
			r.Method, r.URL.RawQuery = method, query
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
			if isJSON {
				r.Header.Set("Content-Type", "application/json")
			}
			for _, name := range []string{cookie, pendingName, cookie + "-device", cookie + "-proof"} {
				r.AddCookie(&http.Cookie{Name: name, Value: token})
			}
			s.t = t
			turn++ // three wrong sign-ins in a row would close the doors
			res := s.do(r, fmt.Sprintf("10.%d.%d.%d", turn>>16&255, turn>>8&255, turn&255))
			if res.StatusCode >= 500 {
				t.Errorf("%s %s?%q %q: %d", method, target, query, text, res.StatusCode)
			}
			if to := res.Header.Get("Location"); to != "" && !slices.Contains([]string{"/"}, to[:1]) || strings.HasPrefix(to, "//") {
				t.Errorf("%s %s?%q %q: sent to %q", method, target, query, text, to)
			}
		}
		if diff := cmp.Diff(before, state()); diff != "" {
			t.Errorf("%s?%q %q changed an account:\n%s", target, query, text, diff)
		}
	})
}
