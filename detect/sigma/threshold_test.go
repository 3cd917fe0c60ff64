package sigma_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/sigma"
)

// TestThreshold: a threshold can be set before the rules are compiled.
func TestThreshold(t *testing.T) {
	c, err := sigma.Parse("r.yml", []byte(correlated(threeInTen)), sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	many3 := c.Correlations[0]
	if n, ok := many3.Threshold(); n != 3 || !ok {
		t.Errorf("got %d %t, want 3", n, ok)
	}
	for _, bad := range []int{0, -1, 100_001} {
		if err := many3.SetThreshold(bad); err == nil {
			t.Errorf("%d was taken", bad)
		}
	}
	if err := many3.SetThreshold(2); err != nil {
		t.Fatal(err)
	}
	many3.Timespan = 2 * time.Second
	e, err := sigma.Compile(c, sigma.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := feed(e, many("0", "3", "5")); got != "5 many 1" {
		t.Errorf("got %q, want a match of two in two seconds", got)
	}
	c, err = sigma.Parse("r.yml", []byte(correlated(strings.Replace(threeInTen, "gte", "gt", 1))), sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Correlations[0].SetThreshold(2); err == nil {
		t.Error("a condition of another form was changed")
	}
}

// TestFieldsAreCapped: an event of many fields is looked at in part, and that is counted.
func TestFieldsAreCapped(t *testing.T) {
	e := engine(t, rule("s:\n    A|fieldref: B\nk: [last]\ncondition: s or k"), sigma.Limits{})
	ev := event("")
	for i := range 100_000 {
		ev.Fields = append(ev.Fields, sigma.Field{Name: string("AB"[i%2]), Value: fmt.Sprint(i)})
	}
	ev.Fields = append(ev.Fields, sigma.Field{Name: "C", Value: "last"})
	if got := e.Process(ev); got != nil || e.Counters().Cut != 1 {
		t.Errorf("got %v and %+v, want no match and one event cut", got, e.Counters())
	}
	ev.Text = "the last"
	if got := e.Process(ev); len(got) != 1 {
		t.Error("the text of an event with many fields is not looked at")
	}
}

// TestLargeRulesRefused: what a few lines could expand to is capped.
func TestLargeRulesRefused(t *testing.T) {
	for name, c := range map[string]struct{ detection, want string }{
		"values":  {"s:\n    A: [" + strings.Repeat("x,", 10_001) + "]\ncondition: s", "more than 10000 values"},
		"forms":   {"s:\n    A|windash: [" + strings.Repeat("' -a -b -c',", 200) + "]\ncondition: s", "too many variants of all values"},
		"regex":   {"s:\n    A|re: '(a{50}){1,20}(b{50}){1,20}(c{50}){1,20}(d{50}){1,20}(e{50}){1,20}(f{50}){1,20}'\ncondition: s", "more than 5000 steps"},
		"bytes":   {"s:\n    A: '" + strings.Repeat("x", 16<<10+1) + "'\ncondition: s", "a value of more than 16384 bytes"},
		"long re": {"s:\n    A|re: '" + strings.Repeat("x", 4097) + "'\ncondition: s", "more than 4096 bytes"},
		"many":    {"s:\n" + lines(3000, "    A%d|windash: ' -a -b -c'\n") + "condition: s", "more than 200000 questions"},
		"names":   {lines(201, "s%d: x\n") + "condition: s1", "more than 200 search identifiers"},
	} {
		if got := problem(rule(c.detection)); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %.300q, want %q", name, got, c.want)
		}
	}
}

func lines(n int, format string) string {
	text := ""
	for i := range n {
		text += fmt.Sprintf(format, i)
	}
	return text
}
