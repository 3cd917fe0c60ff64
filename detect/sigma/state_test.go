package sigma_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/sigma"
)

// counting has a correlation of every kind.
func counting() string {
	text := correlated(threeInTen) + "---\n" + chained
	for _, kind := range []string{"value_count", "value_sum", "value_percentile"} {
		text += fmt.Sprintf("---\ntitle: %[1]s\nname: %[1]s\ncorrelation: {type: %[1]s, rules: [a, b], group-by: [ip], timespan: 20s, condition: {field: u, gte: 4}}\n", kind)
	}
	return text + "---\ntitle: near\nname: near\ncorrelation: {type: temporal_ordered, rules: [a, b, c], group-by: [ip], timespan: 9s}\n"
}

// TestStateGoesOn: an engine that is saved and restored at any moment matches as one that never stopped, and the state of
// both is the same.
func TestStateGoesOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	whole, parts := engine(t, counting(), sigma.Limits{Groups: 5}), engine(t, counting(), sigma.Limits{Groups: 5})
	matches := 0
	for i := range 3000 {
		ev := event(fmt.Sprintf("E=%s ip=\xff%d u=%d user=%d", pick(rng, strings.Fields("a b c fail ok")), rng.IntN(8), rng.IntN(9), rng.IntN(2)))
		ev.Time, ev.Ref = start.Add(time.Duration(i+rng.IntN(4))*time.Second), fmt.Sprint(i)
		want, got := whole.Process(ev), parts.Process(ev)
		matches += len(want)
		if len(got) != len(want) {
			t.Fatalf("event %d: got %d matches, want %d", i, len(got), len(want))
		}
		for j := range got {
			if a, b := fmt.Sprint(got[j].Head().Key(), got[j].Group, got[j].Count, got[j].Refs, got[j].First), fmt.Sprint(want[j].Head().Key(), want[j].Group, want[j].Count, want[j].Refs, want[j].First); a != b {
				t.Fatalf("event %d: got %s, want %s", i, a, b)
			}
		}
		if i%7 == 0 {
			a, err := whole.State()
			if err != nil {
				t.Fatal(err)
			}
			b, err := parts.State()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) {
				t.Fatalf("event %d: the states differ:\n%s\n%s", i, a, b)
			}
			parts = engine(t, counting(), sigma.Limits{Groups: 5})
			if err := parts.Restore(b); err != nil {
				t.Fatal(err)
			}
			if n := parts.Counters().Dropped; n != 0 {
				t.Fatalf("event %d: %d groups were dropped", i, n)
			}
		}
	}
	if matches < 100 {
		t.Errorf("got %d matches, too few to show anything", matches)
	}
}

// TestStateOfOtherRules: counts of a rule that is gone or counts something else now are dropped, and counted.
func TestStateOfOtherRules(t *testing.T) {
	e := engine(t, correlated(threeInTen), sigma.Limits{})
	feed(e, many("0", "1")+"; 1 E=a ip=2")
	saved, err := e.State()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text, want string
		dropped    uint64
	}{
		"the same":    {correlated(threeInTen), "2 many 1", 0},
		"another bar": {correlated(strings.Replace(threeInTen, "gte: 3", "gte: 2", 1)), "", 2},
		"renamed":     {strings.Replace(correlated(threeInTen), "name: many", "name: other", 1), "", 2},
	} {
		e := engine(t, c.text, sigma.Limits{})
		if err := e.Restore(saved); err != nil {
			t.Fatal(err)
		}
		got := feed(e, "2 E=a ip=1")
		if got != c.want || e.Counters().Dropped != c.dropped {
			t.Errorf("%s: got %q and %d dropped, want %q and %d", name, got, e.Counters().Dropped, c.want, c.dropped)
		}
	}
	for _, bad := range []string{"", "{}", "[]", `{"version":2}`, "null"} {
		if err := engine(t, correlated(threeInTen), sigma.Limits{}).Restore([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a state", bad)
		}
	}
}

// TestStateIsCapped: the saved form stays within its limit, and holds the newest groups.
func TestStateIsCapped(t *testing.T) {
	e := engine(t, correlated(threeInTen), sigma.Limits{State: 10_000})
	for i := range 5000 {
		feed(e, fmt.Sprintf("%d E=a ip=%d", i/1000, i))
	}
	saved, err := e.State()
	if err != nil || len(saved) > 10_000 || len(saved) < 3000 {
		t.Fatalf("got %d bytes, %v, want at most 10,000", len(saved), err)
	}
	next := engine(t, correlated(threeInTen), sigma.Limits{})
	if err := next.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if got := feed(next, "4 E=a ip=4999; 4 E=a ip=4999; 4 E=a ip=0; 4 E=a ip=0"); got != "4 many 4999" {
		t.Errorf("got %q, want the newest group only", got)
	}
}
