package syntax_test

import (
	"strings"
	"testing"
	"testing/fstest"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/doorward/doorward/seclang/syntax"
)

// parse reads one text as rules.conf.
func parse(text string) (*syntax.Rules, error) {
	return syntax.Parse(syntax.Source{Name: "rules.conf", Text: text})
}

func TestCoreRuleSetIsRead(t *testing.T) {
	rules, err := syntax.Parse(
		syntax.Source{Name: "@coraza.conf-recommended", Files: coreruleset.FS},
		syntax.Source{Name: "@crs-setup.conf.example", Files: coreruleset.FS},
		syntax.Source{Name: "@owasp_crs/*.conf", Files: coreruleset.FS})
	if err != nil {
		t.Fatal(err)
	}
	count, markers := 0, 0
	for _, r := range rules.Items {
		if r.Marker != "" {
			markers++
		} else {
			count++
		}
	}
	if count != 631 || markers != 30 {
		t.Errorf("read %d rules and %d markers; want 631 and 30", count, markers)
	}
	if c := rules.Settings.Components; len(c) != 1 || c[0] != "OWASP_CRS/4.25.0" {
		t.Errorf("components: got %q", c)
	}
	for _, n := range rules.Notes {
		if !strings.Contains(n.Message, "has no effect") || n.Place.File != "@coraza.conf-recommended" {
			t.Errorf("note: %v", n)
		}
	}
}

func TestRuleIsReadWhole(t *testing.T) {
	rules, err := parse(`
# a comment
SecDefaultAction "phase:1,log,auditlog,deny,status:406"
SecRule REQUEST_HEADERS:User-Agent|!ARGS:/^a|b\/c/|&ARGS "!@streq %{tx.wanted} \"x\"" \
    # a comment between
    "id:'7',\
    phase:request,\
    t:none,t:lowercase,t:urlDecodeUni,\
    msg:'It\'s, so to say, \"it\"',tag:one,tag:'two, three',severity:CRITICAL,ver:1,\
    capture,multiMatch,setvar:'tx.a_%{tx.b}=+%{tx.c}',setvar:!tx.d,ctl:ruleRemoveTargetById=1-9;ARGS:x,block,nolog,chain"
    SecRule TX:1 "abc" "t:sha1,setvar:tx.e"
SecAction "id:8,phase:1,skipAfter:END"
SecMarker END
`)
	if err != nil {
		t.Fatal(err)
	}
	r := rules.Items[0]
	for _, c := range []struct{ what, got, want string }{
		{"place", r.Place.String(), "rules.conf:4"},
		{"targets", join(r.Targets), `REQUEST_HEADERS:User-Agent !ARGS:/^a|b/c/ &ARGS`},
		{"operator", r.Operator.String(), `!@streq %{tx.wanted} "x"`},
		{"message", r.Message.String(), `It's, so to say, "it"`},
		{"tags", join(r.Tags), "one two, three"},
		{"transformations", strings.Join(r.Transformations, " "), "lowercase urldecodeuni"},
		{"key", r.Effects[0].Key.String(), "a_%{tx.b}"},
		{"value", r.Effects[0].Value.String(), "+%{tx.c}"},
		{"disruption", r.Disruption.String(), "pass"}, // the default of phase 2, not of phase 1
		{"default", rules.Items[1].Disruption.String(), "deny"},
		{"link", r.Chain[0].Operator.String(), "@rx abc"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
	if r.ID != 7 || r.Phase != 2 || r.Severity != 2 || !r.Capture || !r.MultiMatch || r.Log != syntax.Off || len(r.Effects) != 3 {
		t.Errorf("got %+v", r)
	}
	if d := rules.Items[1]; d.Status != 406 || d.Log != syntax.On || !d.Blocks {
		t.Errorf("what SecDefaultAction says is not there: %+v", d)
	}
}

func join[S interface{ String() string }](all []S) string {
	words := make([]string, 0, len(all))
	for _, one := range all {
		words = append(words, one.String())
	}
	return strings.Join(words, " ")
}

func TestRemovalsAndUpdates(t *testing.T) {
	rules, err := parse(`
SecRule ARGS "@rx a" "id:1,tag:x,msg:m"
SecRule ARGS "@rx a" "id:2,tag:x"
SecRule ARGS "@rx a" "id:3,msg:m"
SecRule ARGS "@rx a" "id:4,deny"
SecRule ARGS "@rx a" "id:50"
SecRule ARGS "@rx a" "id:51"
SecRuleRemoveById 1 50-59
SecRuleRemoveByTag y
SecRuleUpdateTargetByTag x "!ARGS:/a,/,!ARGS:b"
SecRuleUpdateTargetByMsg m "REQUEST_COOKIES|!ARGS:/b,c/"
SecRuleUpdateActionById 4 "pass,t:lowercase,msg:'new'"
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rules.Items {
		got = append(got, join(r.Targets)+" "+r.Disruption.String()+" "+r.Message.String())
	}
	want := "ARGS !ARGS:/a,/ !ARGS:b pass |ARGS REQUEST_COOKIES !ARGS:/b,c/ pass m|ARGS pass new"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if len(rules.Notes) != 1 || !strings.Contains(rules.Notes[0].Message, `SecRuleRemoveByTag "y" has no effect`) {
		t.Errorf("notes: %v", rules.Notes)
	}
}

func TestIncludeAndDataFilesAreBesideTheFile(t *testing.T) {
	files := fstest.MapFS{
		"main.conf":     {Data: []byte("Include sub/*.conf\n")},
		"sub/a.conf":    {Data: []byte("SecRule ARGS \"@pmFromFile words.data\" \"id:1\"\n")},
		"sub/b.conf":    {Data: []byte("Include c.inc\n")},
		"sub/c.inc":     {Data: []byte("SecAction id:2\n")},
		"sub/words.dat": {Data: []byte("x\n")},
		"loop.conf":     {Data: []byte("Include loop.conf\n")},
	}
	rules, err := syntax.Parse(syntax.Source{Name: "main.conf", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	if len(rules.Items) != 2 || rules.Items[1].Place.String() != "sub/c.inc:1" {
		t.Fatalf("got %+v", rules.Items)
	}
	if _, err := rules.Items[0].Files.Open("words.dat"); err != nil {
		t.Errorf("the rule does not find the file beside it: %v", err)
	}
	_, err = syntax.Parse(syntax.Source{Name: "loop.conf", Files: files})
	if err == nil || !strings.Contains(err.Error(), "does a file include itself?") {
		t.Errorf("got %v", err)
	}
}
