package pages

import "github.com/doorward/doorward/auth"

// browser is what a User-Agent calls itself, in two words that people know; what is not known is shown as it is, shortened.
func (p *Pages) browser(x *exchange, agent string) string {
	name, system := auth.Browser(agent)
	if name != "" && system != "" {
		return p.text(x, "page.browser", "browser", name, "system", system)
	}
	if runes := []rune(agent); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return agent
}
