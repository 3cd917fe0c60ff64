package facts

import (
	"fmt"
	"strings"
)

// aptProxies reads the proxies of apt's configuration: the files of apt.conf.d by name, then apt.conf; the last one counts.
func aptProxies(h *Host) ([]Setting, error) {
	files, err := h.Glob("/etc/apt/apt.conf.d/*")
	if err != nil {
		return nil, err
	}
	proxies := map[string]Setting{}
	for _, file := range append(files, "/etc/apt/apt.conf") {
		if info, err := h.Stat(file); err != nil || !info.Mode().IsRegular() || !aptReads(file) {
			continue
		}
		text, err := h.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, a := range parseAptConf(string(text)) {
			switch name := strings.ToLower(a.name); name {
			case "acquire::http::proxy", "acquire::https::proxy":
				proxies[name] = Setting{noUserInfo(a.value), fmt.Sprintf("%s:%d", file, a.line)}
			}
		}
	}
	var all []Setting
	for _, name := range []string{"acquire::http::proxy", "acquire::https::proxy"} {
		if s := proxies[name]; s.Value != "" {
			all = append(all, s)
		}
	}
	return all, nil
}

// aptReads says whether apt reads a file of this name: one without an extension, or with conf.
func aptReads(file string) bool {
	name := file[strings.LastIndex(file, "/")+1:]
	return strings.HasSuffix(name, ".conf") || !strings.Contains(name, ".")
}

// aptSetting is one assignment of apt's configuration.
type aptSetting struct {
	name, value string
	line        int
}

// parseAptConf reads Acquire::http::Proxy "…"; and Acquire { http { Proxy "…"; }; };
func parseAptConf(text string) []aptSetting {
	var all []aptSetting
	var scopes []string
	var words []string
	line := 1
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch ch := text[i]; {
		case ch == '\n':
			line++
		case strings.HasPrefix(rest, "//"), ch == '#':
			i += lengthTo(rest, "\n") - 1
		case strings.HasPrefix(rest, "/*"):
			n := lengthTo(rest, "*/")
			line += strings.Count(rest[:n], "\n")
			i += n + 1
		case ch == '"':
			n := lengthTo(rest[1:], `"`)
			words = append(words, rest[1:1+n])
			line += strings.Count(rest[1:1+n], "\n")
			i += n + 1
		case ch == '{':
			scopes = append(scopes, strings.Join(words, ""))
			words = nil
		case ch == '}':
			scopes, words = scopes[:max(0, len(scopes)-1)], nil
		case ch == ';':
			if len(words) == 2 {
				all = append(all, aptSetting{strings.Join(append(scopes[:len(scopes):len(scopes)], words[0]), "::"), words[1], line})
			}
			words = nil
		case ch == ' ' || ch == '\t' || ch == '\r':
		default:
			n := strings.IndexAny(rest, " \t\r\n{};\"")
			if n < 0 {
				n = len(rest)
			}
			words = append(words, rest[:n])
			i += n - 1
		}
		if len(scopes) > 20 || len(words) > 100 || len(all) > 10_000 {
			return all // no configuration of apt looks so
		}
	}
	return all
}

// lengthTo is where end begins in text, or the whole length.
func lengthTo(text, end string) int {
	if i := strings.Index(text, end); i >= 0 {
		return i
	}
	return len(text)
}
