package sigma_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/sigma"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// feed sends events, each "seconds field=value …", and returns the seconds at which something matched, with its title and
// group: "20 many 192.0.2.1".
func feed(e *sigma.Engine, lines string) string {
	var got []string
	for _, line := range strings.Split(lines, ";") {
		seconds, words, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, _ := strconv.ParseFloat(seconds, 64)
		ev := event(words)
		ev.Time, ev.Ref = start.Add(time.Duration(at*1e6)*time.Microsecond), seconds
		for _, m := range e.Process(ev) {
			text := seconds + " " + m.Head().Title
			for _, f := range m.Group {
				text += " " + f.Value
			}
			got = append(got, text)
		}
	}
	return strings.Join(got, "; ")
}

// many repeats E=a events of ip 1 at the given seconds.
func many(seconds ...string) string {
	return strings.Join(seconds, " E=a ip=1; ") + " E=a ip=1"
}

const threeInTen = "type: event_count\nrules: [a]\ngroup-by: [ip]\ntimespan: 10s\ncondition: {gte: 3}"

func TestCorrelations(t *testing.T) {
	temporal := "type: temporal\nrules: [a, b, c]\ngroup-by: [ip]\ntimespan: 10s"
	ordered := strings.Replace(temporal, "temporal", "temporal_ordered", 1)
	values := "type: value_count\nrules: [a]\ngroup-by: [ip]\ntimespan: 10s\ncondition: {field: u, gte: 3}"
	for name, c := range map[string]struct{ rule, events, want string }{
		"three in ten seconds":                      {threeInTen, many("0", "5", "10"), "10 many 1"},
		"one too late":                              {threeInTen, many("0", "5", "10.000001"), ""},
		"the window slides":                         {threeInTen, many("0", "8", "15", "17"), "17 many 1"},
		"a whole new count":                         {threeInTen, many("0", "1", "2", "3", "4", "5", "6"), "2 many 1; 5 many 1"},
		"groups are apart":                          {threeInTen, "0 E=a ip=1; 1 E=a ip=2; 2 E=a ip=1; 3 E=a ip=2; 4 E=a ip=2", "4 many 2"},
		"no group without a field":                  {threeInTen, "0 E=a; 1 E=a; 2 E=a; 3 E=a ip=", ""},
		"late events count":                         {threeInTen, many("0", "9", "4"), "4 many 1"},
		"a late event completes a window behind it": {threeInTen, many("20", "29", "21"), "21 many 1"},
		"late, and in no window":                    {threeInTen, many("20", "29", "9"), ""},
		"the clock jumps ahead and back":            {threeInTen, many("0", "1", "9000", "2"), "2 many 1"},
		"the clock jumps back":                      {threeInTen, many("9000", "9001", "0", "1", "2"), "2 many 1"},
		"gt":                                        {strings.Replace(threeInTen, "gte", "gt", 1), many("0", "1", "2", "3"), "3 many 1"},
		"eq":                                        {strings.Replace(threeInTen, "gte", "eq", 1), many("0", "1", "2"), "2 many 1"},
		"range":                                     {strings.Replace(threeInTen, "{gte: 3}", "{gt: 1, lte: 5, neq: 2}", 1), many("0", "1", "2", "3"), "2 many 1"},
		"lt holds at once":                          {strings.Replace(threeInTen, "gte", "lt", 1), many("0", "1"), "0 many 1; 1 many 1"},
		"no group-by is one group":                  {strings.Replace(threeInTen, "group-by: [ip]\n", "", 1), "0 E=a; 1 E=a ip=5; 2 E=a", "2 many"},
		"an event of two rules is one": {strings.Replace(threeInTen, "[a]", "[a, b]", 1), "0 E=a E=b ip=1; 1 E=a E=b ip=1; 2 E=b ip=1",
			"2 many 1"},
		"generate": {threeInTen + "\ngenerate: true", many("0", "1", "2"), "0 a; 1 a; 2 a; 2 many 1"},
		"values": {values, "0 E=a ip=1 u=x; 1 E=a ip=1 u=x; 2 E=a ip=1 u=y; 3 E=a ip=1 u=y; 4 E=a ip=1 u=z; 5 E=a ip=1 u=q; 6 E=a ip=1; 7 E=a ip=1 u=r",
			"4 many 1"},
		"values slide": {values, "0 E=a ip=1 u=x; 5 E=a ip=1 u=y; 11 E=a ip=1 u=z; 12 E=a ip=1 u=x", "12 many 1"},
		"values, late": {values, "86 E=a ip=1 u=x; 87 E=a ip=1 u=y; 100 E=a ip=1 u=z; 95 E=a ip=1 u=z", "95 many 1"},
		"pairs of values": {strings.Replace(values, "field: u", "field: [u, v]", 1), "0 E=a ip=1 u=x v=1; 1 E=a ip=1 u=x v=2; 2 E=a ip=1 u=x v=1; 3 E=a ip=1 u=1 v=x",
			"3 many 1"},
		"temporal":              {temporal, "0 E=c ip=1; 1 E=a ip=1; 2 E=a ip=1; 3 E=b ip=2; 4 E=b ip=1", "4 many 1"},
		"temporal too wide":     {temporal, "0 E=c ip=1; 5 E=a ip=1; 11 E=b ip=1", ""},
		"temporal two of three": {temporal + "\ncondition: {gte: 2}", "0 E=c ip=1; 5 E=b ip=1", "5 many 1"},
		"temporal expression":   {temporal + "\ncondition: a and (b or c)", "0 E=c ip=1; 1 E=b ip=1; 2 E=a ip=1", "2 many 1"},
		"temporal without":      {temporal + "\ncondition: a AND c AND NOT b", "0 E=c ip=1; 1 E=b ip=1; 2 E=a ip=1; 10.5 E=c ip=1; 12 E=a ip=1", "12 many 1"},
		"temporal flooded":      {temporal, "0 E=c ip=1" + strings.Repeat("; 1 E=a ip=1", 500) + "; 2 E=b ip=1", "2 many 1"},
		"ordered":               {ordered, "0 E=a ip=1; 1 E=b ip=1; 2 E=c ip=1", "2 many 1"},
		"not ordered":           {ordered, "0 E=a ip=1; 1 E=c ip=1; 2 E=b ip=1", ""},
		"ordered by time":       {ordered, "0 E=a ip=1; 2 E=c ip=1; 1 E=b ip=1", "1 many 1"},
		"ordered, same second":  {ordered, "0 E=a ip=1; 0 E=b ip=1; 0 E=c ip=1", "0 many 1"},
		"ordered, flooded":      {ordered, "0 E=a ip=1; 1 E=b ip=1" + strings.Repeat("; 2 E=a ip=1; 2 E=b ip=1", 300) + "; 3 E=c ip=1", "3 many 1"},
		"ordered expression":    {ordered + "\ncondition: a and (b or c)", "0 E=c ip=1; 1 E=a ip=1; 2 E=c ip=1; 3 E=a ip=1; 13.5 E=a ip=1; 14 E=b ip=1", "2 many 1; 14 many 1"},
		"sum":                   {strings.Replace(values, "value_count", "value_sum", 1), "0 E=a ip=1 u=1; 1 E=a ip=1 u=x; 2 E=a ip=1 u=1.5; 3 E=a ip=1 u=inf; 12 E=a ip=1 u=1.5", "12 many 1"},
		"average":               {strings.Replace(values, "value_count", "value_avg", 1), "0 E=a ip=1 u=1; 1 E=a ip=1 u=4; 2 E=a ip=1 u=4", "2 many 1"},
		"median":                {strings.Replace(values, "value_count", "value_median", 1), "0 E=a ip=1 u=1; 1 E=a ip=1 u=2; 2 E=a ip=1 u=9; 3 E=a ip=1 u=4", "3 many 1"},
		"share of a value": {"type: value_percentile\nrules: [a]\ngroup-by: [ip]\ntimespan: 10s\ncondition: {field: u, lte: 25}",
			"0 E=a ip=1 u=x; 1 E=a ip=1 u=x; 2 E=a ip=1 u=x; 3 E=a ip=1 u=y", "3 many 1"},
		"90th percentile": {"type: value_percentile\nrules: [a]\ngroup-by: [ip]\ntimespan: 10s\ncondition: {field: u, percentile: 90, gt: 5}",
			"0 E=a ip=1 u=1; 1 E=a ip=1 u=1; 2 E=a ip=1 u=9", "2 many 1"},
		"aliases": {"type: temporal\nrules: [a, b]\ngroup-by: [peer]\ntimespan: 10s\naliases: {peer: {a: src, b: dst}}",
			"0 E=a src=1 dst=2; 1 E=b src=1 dst=3; 2 E=b src=9 dst=1", "2 many 1"},
		"long values are not mixed up": {strings.Replace(threeInTen, "gte: 3", "gte: 2", 1),
			"0 E=a ip=" + strings.Repeat("x", 300) + "1; 1 E=a ip=" + strings.Repeat("x", 300) + "2", ""},
		"fields are not mixed up": {strings.Replace(strings.Replace(threeInTen, "[ip]", "[ip, u]", 1), "gte: 3", "gte: 2", 1), "0 E=a ip=ab u=c; 1 E=a ip=a u=bc", ""},
	} {
		if got := feed(engine(t, correlated(c.rule), sigma.Limits{}), c.events); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// chained is the specification's example in short: some failures, then a success of the same user.
const chained = `title: break-in
correlation: {type: temporal_ordered, rules: [failures, success], group-by: [user], timespan: 10m}
level: high
---
title: failures
name: failures
correlation: {type: event_count, rules: [failure], group-by: [user, ip], timespan: 10m, condition: {gte: 3}}
---
title: failure
name: failure
logsource: {service: test}
detection: {s: {E: fail}, condition: s}
---
title: success
id: 4d0a2c83-c62c-4ed4-b475-c7e23a9269b8
name: success
logsource: {service: test}
detection: {s: {E: ok}, condition: s}
`

// TestChains: a correlation counts the matches of another by its own group-by.
func TestChains(t *testing.T) {
	e := engine(t, chained, sigma.Limits{})
	fail := "0 E=fail user=bob ip=1; 1 E=fail user=bob ip=1; 2 E=fail user=bob ip=1; "
	if got, want := feed(e, "0 E=ok user=bob ip=1; "+fail+"3 E=ok user=amy ip=1; 4 E=ok user=bob ip=2; 5 E=ok user=bob ip=2"), "4 break-in bob"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := feed(e, "700 E=fail user=bob ip=1; 701 E=fail user=bob ip=2; 702 E=fail user=bob ip=1; 703 E=ok user=bob ip=1"), ""; got != want {
		t.Errorf("failures from two addresses: got %q, want %q", got, want)
	}
}

// TestMatchTells: a match says who, how many, when and by which events.
func TestMatchTells(t *testing.T) {
	e := engine(t, correlated(strings.Replace(threeInTen, "gte: 3", "gte: 7", 1)), sigma.Limits{})
	var m []sigma.Match
	for i := range 7 {
		ev := event("E=a ip=192.0.2.1")
		ev.Time, ev.Ref = start.Add(time.Duration(i)*time.Second), fmt.Sprintf("line-%d", i)
		m = e.Process(ev)
	}
	if len(m) != 1 {
		t.Fatalf("got %d matches, want 1", len(m))
	}
	if got := m[0]; got.Correlation == nil || got.Rule != nil || got.Count != 7 || !got.First.Equal(start) || !got.Last.Equal(start.Add(6*time.Second)) ||
		!got.Time.Equal(got.Last) || fmt.Sprint(got.Group, got.Refs) != "[{ip 192.0.2.1}] [line-2 line-3 line-4 line-5 line-6]" {
		t.Errorf("got %+v", got)
	}
}

// TestGroupsAreCapped: strangers choose the keys. The group that was longest without an event goes first.
func TestGroupsAreCapped(t *testing.T) {
	e := engine(t, correlated(threeInTen), sigma.Limits{Groups: 100, Marks: 150})
	for i := range 10_000 {
		feed(e, fmt.Sprintf("%d E=a ip=victim; %d E=a ip=%d", i/2*20, i/2*20, i))
	}
	if groups, marks := e.Groups(); groups > 100 || groups < 50 || marks > 150 {
		t.Errorf("got %d groups with %d marks, want at most 100 with 150", groups, marks)
	}
	if n := e.Counters().Evicted; n < 9000 {
		t.Errorf("got %d evictions, want nearly one an event", n)
	}
	if got := feed(e, "900000 E=a ip=victim; 900001 E=a ip=victim; 900002 E=a ip=victim"); !strings.Contains(got, "victim") {
		t.Errorf("a group that is at work was let go: %q", got)
	}
}

// TestMarksAreCapped: what one group keeps is bounded, and it still counts right.
func TestMarksAreCapped(t *testing.T) {
	for name, rule := range map[string]string{
		"sum":        "type: value_sum\nrules: [a]\ngroup-by: [ip]\ntimespan: 10d\ncondition: {field: u, lt: 0}",
		"count":      "type: event_count\nrules: [a, b]\ngroup-by: [ip]\ntimespan: 1s\ncondition: {gte: 3}",
		"values":     "type: value_count\nrules: [a]\ngroup-by: [ip]\ntimespan: 1s\ncondition: {field: u, gte: 3}",
		"one value":  "type: value_count\nrules: [a]\ngroup-by: [ip]\ntimespan: 10d\ncondition: {field: ip, gte: 3}",
		"a flood":    "type: temporal\nrules: [a, b, c]\ngroup-by: [ip]\ntimespan: 10d",
		"percentile": "type: value_percentile\nrules: [a]\ngroup-by: [ip]\ntimespan: 10d\ncondition: {field: u, percentile: 50, lt: 0}",
	} {
		e := engine(t, correlated(rule), sigma.Limits{})
		for i := range 5000 {
			ev := event(fmt.Sprintf("E=%c ip=1 u=%d", "aab"[i%3], i))
			ev.Time = start.Add(time.Duration((i*7919)%5000) * time.Minute) // out of order
			e.Process(ev)
		}
		groups, marks := e.Groups()
		if groups != 1 || marks > 1024 || name != "sum" && name != "percentile" && marks > 100 {
			t.Errorf("%s: got %d groups with %d marks", name, groups, marks)
		}
	}
	e := engine(t, correlated(threeInTen), sigma.Limits{})
	e.Process(event("E=a ip=1"))
	if c := e.Counters(); c.Untimed != 1 {
		t.Errorf("an event without a time: got %+v", c)
	}
}

// TestCountsAgreeWithTheDefinition holds event_count and value_count against a plain reading of the specification, for
// events in order and nearly in order.
func TestCountsAgreeWithTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 400 {
		threshold, kind := 2+rng.IntN(4), []string{"event_count", "value_count"}[round%2]
		field := map[string]string{"event_count": "", "value_count": "field: u, "}[kind]
		e := engine(t, correlated(fmt.Sprintf("type: %s\nrules: [a]\ngroup-by: [ip]\ntimespan: 10s\ncondition: {%sgte: %d}", kind, field, threshold)), sigma.Limits{})
		type past struct {
			at    int
			value int
		}
		seen := map[int][]past{}
		for i := range 60 {
			ip, p := rng.IntN(3), past{at: i*2 - rng.IntN(1+round%3*3), value: rng.IntN(5)}
			seen[ip] = append(seen[ip], p)
			want := false
			for end := range 200 { // every window that the event is in, by its last second
				distinct, n := map[int]bool{}, 0
				for _, q := range seen[ip] {
					if q.at <= end && q.at >= end-10 {
						distinct[q.value] = true
						n++
					}
				}
				if kind == "value_count" {
					n = len(distinct)
				}
				want = want || n >= threshold && p.at <= end && p.at >= end-10
			}
			if want {
				seen[ip] = nil
			}
			line := fmt.Sprintf("%d E=a ip=%d u=%d", p.at, ip, p.value)
			if got := feed(e, line) != ""; got != want {
				t.Fatalf("round %d, event %d (%s), %s >= %d: got %t, want %t", round, i, line, kind, threshold, got, want)
			}
		}
	}
}

// TestChainsAgreeWithTheDefinition holds temporal and temporal_ordered against a plain reading, for events in order.
func TestChainsAgreeWithTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	matched := 0
	for round := range 400 {
		ordered := round%2 == 1
		kind := map[bool]string{false: "temporal", true: "temporal_ordered"}[ordered]
		e := engine(t, correlated("type: "+kind+"\nrules: [a, b, c]\ntimespan: 10s"), sigma.Limits{})
		type past struct{ at, rule int }
		var seen []past
		at := 0
		for i := range 80 {
			at += rng.IntN(4)
			p := past{at, rng.IntN(3)}
			seen = append(seen, p)
			want := false
			for first := range seen {
				if seen[first].at < at-10 {
					continue
				}
				met, reached := map[int]bool{}, 0 // reached: how many of the rules were met in their order, from the first event on
				for _, q := range seen[first:] {
					met[q.rule] = true
					if q.rule == reached {
						reached++
					}
				}
				want = want || !ordered && len(met) == 3 || ordered && reached == 3
			}
			if want {
				seen = nil
				matched++
			}
			if got := feed(e, fmt.Sprintf("%d E=%c", p.at, "abc"[p.rule])) != ""; got != want {
				t.Fatalf("round %d, event %d, %s: got %t, want %t", round, i, kind, got, want)
			}
		}
	}
	if matched < 1000 {
		t.Errorf("got %d matches, too few to show anything", matched)
	}
}
