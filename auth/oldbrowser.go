package auth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// BrowserConfig is the oldest version of a browser that people are not asked to renew (I-09).
type BrowserConfig struct {
	// Name is chrome, edge, firefox, opera or safari. Chromium counts as chrome.
	Name string `yaml:"name"`
	// Oldest is the first number of the oldest version, such as 128.
	Oldest int `yaml:"oldest"`
}

// browserSigns are the words in a User-Agent before a version, with the browser that they mean. Each browser names those after
// it too, to be served what they are.
func browserSigns() []struct{ sign, name string } {
	return []struct{ sign, name string }{{"Edg/", "edge"}, {"EdgA/", "edge"}, {"EdgiOS/", "edge"}, {"OPR/", "opera"}, {"Firefox/", "firefox"},
		{"FxiOS/", "firefox"}, {"CriOS/", "chrome"}, {"Chromium/", "chrome"}, {"Chrome/", "chrome"}, {"Version/", "safari"}}
}

func browserNames() []string { return []string{"chrome", "edge", "firefox", "opera", "safari"} }

// browserOf reads which browser a User-Agent says it is, and the first number of its version. It is the browser's own word: good for
// telling honest people that theirs is old, and for nothing else.
func browserOf(agent string) (name string, version int) {
	for _, s := range browserSigns() {
		_, rest, found := strings.Cut(agent, s.sign)
		if !found || s.name == "safari" && !strings.Contains(rest, "Safari/") {
			continue
		}
		digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
		if n, err := strconv.Atoi(digits); err == nil && len(digits) < 6 {
			return s.name, n
		}
		return s.name, 0
	}
	return "", 0
}

// OldBrowser tells whether a User-Agent says it is a browser older than the configuration wants (I-09). What is not known
// is not called old.
func (a *Auth) OldBrowser(agent string) bool {
	name, version := browserOf(agent)
	return slices.ContainsFunc(a.cfg.Load().Browsers, func(b BrowserConfig) bool { return b.Name == name && version > 0 && version < b.Oldest })
}

func (c Config) validateBrowsers(report func(path, format string, args ...any)) {
	for i, b := range c.Browsers {
		path := fmt.Sprintf("browsers[%d]", i)
		oneOf(report, path+".name", b.Name, browserNames()...)
		between(report, path+".oldest", b.Oldest, 1, 99_999)
		if slices.ContainsFunc(c.Browsers[:i], func(other BrowserConfig) bool { return other.Name == b.Name }) {
			report(path+".name", "%s is named twice; keep one", b.Name)
		}
	}
}
