package facts

import (
	"regexp"
	"strings"
)

// userInfo is the name and password in an address.
var userInfo = regexp.MustCompile(`://[^/\s]*@`)

// noUserInfo takes names and passwords out of the addresses in a text.
func noUserInfo(text string) string { return userInfo.ReplaceAllString(text, "://…@") }

// shownSetting is what a report may tell of a setting of PHP: that a password is set, and addresses without theirs.
func shownSetting(name, value string) string {
	name = strings.ToLower(name)
	for _, word := range []string{"password", "passwd", "_pw", "secret", "token", "api_key", "apikey", "license", "credential"} {
		if value != "" && strings.Contains(name, word) {
			return "(set)"
		}
	}
	if strings.Contains(value, "://") {
		value, _, _ = strings.Cut(noUserInfo(value), "?") // session.save_path has auth= there
	}
	return value
}
