package sigma_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/sigma"
)

// benchRules is 300 rules of the kinds that public collections have: most look for parts of command lines and paths, some
// for whole values and expressions, and many have a filter.
func benchRules(rng *rand.Rand) string {
	word := func() string {
		const letters = "abcdefghijklmnopqrstuvwxyz"
		out := make([]byte, 5+rng.IntN(8))
		for i := range out {
			out[i] = letters[rng.IntN(len(letters))]
		}
		return string(out)
	}
	list := func(n int, format string) string {
		text := ""
		for range n {
			text += "\n            - '" + fmt.Sprintf(format, word()) + "'"
		}
		return text
	}
	text := ""
	for i := range 300 {
		text += fmt.Sprintf("title: bench %d\nlogsource: {category: process_creation, product: linux}\ndetection:\n    selection:\n", i)
		switch i % 6 {
		case 0, 1:
			text += "        Image|endswith:" + list(4, "/%s") + "\n        CommandLine|contains:" + list(6, "--%s") + "\n"
		case 2:
			text += "        CommandLine|contains|all:" + list(3, "%s ") + "\n        User: root\n"
		case 3:
			text += "        CommandLine|re: '" + word() + `.{1,20}[0-9]+\s*` + word() + "'\n"
		case 4:
			text += "        EventID: " + fmt.Sprint(1000+i) + "\n        ParentImage|contains: '/" + word() + "/'\n"
		case 5:
			text += "        - Image|startswith:" + strings.ReplaceAll(list(3, "/opt/%s/"), "\n", "\n    ") + "\n        - CommandLine|windash|contains: ' -" + word() + "'\n"
		}
		text += "    filter:\n        ParentImage|endswith: '/" + word() + "'\n    condition: selection and not filter\nlevel: high\n---\n"
	}
	return text
}

// benchEvents is process events whose command lines are of the words of no rule.
func benchEvents(rng *rand.Rand) []*sigma.Event {
	var events []*sigma.Event
	for i := range 1000 {
		line := "/usr/bin/" + pick(rng, vocabulary)
		for range 5 + rng.IntN(20) {
			line += " --" + pick(rng, strings.Fields("config output user log file port host name value quiet")) + "=" + fmt.Sprint(rng.IntN(100_000))
		}
		e := &sigma.Event{Source: sigma.Logsource{Category: "process_creation", Product: "linux"}}
		for _, f := range [][2]string{{"Image", "/usr/bin/python3"}, {"CommandLine", line}, {"ParentImage", "/usr/sbin/cron"}, {"User", "root"},
			{"EventID", "1"}, {"ProcessId", fmt.Sprint(i)}, {"CurrentDirectory", "/var/lib/app"}, {"Hashes", "SHA256=" + strings.Repeat("0123456789abcdef", 4)}} {
			e.Fields = append(e.Fields, sigma.Field{Name: f[0], Value: f[1]})
		}
		events = append(events, e)
	}
	return events
}

func benchmark(b *testing.B, e *sigma.Engine) {
	events := benchEvents(rand.New(rand.NewPCG(5, 6)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if m := e.Process(events[i%len(events)]); m != nil {
			b.Fatalf("%+v matched %s", events[i%len(events)], m[0].Rule.Title)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkRules300 holds events against 300 rules of their logsource.
func BenchmarkRules300(b *testing.B) {
	benchmark(b, engine(b, benchRules(rand.New(rand.NewPCG(1, 1))), sigma.Limits{}))
}

// BenchmarkRules300All asks every rule, without choosing by literals.
func BenchmarkRules300All(b *testing.B) {
	benchmark(b, engine(b, benchRules(rand.New(rand.NewPCG(1, 1))), sigma.Limits{}).WithoutSieve())
}

// BenchmarkCorrelation counts events that all match, of ten thousand groups.
func BenchmarkCorrelation(b *testing.B) {
	e := engine(b, correlated(threeInTen), sigma.Limits{})
	events := make([]*sigma.Event, 10_000)
	for i := range events {
		events[i] = event(fmt.Sprintf("E=a ip=10.0.%d.%d", i/256, i%256))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ev := events[i%len(events)]
		ev.Time = start.Add(time.Duration(i) * time.Millisecond)
		e.Process(ev)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// TestNothingIsAllocated where no rule is met.
func TestNothingIsAllocated(t *testing.T) {
	e := engine(t, benchRules(rand.New(rand.NewPCG(1, 1))), sigma.Limits{})
	events := benchEvents(rand.New(rand.NewPCG(5, 6)))
	for _, ev := range events {
		e.Process(ev) // the buffers find their size
	}
	i := 0
	if n := testing.AllocsPerRun(2000, func() { e.Process(events[i%len(events)]); i++ }); n > 0 {
		t.Errorf("got %v allocations an event, want none", n)
	}
}
