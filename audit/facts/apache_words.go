package facts

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// holds decides a section that depends on modules, definitions, the version or a file.
func (p *apacheParser) holds(d apacheDirective) (bool, error) {
	arg, not := "", false
	if len(d.args) > 0 {
		arg, not = strings.CutPrefix(d.args[0], "!")
	}
	switch d.name {
	case "ifmodule":
		return p.loaded[arg] != not, nil
	case "ifdefine":
		return p.defined[arg] != not, nil
	case "iffile":
		name := arg
		if !path.IsAbs(name) {
			name = path.Join(p.root, name)
		}
		return p.h.Exists(name) != not, nil
	case "ifversion":
		return versionHolds(d.raw)
	}
	return !not, nil // IfDirective and IfSection ask what the program knows: a current one knows what is configured
}

var versionTest = regexp.MustCompile(`^\s*(!?)\s*(=|==|>|>=|<|<=|~)?\s*"?(/?)([^"/\s]+)/?"?\s*$`)

func versionHolds(raw string) (bool, error) {
	m := versionTest.FindStringSubmatch(raw)
	if m == nil {
		return false, fmt.Errorf("IfVersion %s is not understood", raw)
	}
	not, op, want := m[1] == "!", m[2], m[4]
	if op == "~" || m[3] == "/" {
		re, err := regexp.Compile(want)
		if err != nil {
			return false, err
		}
		return re.MatchString(assumedApache) != not, nil
	}
	c := compareNumbers(assumedApache, want)
	return map[string]bool{"": c == 0, "=": c == 0, "==": c == 0, ">": c > 0, ">=": c >= 0, "<": c < 0, "<=": c <= 0}[op] != not, nil
}

// compareNumbers compares dotted numbers; what is not written is 0.
func compareNumbers(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		var m, n int
		if i < len(x) {
			m, _ = strconv.Atoi(x[i])
		}
		if i < len(y) {
			n, _ = strconv.Atoi(y[i])
		}
		if m != n {
			return m - n
		}
	}
	return 0
}

// apacheWords splits arguments as ap_getword_conf does: quotes of both kinds, a backslash before a quote or a backslash.
func apacheWords(text string) []string {
	var words []string
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		quote := text[0]
		if quote != '"' && quote != '\'' {
			end := strings.IndexAny(text, " \t")
			if end < 0 {
				end = len(text)
			}
			words = append(words, text[:end])
			text = text[end:]
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(text) && text[i] != quote; i++ {
			if text[i] == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\') {
				i++
			}
			b.WriteByte(text[i])
		}
		words = append(words, b.String())
		text = text[min(i+1, len(text)):]
	}
	return words
}

// apacheSource is the source file by which <IfModule> may name a module: mod_ssl.c for ssl_module.
func apacheSource(id string) string {
	name := strings.TrimSuffix(id, "_module")
	if mpm, ok := strings.CutPrefix(name, "mpm_"); ok {
		return mpm + ".c"
	}
	return "mod_" + name + ".c"
}
