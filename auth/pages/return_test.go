package pages_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth/pages"
)

func TestSafeReturn(t *testing.T) {
	for raw, want := range map[string]string{
		"/":                               "/",
		"/ticket?id=1&q=a+b":              "/ticket?id=1&q=a+b",
		"/a/b/":                           "/a/b/",
		"/a%20b?x=%2F%2F":                 "/a%20b?x=%2F%2F",
		"/Ticket/Display.html?id=3":       "/Ticket/Display.html?id=3",
		"/straße?q=ö":                     "/stra%C3%9Fe?q=%C3%B6",
		"/.doorward/devices":              "/.doorward/devices",
		"/?next=https://a.example/":       "/?next=https://a.example/",
		"/x?return_to=/.doorward/sign-in": "/x?return_to=/.doorward/sign-in",
		"/.well-known/x":                  "/.well-known/x",
		"":                                "/",
		"ticket":                          "/",
		"https://evil.example/":           "/",
		"//":                              "/",
		"//evil.example/":                 "/",
		"///evil.example/":                "/",
		`/\evil.example/`:                 "/",
		`\/evil.example/`:                 "/",
		"/\t/evil.example":                "/",
		"/\n/evil.example":                "/",
		"\t//evil.example":                "/",
		" //evil.example":                 "/",
		"/%2f/evil.example":               "/",
		"/%2Fevil.example":                "/",
		"/%5cevil.example":                "/",
		"/%09/evil.example":               "/",
		"/.//evil.example":                "/",
		"/..//evil.example":               "/",
		"/%2e%2e//evil.example":           "/",
		"/a/../../x":                      "/",
		"/a/./b":                          "/",
		"/a//b":                           "/",
		"/%252fevil.example":              "/",
		"javascript:alert(1)":             "/",
		"/x#y":                            "/",
		"/x\r\nSet-Cookie: a=b":           "/",
		"/x%0d%0aSet-Cookie:%20a=b":       "/",
		"/x\x00":                          "/",
		"/%zz":                            "/",
		"/.doorward/sign-in":              "/",
		"/.doorward/sign-in?return_to=/x": "/",
		"/.doorward/sign-out":             "/",
		"/.doorward/sign-in/":             "/",
		"/.DOORWARD/Sign-In":              "/",
		"/.doorward/%73ign-in":            "/",
		"/%2edoorward/sign-in":            "/",
		"/.doorward/./sign-in":            "/",
		"/" + strings.Repeat("x", 3000):   "/",
		"/?" + strings.Repeat("ö", 1000):  "/",
		"/" + strings.Repeat("x", 2047):   "/" + strings.Repeat("x", 2047),
		"@evil.example":                   "/",
		"/@evil.example":                  "/@evil.example",
		"/<script>":                       "/%3Cscript%3E",
		"/a;b":                            "/a;b",
		"/x?y=\\evil":                     "/",
		"http:/x":                         "/",
		"?x":                              "/",
		"/?":                              "/?",
	} {
		if got := pages.SafeReturn(raw); got != want {
			t.Errorf("SafeReturn(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestSignInURL(t *testing.T) {
	for returnTo, want := range map[string]string{
		"/ticket?id=1&q=ö":   "/.doorward/sign-in?return_to=%2Fticket%3Fid%3D1%26q%3D%25C3%25B6",
		"/":                  "/.doorward/sign-in?return_to=%2F",
		"//evil.example":     "/.doorward/sign-in?return_to=%2F",
		"/.doorward/sign-in": "/.doorward/sign-in?return_to=%2F",
	} {
		if got := pages.SignInURL(returnTo); got != want {
			t.Errorf("SignInURL(%q) = %q, want %q", returnTo, got, want)
		}
	}
}

// FuzzSafeReturn holds what makes an answer safe, whatever was asked for.
func FuzzSafeReturn(f *testing.F) {
	for _, s := range []string{"/", "/a?b=c", "//x", `/\x`, "/%2f/x", "/.//x", "/.doorward/sign-in", "/%2e%64oorward/sign-in", "https://x/", "/\t/x",
		"/a#b", "/ö?ö", "/%c3%28", "/\xff", "/a/%2e%2e/b", "/?//x", "/x?\\", "/;/x", "/%00"} {
		f.Add(s)
	}
	base, err := url.Parse("https://desk.example/.doorward/sign-in?x=y")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := pages.SafeReturn(raw)
		if !strings.HasPrefix(got, "/") || len(got) > 1 && strings.ContainsAny(got[1:2], `/\`) {
			t.Errorf("SafeReturn(%q) = %q, which names a host", raw, got)
		}
		for _, c := range []byte(got) {
			if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
				t.Errorf("SafeReturn(%q) = %q, with the byte %#x", raw, got, c)
			}
		}
		u, err := base.Parse(got)
		if err != nil {
			t.Fatalf("SafeReturn(%q) = %q: %v", raw, got, err)
		}
		if u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil {
			t.Errorf("SafeReturn(%q) = %q, which leads to %v", raw, got, u)
		}
		if strings.HasPrefix(strings.ToLower(path.Clean(u.Path)), "/.doorward/sign-") {
			t.Errorf("SafeReturn(%q) = %q, which is the sign-in page", raw, got)
		}
		if again := pages.SafeReturn(got); again != got {
			t.Errorf("SafeReturn(%q) = %q, and of that %q", raw, got, again)
		}
		if back, err := url.Parse(pages.SignInURL(raw)); err != nil || pages.SafeReturn(back.Query().Get("return_to")) != got {
			t.Errorf("SignInURL(%q) = %q, which returns to another page than %q", raw, pages.SignInURL(raw), got)
		}
	})
}
