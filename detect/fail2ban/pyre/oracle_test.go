package pyre_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/doorward/doorward/detect/fail2ban/pyre"
)

// question is an expression and the texts to search in; answer is what Python says.
type question struct {
	Expr  string   `json:"e"`
	Flags string   `json:"f"`
	Texts []string `json:"t"`
}

type answer struct {
	Error string    `json:"error"`
	Names []string  `json:"names"` // by group, from 1
	Spans [][][]int `json:"spans"` // by text: null, the spans in bytes, or [] if it takes exponential time
}

const oracleScript = `
import sys, re, json, signal, warnings
warnings.simplefilter("ignore")
def slow(*_):
    raise TimeoutError
signal.signal(signal.SIGALRM, slow)
flags = {"i": re.I, "m": re.M, "s": re.S, "x": re.X, "a": re.A}
for line in sys.stdin:
    q = json.loads(line)
    try:
        f = 0
        for c in q["f"]:
            f |= flags[c]
        r = re.compile(q["e"], f)
    except RecursionError:
        print(json.dumps({"error": "recursion"}), flush=True)
        continue
    except Exception as e:
        print(json.dumps({"error": str(e)}), flush=True)
        continue
    names = [""] * r.groups
    for n, i in r.groupindex.items():
        names[i-1] = n
    spans = []
    for t in q["t"]:
        try:
            signal.setitimer(signal.ITIMER_REAL, 1)
            m = r.search(t)
        except TimeoutError:
            spans.append([])
            continue
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if m is None:
            spans.append(None)
            continue
        at = lambda i: i if i < 0 else len(t[:i].encode())
        spans.append([[at(m.start(g)), at(m.end(g))] for g in range(r.groups + 1)])
    print(json.dumps({"error": "", "names": names, "spans": spans}), flush=True)
    re.purge()
`

// python is a running interpreter that answers questions.
type python struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// newPython starts Python 3.11, whose rules this package follows. Other versions word errors differently.
func newPython(t testing.TB) *python {
	t.Helper()
	for _, name := range []string{"python3.11", "/usr/bin/python3", "python3"} {
		version, err := exec.Command(name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
		if err != nil || strings.TrimSpace(string(version)) != "3.11" {
			continue
		}
		cmd := exec.Command(name, "-u", "-c", oracleScript)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); cmd.Wait() })
		return &python{in: in, out: bufio.NewReaderSize(out, 1<<20)}
	}
	t.Skip("no Python 3.11 on this machine: nothing can say whether the answers are Python's")
	return nil
}

func (p *python) ask(t testing.TB, q question) answer {
	t.Helper()
	line, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	line, err = p.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("python: %v (after %q)", err, q.Expr)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func options(flags string) pyre.Options {
	return pyre.Options{IgnoreCase: strings.Contains(flags, "i"), MultiLine: strings.Contains(flags, "m"),
		DotAll: strings.Contains(flags, "s"), Verbose: strings.Contains(flags, "x"), ASCII: strings.Contains(flags, "a")}
}

// spansOf is a match as answer has it.
func spansOf(re *pyre.Regexp, m *pyre.Match) [][]int {
	if m == nil {
		return nil
	}
	var all [][]int
	for g := range re.Groups() + 1 {
		start, end := m.Span(g)
		all = append(all, []int{start, end})
	}
	return all
}

// compare puts a question to both and reports what differs. It returns on how many texts the matcher gave up.
func compare(t *testing.T, py *python, q question) (timeouts int) {
	t.Helper()
	want := py.ask(t, q)
	re, err := pyre.Compile(q.Expr, options(q.Flags))
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want.Error {
		t.Errorf("compile %q (%s): error %q, Python has %q", q.Expr, q.Flags, got, want.Error)
		return 0
	}
	if err != nil {
		return 0
	}
	if names := re.Names()[1:]; fmt.Sprint(names) != fmt.Sprint(want.Names) {
		t.Errorf("%q: names %q, want %q", q.Expr, names, want.Names)
	}
	fast, err := pyre.Compile(q.Expr, pyre.Options{Timeout: 1, IgnoreCase: strings.Contains(q.Flags, "i"),
		MultiLine: strings.Contains(q.Flags, "m"), DotAll: strings.Contains(q.Flags, "s"),
		Verbose: strings.Contains(q.Flags, "x"), ASCII: strings.Contains(q.Flags, "a")})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range q.Texts {
		if want.Spans[i] != nil && len(want.Spans[i]) == 0 {
			continue
		}
		m, err := re.Search(text)
		if errors.Is(err, pyre.ErrTimeout) {
			timeouts++
		} else if got, want := fmt.Sprint(spansOf(re, m)), fmt.Sprint(want.Spans[i]); got != want || err != nil {
			t.Errorf("search %q (%s) in %q: %s, %v; Python has %s", q.Expr, q.Flags, text, got, err, want)
		}
		checkSeen(t, re, m, text)
		// Without any steps only Go's regexp is left: it answers the same or not at all.
		m, err = fast.Search(text)
		if got, want := fmt.Sprint(spansOf(re, m)), fmt.Sprint(want.Spans[i]); err == nil && got != want {
			t.Errorf("search %q (%s) in %q in linear time: %s; Python has %s", q.Expr, q.Flags, text, got, want)
		}
		checkLiterals(t, re, q, text, want.Spans[i])
	}
	return timeouts
}

// checkLiterals: a match without any of the literals would be lost by the prefilter.
func checkLiterals(t *testing.T, re *pyre.Regexp, q question, text string, spans [][]int) {
	t.Helper()
	literals, fold := re.Literals()
	if spans == nil || len(literals) == 0 {
		return
	}
	if fold {
		text = strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, text)
	}
	for _, l := range literals {
		if strings.Contains(text, l) {
			return
		}
	}
	t.Errorf("%q (%s) matches %q, which has none of its literals %q", q.Expr, q.Flags, text, literals)
}

// checkSeen changes what comes after the bytes that decided.
func checkSeen(t *testing.T, re *pyre.Regexp, m *pyre.Match, text string) {
	t.Helper()
	if m == nil || m.Seen() == 0 {
		return
	}
	for _, after := range []string{"", "a", "b", "\n", " é", "ab\n1"} {
		other, err := re.Search(text[:m.Seen()] + after)
		if got, want := fmt.Sprint(spansOf(re, other)), fmt.Sprint(spansOf(re, m)); got != want || err != nil {
			t.Errorf("%q: %q has match %s, %q has %s, %v", re, text, want, text[:m.Seen()]+after, got, err)
		}
	}
}
