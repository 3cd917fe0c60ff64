package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/gateway"
)

func TestMendCookie(t *testing.T) {
	app := &gateway.App{SessionCookies: []string{"SID", "RT_SID_*"}, RememberCookies: []string{"remember_*"}}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var remember gateway.SiteConfig
	remember.Cookies.RememberMe = true
	var strict gateway.SiteConfig
	strict.Cookies.SameSite = "strict"
	var off gateway.SiteConfig
	off.Cookies.SameSite = "off"
	for _, c := range []struct {
		name  string
		cfg   gateway.SiteConfig
		plain bool
		line  string
		want  string
	}{
		{name: "bare", line: "a=1", want: "a=1; Secure; SameSite=Lax"},
		{name: "complete", line: "a=1; Path=/; Secure; HttpOnly; SameSite=Strict", want: "a=1; Path=/; Secure; HttpOnly; SameSite=Strict"},
		{name: "odd spelling", line: "a=1;secure;SAMESITE=lax", want: "a=1;secure;SAMESITE=lax"},
		{name: "none stays, but is secured", line: "a=1; SameSite=None", want: "a=1; SameSite=None; Secure"},
		{name: "ends in a semicolon", line: "a=1; ", want: "a=1; Secure; SameSite=Lax"},
		{name: "word in the value", line: "a=secure", want: "a=secure; Secure; SameSite=Lax"},
		{name: "readable by scripts stays so", line: "XSRF-TOKEN=1; Path=/", want: "XSRF-TOKEN=1; Path=/; Secure; SameSite=Lax"},
		{name: "session", line: "SID=1; Path=/", want: "SID=1; Path=/; Secure; HttpOnly; SameSite=Lax"},
		{name: "session by pattern", line: "RT_SID_x.80=1", want: "RT_SID_x.80=1; Secure; HttpOnly; SameSite=Lax"},
		{name: "longer than the session's name", line: "SIDE=1", want: "SIDE=1; Secure; SameSite=Lax"},
		{name: "strict", cfg: strict, line: "a=1", want: "a=1; Secure; SameSite=Strict"},
		{name: "off", cfg: off, line: "a=1", want: "a=1; Secure"},
		{name: "plain", plain: true, line: "a=1", want: "a=1; SameSite=Lax"},
		{name: "__Host- of the application's", line: "__Host-a=1; Secure; Path=/", want: "__Host-a=1; Secure; Path=/; SameSite=Lax"},
		{name: "persistent session (D-18)", line: "SID=1; Max-Age=3600; Path=/", want: "SID=1; Path=/; Secure; HttpOnly; SameSite=Lax"},
		{name: "persistent by date", line: "remember_web=1; expires=Thu, 01 Jan 2037 00:00:00 GMT; Path=/", want: "remember_web=1; Path=/; Secure; HttpOnly; SameSite=Lax"},
		{name: "persistent by an old date format", line: "SID=1; Expires=Thu, 01-Jan-2037 00:00:00 GMT", want: "SID=1; Secure; HttpOnly; SameSite=Lax"},
		{name: "persistent by nonsense", line: "SID=1; Expires=tomorrow", want: "SID=1; Secure; HttpOnly; SameSite=Lax"},
		{name: "deleted by age", line: "SID=; Max-Age=0; Expires=Thu, 01 Jan 2037 00:00:00 GMT", want: "SID=; Max-Age=0; Expires=Thu, 01 Jan 2037 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax"},
		{name: "deleted by date", line: "SID=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", want: "SID=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax"},
		{name: "persistent, not a session", line: "lang=de; Max-Age=3600", want: "lang=de; Max-Age=3600; Secure; SameSite=Lax"},
		{name: "remember-me allowed", cfg: remember, line: "SID=1; Max-Age=3600", want: "SID=1; Max-Age=3600; Secure; HttpOnly; SameSite=Lax"},
		{name: "ours", line: "__Host-doorward=x; Path=/; Secure", want: ""},
		{name: "ours in another case", line: "__host-DOORWARD=x", want: ""},
		{name: "ours with blanks", line: " __Host-doorward =x", want: ""},
		{name: "the console's", line: "__Host-doorward-console=x", want: ""},
		{name: "ours without a value", line: "__Host-doorward", want: ""},
		{name: "ours as a nameless value", line: "=__Host-doorward=x", want: ""},
		{name: "not ours", line: "doorward=1", want: "doorward=1; Secure; SameSite=Lax"},
	} {
		if got := gateway.MendCookie(c.line, c.cfg, app, !c.plain, now); got != c.want {
			t.Errorf("%s: %q\n got %q\nwant %q", c.name, c.line, got, c.want)
		}
	}
}

// FuzzCookies: nothing of ours is left, in a request or an answer, and what is the application's stays.
func FuzzCookies(f *testing.F) {
	for _, seed := range []string{"a=1", "__Host-doorward=t", "a=1; __Host-doorward=t; b=2", `a="x; __Host-doorward=t; b=y"`, "__host-doorward=t", "a=1,__Host-doorward=t", "%5f_Host-doorward=t", "; ;", "=", "a", "__Host-doorward-console=x;__Host-doorward=y",
		"SID=1; Max-Age=1; Secure", "SID=1; Expires=x; SameSite=None"} {
		f.Add(seed, "")
		f.Add("z=0", seed)
	}
	app := &gateway.App{SessionCookies: []string{"SID"}}
	f.Fuzz(func(t *testing.T, first, second string) {
		h := http.Header{"Cookie": {first}}
		if second != "" {
			h["Cookie"] = append(h["Cookie"], second)
		}
		before := (&http.Request{Header: h.Clone()}).Cookies()
		if token := gateway.SessionToken(h); token != "" && !strings.Contains(first+second, gateway.CookieName+"="+token) {
			t.Fatalf("%q, %q: token %q from nowhere", first, second, token)
		}
		gateway.CleanCookies(h)
		if len(h["Cookie"]) > 1 {
			t.Fatalf("%d Cookie lines are left", len(h["Cookie"]))
		}
		if left := gateway.SessionToken(h); left != "" {
			t.Fatalf("%q, %q: %q is left in %q", first, second, left, h["Cookie"])
		}
		checkCookiesStay(t, first+second, before, (&http.Request{Header: h}).Cookies())
		mended := gateway.MendCookie(first, gateway.SiteConfig{}, app, true, time.Now())
		if mended == "" {
			return
		}
		got, err := http.ParseSetCookie(mended)
		if want, wantErr := http.ParseSetCookie(first); wantErr == nil {
			if err != nil || got.Name != want.Name || got.Value != want.Value || got.Path != want.Path || got.Domain != want.Domain {
				t.Fatalf("%q became %q: %v", first, mended, err)
			}
			if !got.Secure || got.SameSite == 0 && !strings.Contains(strings.ToLower(first), "samesite") || got.Name == "SID" && !got.HttpOnly {
				t.Fatalf("%q became %q, which lacks something", first, mended)
			}
			if strings.EqualFold(got.Name, gateway.CookieName) {
				t.Fatalf("%q got through", first)
			}
		}
	})
}

func checkCookiesStay(t *testing.T, raw string, before, after []*http.Cookie) {
	t.Helper()
	if strings.Contains(raw, ",") {
		return // parsers that split at commas see other cookies than this one
	}
	names := func(cookies []*http.Cookie) []string {
		kept := []string{}
		for _, c := range cookies {
			if name := strings.ToLower(c.Name); !strings.Contains(name, "host-doorward") && !strings.ContainsAny(c.Name, "%.'_+$") {
				kept = append(kept, c.Name+"="+c.Value)
			}
		}
		return kept
	}
	for _, c := range after {
		if strings.HasPrefix(strings.ToLower(c.Name), "__host-doorward") {
			t.Fatalf("%s is left", c.Name)
		}
	}
	if diff := cmp.Diff(names(before), names(after)); diff != "" {
		t.Fatalf("%q: other cookies changed (-before +after):\n%s", raw, diff)
	}
}
