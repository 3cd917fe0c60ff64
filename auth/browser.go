package auth

import (
	"regexp"
	"strings"
)

// Browser is what a User-Agent calls itself, in two words that people know; both are empty for what is not known.
func Browser(agent string) (name, system string) {
	// Each names the ones after it too, to be served what they are.
	for _, b := range []struct{ sign, name string }{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(agent, b.sign) {
			name = b.name
			break
		}
	}
	for _, s := range []struct{ sign, name string }{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
		{"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, s.sign) {
			system = s.name
			break
		}
	}
	return name, system
}

// browserWords is what a mail says of a browser: the words of Browser, or else the product that it calls itself, as in curl/8.5.0.
// Nothing else of it: strangers cause mails, and would have us deliver their words, and addresses that mail programs make links of.
func (a *Auth) browserWords(lang, agent string) string {
	if name, system := Browser(agent); name != "" && system != "" {
		return a.texts.Text(lang, "page.browser", "browser", name, "system", system)
	}
	first, _, _ := strings.Cut(agent, " ")
	if regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,30}/[0-9][0-9.]{0,15}$`).MatchString(first) {
		return first
	}
	return ""
}
