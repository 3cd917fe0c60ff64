package seclang_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/seclang"
	"github.com/doorward/doorward/seclang/syntax"
)

func TestNarrowing(t *testing.T) {
	read, err := syntax.Parse(syntax.Source{Name: "rules.conf", Text: `SecRuleEngine On
SecRule ARGS "@rx find" "id:1,phase:1,deny,t:lowercase"
SecRule ARGS "@rx find" "id:2,phase:1,pass"`})
	if err != nil {
		t.Fatal(err)
	}
	narrowed := seclang.Narrowing{Rule: 1, Unless: regexp.MustCompile(`^[\w ]+$`), But: regexp.MustCompile(`rm`), At: regexp.MustCompile(`^[ab]$`)}
	p, err := seclang.Compile(read, narrowed, seclang.Narrowing{Rule: 3, Unless: narrowed.Unless})
	if err != nil {
		t.Fatal(err)
	}
	half := strings.Repeat("find it ", 10<<10)
	for _, plain := range []bool{false, true} {
		site, err := p.NewSite(seclang.SiteConfig{Plain: plain})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			uri, want string
			spared    int
		}{
			{"/?a=find+it", "2", 0},
			{"/?a=find+rm", "1 deny", 0},
			{"/?a=;find", "1 deny", 0},
			{"/?c=find+it", "1 deny", 0},
			{"/?a=find+it&b=;find", "1 deny", 0},
			{"/?a=" + strings.ReplaceAll(half, " ", "+"), "2", 0},
			{"/?a=" + strings.ReplaceAll(half, " ", "+") + "&b=" + strings.ReplaceAll(half, " ", "+"), "1 deny", 1},
		} {
			tx := site.Begin("id", time.Unix(1700000000, 0))
			tx.RequestLine("GET", c.uri, "HTTP/1.1")
			tx.CheckRequestHeaders()
			var got []string
			for _, m := range tx.Matches() {
				got = append(got, fmt.Sprint(m.Rule.ID))
			}
			if tx.Interruption() != nil {
				got = append(got, "deny")
			}
			if strings.Join(got, " ") != c.want || tx.Dropped.Spared != c.spared {
				t.Errorf("%.40s: got %v and %d not looked at, want %s and %d", c.uri, got, tx.Dropped.Spared, c.want, c.spared)
			}
			tx.Close()
		}
	}
}

// TestNarrowingOfSentences: what a narrowing spares alone it spares among others, and nothing that stands beside it or is spread over several.
func TestNarrowingOfSentences(t *testing.T) {
	read, err := syntax.Parse(syntax.Source{Name: "rules.conf", Text: `SecRuleEngine On
SecRule ARGS "@rx (?s)\bfind\b|union.*select" "id:1,phase:1,deny,t:lowercase"`})
	if err != nil {
		t.Fatal(err)
	}
	p, err := seclang.Compile(read, seclang.Narrowing{Rule: 1, Unless: regexp.MustCompile(`^\n?[\w ]+[.!]?$`), But: regexp.MustCompile(`rm`), Each: true})
	if err != nil {
		t.Fatal(err)
	}
	long := "Find it. " + strings.Repeat("A; ", 20) + strings.Repeat("Go on. ", 254)
	for _, plain := range []bool{false, true} {
		site, err := p.NewSite(seclang.SiteConfig{Plain: plain})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			value   string
			refused bool
			lost    int
		}{
			{"Find it. (Where?)", false, 0},
			{"(Where?)\nFind it\n(there)", false, 0},
			{"Find it. Find; it.", true, 0},
			{"(Where?) Find rm.", true, 0},
			{"Find it; (there)", true, 0},         // one sentence
			{"Find it. (union)\nselect", true, 0}, // what is left is an attack
			{"(union)\n(Where?) select", true, 0}, // in no part alone
			{"(union)! Find it! (select)", true, 0},
			{long, false, 0},
			{long + "(A.) (B.)", true, 1}, // too many sentences
		} {
			tx := site.Begin("id", time.Unix(1700000000, 0))
			tx.RequestLine("GET", "/?a="+url.QueryEscape(c.value), "HTTP/1.1")
			tx.CheckRequestHeaders()
			if got := tx.Interruption() != nil; got != c.refused || tx.Dropped.Spared != c.lost {
				t.Errorf("%.40q: refused is %v and %d not looked at, want %v and %d", c.value, got, tx.Dropped.Spared, c.refused, c.lost)
			}
			tx.Close()
		}
	}
}
