package pattern_test

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// rule is what these tests read of a rule: its operator. It is no parser of SecLang.
type rule struct {
	id       string
	argument string
	response bool
}

// rulesOf returns the rules of the published Core Rule Set that use the operator, in the order of the files.
func rulesOf(t testing.TB, operator string) []rule {
	t.Helper()
	names, err := fs.Glob(coreruleset.FS, "@owasp_crs/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	id := regexp.MustCompile(`\bid:(\d+)`)
	var all []rule
	seen := make(map[string]bool)
	for _, name := range names {
		text, err := fs.ReadFile(coreruleset.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		last := ""
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
			if found := id.FindStringSubmatch(line); found != nil {
				last = found[1]
			}
			argument, ok := argumentOf(strings.TrimSpace(line), operator)
			if !ok || seen[argument] || strings.Contains(argument, "%{") {
				continue
			}
			seen[argument] = true
			all = append(all, rule{id: last, argument: argument, response: strings.HasPrefix(path.Base(name), "RESPONSE-")})
		}
	}
	return all
}

// argumentOf returns the text of the operator in a SecRule line.
func argumentOf(line, operator string) (string, bool) {
	if !strings.HasPrefix(line, "SecRule ") {
		return "", false
	}
	for _, begin := range []string{` "@`, ` "!@`} {
		_, rest, ok := strings.Cut(line, begin+operator+" ")
		if !ok {
			continue
		}
		for i := 0; i < len(rest); i++ {
			if rest[i] == '"' && rest[i-1] != '\\' {
				return strings.ReplaceAll(rest[:i], `\"`, `"`), true
			}
		}
	}
	return "", false
}

func TestTheTestsReadTheRules(t *testing.T) {
	if got := rulesOf(t, "rx"); len(got) < 250 {
		t.Errorf("read %d expressions, want at least 250", len(got))
	}
	if got := rulesOf(t, "pm"); len(got) < 5 {
		t.Errorf("read %d phrase operators, want at least 5", len(got))
	}
}
