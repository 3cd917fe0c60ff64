package waf_test

import (
	"testing"

	"github.com/doorward/doorward/gateway/waf"
)

// BenchmarkRuleSets is what a request costs with each of the rule sets: a form with a sentence, and a search.
func BenchmarkRuleSets(b *testing.B) {
	for _, rules := range waf.RuleSets() {
		s := site(b, engine(b, rules), 1)
		for _, e := range []entry{
			{place: "query", coding: "plain", text: "printer on the third floor"},
			{place: "form", coding: "plain", text: "Hello, my printer on the third floor has stopped working again; could somebody have a look before noon?"},
			{place: "query", coding: "base64", text: "a harmless note, but in base64: nobody knows why"},
			{place: "form", coding: "json", text: "a filter's value"},
		} {
			b.Run(rules+"/"+e.place+"-"+e.coding, func(b *testing.B) {
				for b.Loop() {
					judge(b, s, e)
				}
			})
		}
	}
}
