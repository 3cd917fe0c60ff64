package pages_test

import (
	"io"
	"strings"
	"testing"

	"github.com/doorward/doorward/auth"
)

// I-09: the sign-in page asks people with an old browser to renew it, and nobody else.
func TestOldBrowserIsTold(t *testing.T) {
	s := newSite(t, auth.Config{Browsers: []auth.BrowserConfig{{Name: "firefox", Oldest: 128}}})
	for agent, want := range map[string]bool{"Mozilla/5.0 (X11; rv:115.0) Gecko/20100101 Firefox/115.0": true, "Mozilla/5.0 (X11; rv:140.0) Gecko/20100101 Firefox/140.0": false} {
		r := getRequest("/.doorward/sign-in")
		r.Header.Set("User-Agent", agent)
		text, err := io.ReadAll(s.do(r, "192.0.2.1").Body)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), `id="old-browser"`); got != want {
			t.Errorf("%s: told %t, want %t", agent, got, want)
		}
	}
}
