package seclang_test

import (
	"strings"
	"testing"
)

// A text behind t:removeWhitespace is looked for in the value as it came first; begin compares with the plain way.
func TestTextBehindRemoveWhitespace(t *testing.T) {
	const rules = `SecRule RESPONSE_BODY "@contains <title>shell</title>" "id:1,phase:4,t:none,t:removeWhitespace,t:lowercase"
SecRule RESPONSE_BODY "@contains <title>shell</title>" "id:2,phase:4,t:none,t:removeWhitespace"
SecRule RESPONSE_BODY "!@contains <title>shell</title>" "id:3,phase:4,t:none,t:removeWhitespace,t:lowercase"
SecRule RESPONSE_BODY "@contains <title>KIND" "id:4,phase:4,t:none,t:lowercase,t:removeWhitespace"
SecRule RESPONSE_BODY "@contains <kind" "id:5,phase:4,t:none,t:lowercase,t:removeWhitespace"`
	for _, c := range []struct {
		answer  string
		matched bool
	}{
		{"<title>shell</title>", true}, {"a < < title > S h\t\r\nell </title>", true}, {"<title>shell</titl", false}, {"", false}, {"<", false},
		{"<\u00a0title>shell</title>", true}, {"<title>\u00e9shell</title>", false}, {strings.Repeat("<title> ", 2000) + "shell</title>", true},
		{strings.Repeat("<title> shell", 2000), false}, {"<\u212aind", false}, {"<k\u0130nd", false}, {"<title>\xff shell</title>", false},
	} {
		tx := begin(t, rules, asked{method: "GET", uri: "/", answer: c.answer})
		matched := false
		for _, m := range tx.Matches() {
			matched = matched || m.Rule.ID == 1
		}
		if matched != c.matched {
			t.Errorf("%.40q: matched %v, want %v", c.answer, matched, c.matched)
		}
	}
}
