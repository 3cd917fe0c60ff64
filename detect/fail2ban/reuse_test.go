package fail2ban_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/fail2ban"
)

// TestResultsStayAsTheyWere: connections that are forgotten give their memory to others, more than the cache holds here; what was told of
// them, and what is kept of those that go on, does not change by that.
func TestResultsStayAsTheyWere(t *testing.T) {
	c, err := fail2ban.Open(ownFilters(t))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	full, err := c.Filter("ml", fail2ban.Options{NoDateIsNow: true})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := c.Filter("ml", fail2ban.Options{NoDateIsNow: true, NoCaptures: true})
	if err != nil {
		t.Fatal(err)
	}
	type kept struct{ now, then fail2ban.Result }
	var all []kept
	for i := range 400 {
		for _, line := range []string{
			fmt.Sprintf("c%d fail u%d at 192.0.2.%d", i, i, i%250), fmt.Sprintf("c%d try a 192.0.2.%d", 1000+i, i%250),
			fmt.Sprintf("c%d bye", i-3), fmt.Sprintf("c%d fail", 1000+i-5), fmt.Sprintf("c%d fail v", i-120),
		} {
			r, err := full.Line(line, now)
			if err != nil {
				t.Fatal(err)
			}
			then := r
			then.Lines, then.Captures = slices.Clone(r.Lines), slices.Clone(r.Captures)
			all = append(all, kept{r, then})
			without, err := bare.Line(line, now)
			if err != nil {
				t.Fatal(err)
			}
			if len(without.Captures)+len(without.Lines) > 0 {
				t.Errorf("%q: captures %v and lines %q, want none", line, without.Captures, without.Lines)
			}
			without.Captures, without.Lines = r.Captures, r.Lines
			if !reflect.DeepEqual(without, r) {
				t.Errorf("%q without captures: %+v, want %+v", line, without, r)
			}
		}
	}
	for i, k := range all {
		if !reflect.DeepEqual(k.now, k.then) {
			t.Errorf("result %d became %+v, was %+v", i, k.now, k.then)
		}
	}
	if full.Count.Evicted == 0 || full.Count.Matched < 400 {
		t.Errorf("%d connections were forgotten and %d failures found: too few to show anything", full.Count.Evicted, full.Count.Matched)
	}
}

func TestDecodeTakesTextAndBytes(t *testing.T) {
	for _, line := range []string{"", "a", "a\r\n", "é\r", "\xff\xc3\xa9\xe2\x82", "a\x00b\n\n"} {
		if got, want := fail2ban.Decode(line), fail2ban.Decode([]byte(line)); got != want {
			t.Errorf("decode %q as text: %q, as bytes %q", line, got, want)
		}
	}
}
