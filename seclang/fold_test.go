package seclang_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang"
)

// A rule that asks for a site's variable is left out only where nothing can change the variable while requests are judged. begin
// compares with the plain way, which leaves nothing out.
func TestConstantsThatRulesChange(t *testing.T) {
	const ask = `SecRule TX:level "@ge 2" "id:1,phase:1"
SecRule TX:level "@lt 2" "id:2,phase:1,skipAfter:END"
SecRule ARGS "@rx ." "id:3,phase:1"
SecMarker END
SecRule &TX:level "@eq 0" "id:4,phase:1"
SecRule TX:level "@gt %{tx.most}" "id:5,phase:1,skip:1"
SecAction "id:6,phase:1"
SecRule TX:level "@ge 2" "id:7,phase:2,chain"
SecRule ARGS "@rx ." "t:none"
`
	for _, c := range []struct{ name, before, want string }{
		{"nothing", "", "2 6"},
		{"a rule", `SecRule ARGS:q "@rx x" "id:90,phase:1,nolog,setvar:tx.Level=3"`, "90 1 3 5 7"},
		{"a rule that does not match", `SecRule ARGS:q "@rx nothing" "id:90,phase:1,nolog,setvar:tx.level=3"`, "2 6"},
		{"a rule that never matches", `SecRule &TX:level "@eq 0" "id:90,phase:1,nolog,setvar:tx.level=3"`, "2 6"},
		{"a rule that another one's change lets match", `SecAction "id:91,phase:1,nolog,setvar:tx.most=0"
SecRule TX:most "@lt 2" "id:90,phase:1,nolog,setvar:tx.level=3"`, "91 90 1 3 5 7"},
		{"a link of a chain", `SecRule ARGS:q "@rx x" "id:90,phase:1,nolog,chain"
SecRule ARGS:q "@rx ." "setvar:tx.level=+2"`, "90 1 3 5 7"},
		{"a name made of the request", `SecRule ARGS:q "@rx x" "id:90,phase:1,nolog,setvar:tx.%{args.n}=3"`, "90 1 3 5 7"},
		{"another name made of the request", `SecRule ARGS:q "@rx x" "id:90,phase:1,nolog,setvar:tx.of_%{args.n}=3"`, "90 2 6"},
		{"one that goes", `SecAction "id:90,phase:1,nolog,setvar:!tx.level"`, "90 3 4 6"},
		{"a target that goes", `SecAction "id:90,phase:1,nolog,ctl:ruleRemoveTargetById=4;TX:level"`, "90 2 4 6"},
	} {
		tx := begin(t, c.before+"\n"+ask, asked{method: "GET", uri: "/?q=x&n=level", site: seclang.SiteConfig{Variables: []seclang.Variable{
			{Name: "LEVEL", Value: "1"}, {Name: "most", Value: "2"}}}})
		var ids []string
		for _, m := range tx.Matches() {
			ids = append(ids, strconv.Itoa(m.Rule.ID))
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%s: got rules %s, want %s", c.name, got, c.want)
		}
	}
}
