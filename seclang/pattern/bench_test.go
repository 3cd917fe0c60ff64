package pattern_test

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/doorward/doorward/seclang/pattern"
)

// values are what a request carries: parameters, cookies, headers, names and prose. A number stands for what differs
// from one request to the next.
func values(n int) []string {
	return []string{
		"/index.php", "/Ticket/Display.html", fmt.Sprint(n), "en-US,en;q=0.5", "gzip, deflate, br",
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		fmt.Sprintf("https://shop.example.org/products?page=%d&sort=price", n),
		fmt.Sprintf("session=%08x%08x; theme=dark; _ga=GA1.2.%d.1700000000", n*2654435761, n*40503, n*7919),
		"q", "name", "email", "comment", "Anna Müller", fmt.Sprintf("anna.mueller%d@example.org", n),
		fmt.Sprintf("Hauptstraße %d, 10115 Berlin", n%200), "+49 30 1234567", "2026-11-25", "application/x-www-form-urlencoded",
		fmt.Sprintf("Hello, I ordered the blue lamp (number %d) last week, and it doesn't work. Can you send another one? Thanks!", n),
		"The update of the printer driver failed; see the log and the table in the second section.",
		fmt.Sprintf("%016x%016x", uint64(n)*0x9E3779B97F4A7C15, uint64(n)*0xC2B2AE3D27D4EB4F),
		"true", "keep-alive", "navigate", `"Chromium";v="140", "Not=A?Brand";v="24"`,
	}
}

// processorTime is what this process has used, in nanoseconds.
func processorTime(t testing.TB) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// cpu reports the processor's time, because the clock's says little on a machine with other work.
func cpu(b *testing.B, per int) {
	b.Helper()
	start := processorTime(b)
	b.Cleanup(func() { b.ReportMetric(float64(processorTime(b)-start)/float64(b.N)/float64(per), "cpu-ns/value") })
}

// engine is all expressions for requests behind one finder.
type engine struct {
	fast   []*pattern.Regexp
	slow   []*regexp.Regexp // nil: about bytes
	ids    []string
	all    *pattern.Finder
	asks   [][]int // by expression: the bits it asks
	memory *pattern.Memory
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	e := &engine{memory: pattern.NewMemory(32 << 20)}
	var sets [][]string
	for _, r := range rulesOf(t, "rx") {
		if r.response {
			continue
		}
		re, err := pattern.CompileIn(e.memory, r.argument)
		if err != nil {
			t.Fatal(err)
		}
		var slow *regexp.Regexp
		if !pattern.MeansBytes(r.argument) {
			slow = judge(t, r.argument)
		}
		var asks []int
		for _, set := range re.Needs() {
			asks = append(asks, len(sets))
			sets = append(sets, set)
		}
		e.fast, e.slow, e.ids, e.asks = append(e.fast, re), append(e.slow, slow), append(e.ids, r.id), append(e.asks, asks)
	}
	e.all = finder(t, sets)
	return e
}

// candidates calls f for each expression that the value may match.
func (e *engine) candidates(value string, hits []uint64, f func(i int)) {
	clear(hits)
	e.all.Scan(value, hits)
next:
	for i, asks := range e.asks {
		for _, bit := range asks {
			if hits[bit/64]&(1<<(bit%64)) == 0 {
				continue next
			}
		}
		f(i)
	}
}

// goMatch is what Go's regexp alone does.
func (e *engine) goMatch(i int, value string) bool {
	if e.slow[i] == nil {
		return e.fast[i].Submatch(value) != nil
	}
	return e.slow[i].MatchString(value)
}

func BenchmarkGoAlone(b *testing.B) {
	e := newEngine(b)
	all := values(1)
	b.ResetTimer()
	cpu(b, len(all))
	matches, n := 0, 0
	for b.Loop() {
		for _, v := range values(n) {
			for i := range e.fast {
				if e.goMatch(i, v) {
					matches++
				}
			}
		}
		n++
	}
	b.ReportMetric(float64(matches)/float64(n*len(all)), "matches/value")
}

func BenchmarkLiteralsAndGo(b *testing.B) {
	e := newEngine(b)
	benchmarkCandidates(b, e, e.goMatch)
}

func BenchmarkLiteralsAndLazy(b *testing.B) {
	e := newEngine(b)
	benchmarkCandidates(b, e, func(i int, v string) bool { return e.fast[i].Match(v) })
	b.Logf("%+v", e.memory.Usage())
}

func BenchmarkLazyAlone(b *testing.B) {
	e := newEngine(b)
	for i := range e.asks {
		e.asks[i] = nil
	}
	benchmarkCandidates(b, e, func(i int, v string) bool { return e.fast[i].Match(v) })
}

func benchmarkCandidates(b *testing.B, e *engine, match func(i int, v string) bool) {
	hits := make([]uint64, e.all.Words())
	all := values(1)
	b.ResetTimer()
	b.ReportAllocs()
	cpu(b, len(all))
	matches, candidates, n := 0, 0, 0
	for b.Loop() {
		for _, v := range values(n) {
			e.candidates(v, hits, func(i int) {
				candidates++
				if match(i, v) {
					matches++
				}
			})
		}
		n++
	}
	b.ReportMetric(float64(candidates)/float64(n*len(all)), "candidates/value")
	b.ReportMetric(float64(matches)/float64(n*len(all)), "matches/value")
}

func BenchmarkScan(b *testing.B) {
	e := newEngine(b)
	hits := make([]uint64, e.all.Words())
	all := values(1)
	bytes := 0
	for _, v := range all {
		bytes += len(v)
	}
	b.SetBytes(int64(bytes))
	b.ResetTimer()
	cpu(b, len(all))
	for b.Loop() {
		for _, v := range all {
			e.all.Scan(v, hits)
		}
	}
	members, size := e.all.Size()
	b.Logf("%d members, %d bytes, %d words", members, size, e.all.Words())
}

// BenchmarkLoad is what a program pays once: all expressions for requests and their finder.
func BenchmarkLoad(b *testing.B) {
	cpu(b, 1)
	for b.Loop() {
		newEngine(b)
	}
}

// page is like an HTML answer of an application.
func page() string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tickets</title><link rel=\"stylesheet\" href=\"/static/main.css\"></head>\n<body>\n<table class=\"list\">\n")
	for i := 0; b.Len() < 100<<10; i++ {
		fmt.Fprintf(&b, "  <tr id=\"row-%d\"><td><a href=\"/Ticket/Display.html?id=%d\">Printer on floor %d doesn't work</a></td><td>Anna Müller &lt;anna%d@example.org&gt;</td><td>2026-11-%02d</td></tr>\n", i, i, i%7, i, i%28+1)
	}
	b.WriteString("</table></body></html>\n")
	return b.String()
}

func BenchmarkPage(b *testing.B) {
	memory := pattern.NewMemory(32 << 20)
	e := &engine{memory: memory}
	var sets [][]string
	for _, r := range rulesOf(b, "rx") {
		if !r.response {
			continue
		}
		re, err := pattern.CompileIn(memory, r.argument)
		if err != nil {
			b.Fatal(err)
		}
		var asks []int
		for _, set := range re.NeedsIn(pattern.Responses) {
			asks = append(asks, len(sets))
			sets = append(sets, set)
		}
		e.fast, e.ids, e.asks = append(e.fast, re), append(e.ids, r.id), append(e.asks, asks)
	}
	e.all = finder(b, sets)
	text := page()
	hits := make([]uint64, e.all.Words())
	b.Run("scan", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		cpu(b, 1)
		for b.Loop() {
			e.all.Scan(text, hits)
		}
	})
	b.Run("all", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		cpu(b, 1)
		for b.Loop() {
			e.candidates(text, hits, func(i int) { e.fast[i].Match(text) })
		}
	})
	members, size := e.all.Size()
	b.Logf("%d members, %d bytes, %d sets", members, size, len(sets))
	e.candidates(text, hits, func(i int) { b.Logf("candidate %s: %.80s", e.ids[i], e.fast[i]) })
}

func BenchmarkOneExpression(b *testing.B) {
	text := page()
	for _, expr := range []string{`foo\s+bar`, `(?i)\bexception\b.*$`} {
		re := compile(b, expr)
		b.Run(expr, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			cpu(b, 1)
			for b.Loop() {
				re.Match(text)
			}
		})
	}
}
