package pages

import "strings"

// browser is what a User-Agent calls itself, in two words that people know; what is not known is shown as it is, shortened.
func (p *Pages) browser(x *exchange, agent string) string {
	name, system := "", ""
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
	if name != "" && system != "" {
		return p.text(x, "page.browser", "browser", name, "system", system)
	}
	if runes := []rune(agent); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return agent
}
