package auth_test

import (
	"testing"

	"github.com/doorward/doorward/auth"
	"github.com/doorward/doorward/store/storetest"
)

// I-09: people with an old browser are told so.
func TestOldBrowser(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.cfg.Browsers = []auth.BrowserConfig{{Name: "firefox", Oldest: 128}, {Name: "chrome", Oldest: 130}, {Name: "edge", Oldest: 131}, {Name: "safari", Oldest: 17}}
	f.restart()
	const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	for agent, want := range map[string]bool{
		"Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0":                                                        true,
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                        false,
		chrome + "Chrome/129.0.0.0 Safari/537.36":                                                                                       true,
		chrome + "Chrome/130.0.0.0 Safari/537.36":                                                                                       false,
		chrome + "Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0":                                                                         true,
		chrome + "Chrome/90.0.0.0 Safari/537.36 Edg/131.0.0.0":                                                                          false,
		chrome + "Chrome/90.0.0.0 Safari/537.36 OPR/76.0":                                                                               false, // not named
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Safari/605.1.15":         true,
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15":         false,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/100.0 Mobile Safari/605": true,
		"curl/8.0": false, "": false, "Firefox/": false, "Firefox/x": false, "Firefox/99999999999999999999": false, "Version/1": false,
	} {
		if got := f.OldBrowser(agent); got != want {
			t.Errorf("%q is old: %t, want %t", agent, got, want)
		}
	}
}

func TestBrowsersConfig(t *testing.T) {
	var c auth.Config
	c.Browsers = []auth.BrowserConfig{{Name: "netscape", Oldest: 4}, {Name: "chrome"}, {Name: "chrome", Oldest: 130}}
	c.SetDefaults()
	problems := validate(c)
	if len(problems) != 3 {
		t.Errorf("problems %q, want an unknown name, a missing version and a name twice", problems)
	}
}
