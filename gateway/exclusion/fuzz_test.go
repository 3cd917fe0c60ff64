package exclusion_test

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/doorward/doorward/gateway"
	"github.com/doorward/doorward/gateway/exclusion"
	"github.com/doorward/doorward/gateway/waf"
	"github.com/doorward/doorward/seclang/syntax"
)

// FuzzNarrowest: whatever a stranger calls a parameter or a path, an exclusion is about that name and that path only, and its YAML says the same.
func FuzzNarrowest(f *testing.F) {
	for _, seed := range [][2]string{{"ARGS:body", "/reply?body=x"}, {"ARGS:/.*/", "/"}, {"ARGS", "/a"}, {"ARGS:'x'", "/a%2fb"}, {"TX:0", "/a"}, {"MATCHED_VAR", "/"},
		{"&ARGS:x", "/"}, {"!ARGS:x", "/"}, {"XML:/*", "/x"}, {"REQUEST_URI", "/"}, {"ARGS:a\"}, {path: \"/", "/K%C3%A4se"}, {"ARGS:\xff", "/\x00"}, {"ARGS:a b", "/%zz"}, {"ARGS:ſ", "/ "}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, variable, target string) {
		all, not := exclusion.Read(finding(t, "R1", "", target, waf.Hit{Rule: 942100, Variable: variable})).Narrowest("")
		if len(all)+len(not) != 1 {
			t.Fatalf("got %+v and %+v, want one of them", all, not)
		}
		if len(all) == 0 {
			return
		}
		x := all[0]
		if x.Target == "" && x.Path == "/" || !strings.HasPrefix(x.Path, "/") {
			t.Errorf("%+v leaves out the whole site", x)
		}
		_, key, _ := strings.Cut(x.Target, ":")
		if read, err := syntax.ParseTarget(x.Target); x.Target != "" && (err != nil || read.Pattern != nil || read.Count || read.Exclude || read.Key != key) {
			t.Errorf("the target %q means %+v, %v", x.Target, read, err)
		}
		var written gateway.WAFExclusion
		if err := yaml.Unmarshal([]byte(x.YAML()), &written); err != nil {
			t.Fatalf("%s: %v", x.YAML(), err)
		}
		if again := written.Target; written.Path != x.Path || x.Parameter() != written.Parameter || x.Parameter() == "" && again != x.Target || written.Rules[0].First != x.Rule {
			t.Errorf("%s is read as %+v", x.YAML(), written)
		}
	})
}
