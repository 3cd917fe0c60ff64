package syntax_test

import (
	"strings"
	"testing"
)

// TestProblemsSayWhatToDo: one text, and what its problem says beside the place.
func TestProblemsSayWhatToDo(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`SecFoo bar`, `directive SecFoo is not supported`},
		{`SecRule ARGS`, `SecRule takes variables, an operator and actions; it has 1 words`},
		{`SecRule ARGS "@rx a" "id:1" more`, `it has 4 words`},
		{`SecRule FOO "@rx a" "id:1"`, `there is no variable "FOO"`},
		{`SecRule IP:x "@rx a" "id:1"`, `variable IP is not supported here`},
		{`SecRule REQUEST_URI:x "@rx a" "id:1"`, `REQUEST_URI is one value and no collection`},
		{`SecRule ARGS: "@rx a" "id:1"`, `ARGS: a name is missing after the colon`},
		{`SecRule ARGS:/(/ "@rx a" "id:1"`, `ARGS: the expression for names: error parsing regexp`},
		{`SecRule XML://a "@rx a" "id:1"`, `only XML:/* (all text) and XML://@*`},
		{`SecRule !ARGS:a "@rx a" "id:1"`, `the rule looks at nothing`},
		{`SecRule !&ARGS "@rx a" "id:1"`, `either excluded with ! or counted with &`},
		{`SecRule ARGS "@foo a" "id:1"`, `there is no operator @foo`},
		{`SecRule ARGS "@rbl a" "id:1"`, `operator @rbl is not supported here`},
		{`SecRule ARGS "@rx" "id:1"`, `operator @rx needs an argument`},
		{`SecRule ARGS "@detectSQLi x" "id:1"`, `operator @detectsqli takes no argument`},
		{`SecRule ARGS "@streq %{tx.a" "id:1"`, `the closing brace is missing`},
		{`SecRule ARGS "@streq %{foo.a}" "id:1"`, `there is no variable "foo"`},
		{`SecRule ARGS "@streq %{tx.}" "id:1"`, `the name after the dot is missing`},
		{`SecRule ARGS "@streq %{request_uri.a}" "id:1"`, `REQUEST_URI is one value and has no parts`},
		{`SecRule ARGS "@rx a" "id:1,foo"`, `there is no action "foo"`},
		{`SecRule ARGS "@rx a" "id:1,exec:/bin/sh"`, `action exec is not supported: a rule starts no programs`},
		{`SecRule ARGS "@rx a" "id:1,expirevar:ip.a=1"`, `action expirevar is not supported`},
		{`SecRule ARGS "@rx a" "id:1,t:foo"`, `there is no transformation "foo"`},
		{`SecRule ARGS "@rx a" "id:1,msg"`, `action msg needs a value`},
		{`SecRule ARGS "@rx a" "id:1,deny:403"`, `action deny takes no value`},
		{`SecRule ARGS "@rx a" "id:1,status:42"`, `write a whole number from 100 to 599`},
		{`SecRule ARGS "@rx a" "id:1,phase:6"`, `write 1 to 5, request, response or logging`},
		{`SecRule ARGS "@rx a" "id:1,severity:BAD"`, `write 0 to 7 or EMERGENCY`},
		{`SecRule ARGS "@rx a" "id:1,allow:all"`, `write allow, allow:phase or allow:request`},
		{`SecRule ARGS "@rx a" "id:x"`, `"x" is no rule id`},
		{`SecRule ARGS "@rx a" "phase:1"`, `the rule has no id`},
		{`SecRule ARGS "@rx a" "id:1,"`, `there is a comma after the last action`},
		{`SecRule ARGS "@rx a" "id:1,msg:'a"`, `has no end`},
		{`SecRule ARGS "@rx a" "id:1,setvar:ip.a=1"`, `only TX can be set`},
		{`SecRule ARGS "@rx a" "id:1,setvar:!tx.a=1"`, `a variable that is deleted has no value`},
		{`SecRule ARGS "@rx a" "id:1,setvar:tx.=1"`, `the name after tx. is missing`},
		{`SecRule ARGS "@rx a" "id:1,setenv:a"`, `write setenv:name=value`},
		{`SecRule ARGS "@rx a" "id:1,ctl:foo=1"`, `ctl:foo is not supported`},
		{`SecRule ARGS "@rx a" "id:1,ctl:ruleEngine"`, `a value is missing`},
		{`SecRule ARGS "@rx a" "id:1,ctl:ruleEngine=maybe"`, `write On, Off or DetectionOnly`},
		{`SecRule ARGS "@rx a" "id:1,ctl:auditEngine=maybe"`, `write On, Off or RelevantOnly`},
		{`SecRule ARGS "@rx a" "id:1,ctl:requestBodyProcessor=YAML"`, `write URLENCODED, MULTIPART, JSON, XML or RAW`},
		{`SecRule ARGS "@rx a" "id:1,ctl:ruleRemoveById=9-1"`, `the range 9-1 ends before it begins`},
		{`SecRule ARGS "@rx a" "id:1,ctl:ruleRemoveTargetById=1"`, `write the rule, a semicolon and the variable`},
		{`SecRule ARGS "@rx a" "id:1,skipAfter:NOWHERE"`, `no SecMarker of this name follows`},
		{"SecMarker A\nSecAction \"id:1,skipAfter:A\"", `rules.conf:2: skipAfter:A: no SecMarker of this name follows`},
		{`SecRule ARGS "@rx a" "id:1,chain"`, `rules.conf:1: the chain of this rule has no end`},
		{"SecRule ARGS \"@rx a\" \"id:1,chain\"\nSecMarker A", `"chain" wants another SecRule before rules.conf:2`},
		{"SecRule ARGS \"@rx a\" \"id:1,chain\"\nSecRule ARGS \"@rx a\" \"id:2\"", `rules.conf:2: action id stands in a link of the chain`},
		{"SecAction id:1\n\nSecAction id:1", `rules.conf:3: id 1 is taken by the rule at rules.conf:1`},
		{`SecRule ARGS "@rx a" "id:1`, `a quote " has no end`},
		{`SecRule "ARGS"x "@rx a" "id:1"`, `a blank is missing after the closing quote`},
		{`SecDefaultAction "phase:1,log"`, `needs a phase and one of`},
		{`SecDefaultAction "phase:1,pass,t:lowercase"`, `action t cannot be a default`},
		{`SecRuleEngine`, `SecRuleEngine is ""; write On, Off or DetectionOnly`},
		{`SecRequestBodyLimit 0`, `write a number of bytes from 1`},
		{`SecRequestBodyNoFilesLimit 1M`, `write a number of bytes from 1`},
		{`SecRequestBodyLimitAction Maybe`, `write Reject or ProcessPartial`},
		{`SecArgumentSeparator ;`, `only & is supported`},
		{`SecResponseBodyLimitAction Reject`, `only ProcessPartial is supported`},
		{`SecRuleRemoveById`, `SecRuleRemoveById names no rule`},
		{`SecRuleRemoveById x`, `"x" is no rule id`},
		{`SecRuleUpdateTargetById 1 ARGS ARGS`, `replacing a variable is not supported`},
		{"SecAction id:1\nSecRuleUpdateTargetById 1 ARGS", `rule 1 is a SecAction, which looks at nothing`},
		{"SecAction id:1\nSecRuleUpdateActionById 1 id:2", `action id of a rule cannot be changed`},
		{`Include x.conf`, `Include needs a folder`},
	} {
		_, err := parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "rules.conf:") {
			t.Errorf("%s\ngot:  %v\nwant: %s", c.text, err, c.want)
		}
	}
}

func TestAllProblemsAtOnceAndNoMoreThanTheCap(t *testing.T) {
	_, err := parse("SecFoo\nSecRule FOO \"@bar x\" \"id:1,baz\"\nSecMarker a b")
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("got %v; want five problems", err)
	}
	_, err = parse(strings.Repeat("SecFoo\n", 1000))
	if err == nil || strings.Count(err.Error(), "\n")+1 != 200 {
		t.Errorf("got %d lines; want 200", strings.Count(err.Error(), "\n")+1)
	}
}

func TestCaps(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`SecRule ` + strings.Repeat("ARGS|", 500) + `ARGS "@rx a" "id:1"`, "more than 500 variables"},
		{`SecRule ARGS "@rx a" "id:1` + strings.Repeat(",tag:x", 500) + `"`, "more than 500 actions"},
		{`SecRule ARGS "@rx a" "id:1` + strings.Repeat(",t:lowercase", 31) + `"`, "more than 30 transformations"},
		{`SecRule ARGS "@rx a" "id:1,chain"` + strings.Repeat("\nSecRule ARGS \"@rx a\" chain", 31), "has more than 30 links"},
	} {
		_, err := parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %.200v, want %s", err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"SecRule ARGS|!ARGS:/a|b/ \"!@rx \\\"a\" \\\n \"id:1,msg:'a,b',chain\"\nSecRule TX:0 \"@eq %{tx.1}\"",
		"SecAction \"id:1,phase:5,setvar:'tx.a=+%{tx.b}',ctl:ruleRemoveTargetByTag=x;ARGS:/x/,skipAfter:E\"\nSecMarker E",
		"SecRuleUpdateTargetById 1-9 \"!ARGS:a,ARGS\"\nSecDefaultAction \"phase:1,pass\"\nInclude x",
		"SecRuleEngine On\nSecResponseBodyMimeType a b # c\n\\\n\\",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := parse(text)
		if (rules == nil) == (err == nil) {
			t.Errorf("got %v and %v", rules, err)
		}
	})
}
