package seclang_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/seclang"
)

// runs is how often Coraza is asked at most when its outcome is not ours: it walks Go maps and varies from run to run.
const runs = 24

// full is set for every input and all mutations. Without it each setup gets one input of sampled, since Coraza takes 10 ms
// of CPU for each and the machines of the continuous tests are slow.
func full() bool { return os.Getenv("DOORWARD_FULL") != "" }

// sampled is the share of inputs of one setup that run by default; setups take different ones.
const sampled = 8

// unmet are inputs at which CRS expects what only a server in front of the rules can do.
var unmet = map[string]string{
	"920181-1-1": "Apache drops the Content-Length beside a Transfer-Encoding before the rules see it",
	"920430-5-1": "a server refuses the version of the protocol with 505",
	"920620-1-1": "Apache makes one header of two",
	"920640-5-1": "a server takes no body without a Content-Length from HTTP/1.1",
	"921140-1-1": "a server refuses the control character in the header with 400",
}

func TestSameRulesAsCoraza(t *testing.T) {
	all := inputs(t)
	for n, s := range []setup{{1, false, false}, {1, true, false}, {4, false, false}, {4, true, false}} {
		t.Run(s.String(), func(t *testing.T) {
			e := newEngines(t, s)
			seen := 0
			for i := range all {
				if !full() && i%sampled != 2*n {
					continue
				}
				seen++
				e.compare(t, all[i].name, &all[i].request)
			}
			e.report(t, seen)
		})
	}
}

// TestExpectationsOfCRS asks for what the regression tests themselves expect, at the paranoia level they are written for.
func TestExpectationsOfCRS(t *testing.T) {
	site := newSite(t, newProgram(t, setup{4, false, false}), false)
	all := inputs(t)
	failed := 0
	for i := range all {
		in := &all[i]
		o := runDoorward(site, &in.request)
		if met(in, o) {
			continue
		}
		if failed++; unmet[in.name] == "" {
			t.Errorf("%s: got %v, want %v and not %v", in.name, o, in.expect, in.unexpect)
		}
	}
	t.Logf("%d of %d expectations are met", len(all)-failed, len(all))
}

// engines are both engines with one setup, and what was found different so far.
type engines struct {
	setup     setup
	coraza    func(*request) outcome
	fast      func(*request) outcome
	plain     func(*request) outcome
	different int
	reasons   map[string]int // accepted differences
	byRule    map[string]int
}

func newEngines(t testing.TB, s setup) *engines {
	waf := newCoraza(t, s)
	p := newProgram(t, s)
	fast, plain := newSite(t, p, false), newSite(t, p, true)
	return &engines{setup: s, byRule: map[string]int{}, reasons: map[string]int{},
		coraza: func(r *request) outcome { return runCoraza(waf, r) },
		fast:   func(r *request) outcome { return runDoorward(fast, r) },
		plain:  func(r *request) outcome { return runDoorward(plain, r) }}
}

// compare fails the test when our outcome is none of Coraza's.
func (e *engines) compare(t *testing.T, name string, r *request) {
	t.Helper()
	ours := e.fast(r)
	var theirs outcome
	for range runs {
		if theirs = e.coraza(r); theirs.String() == ours.String() {
			return
		}
	}
	if why := e.accepted(r, ours, theirs); why != "" {
		e.reasons[why]++
		return
	}
	e.different++
	d := differences(ours, theirs)
	for _, one := range d {
		e.byRule[one]++
	}
	if e.different <= 50 {
		t.Errorf("%s: got %v beside Coraza's rules (plain: %v) for %+v", name, d, differences(e.plain(r), theirs), *r)
	}
}

// accepted says why another outcome than Coraza's is right, or "".
func (e *engines) accepted(r *request, ours, theirs outcome) string {
	more := !slices.ContainsFunc(differences(ours, theirs), func(d string) bool { return d[0] == '-' && d != "-980043" })
	both := func(id int) bool { return slices.Contains(ours.ids, id) && slices.Contains(theirs.ids, id) }
	switch {
	case !e.setup.block && (both(200002) || both(200003)) && more:
		// What rules see of a body that cannot be read (200002), or of its parts (200003), is what each parser makes of it.
		// Where rules refuse, the same rule does, and that is compared.
		return "malformed, ours reads more"
	case !e.setup.block && (both(200002) || both(200003)):
		return "malformed, read in another way"
	case losesArguments(r.body):
		return "Coraza loses arguments whose names differ in case only"
	case more && partedText(r.body):
		return "XML's text is read in its pieces, as in Coraza, and whole"
	case more && strings.Contains(r.body, "Content-Disposition: ") && !strings.Contains(r.body, "Content-Disposition: form-data;"):
		return "Coraza gives parts of another disposition no name"
	}
	return ""
}

// partedText says whether something stands in the body that parts XML's text without an element.
func partedText(body string) bool {
	return strings.Contains(body, "<!") || strings.Contains(body, "<?")
}

// losesArguments says whether a form has names that differ in case only. Coraza keeps the values of one of them, and which
// one depends on the run; ours are all looked at, as in ModSecurity.
func losesArguments(body string) bool {
	seen := map[string]string{}
	for pair := range strings.SplitSeq(body, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		low := strings.ToLower(name)
		if before, ok := seen[low]; ok && before != name {
			return true
		}
		seen[low] = name
	}
	return false
}

// report says by rule what was different.
func (e *engines) report(t *testing.T, seen int) {
	agree := seen - e.different
	for why, n := range e.reasons {
		agree -= n
		t.Logf("%s: %d accepted: %s", e.setup, n, why)
	}
	t.Logf("%s: %d of %d agree with Coraza, %d differ", e.setup, agree, seen, e.different)
	rules := slices.SortedFunc(maps.Keys(e.byRule), func(a, b string) int { return cmp.Compare(e.byRule[b], e.byRule[a]) })
	for _, r := range rules {
		t.Logf("%s: %s: %d", e.setup, r, e.byRule[r])
	}
}

// differences says what one has and the other has not.
func differences(ours, theirs outcome) []string {
	var all []string
	for _, id := range ours.ids {
		if !slices.Contains(theirs.ids, id) {
			all = append(all, fmt.Sprintf("+%d", id))
		}
	}
	for _, id := range theirs.ids {
		if !slices.Contains(ours.ids, id) {
			all = append(all, fmt.Sprintf("-%d", id))
		}
	}
	if ours.refused != theirs.refused {
		all = append(all, fmt.Sprintf("refused by %d and not %d", ours.refused, theirs.refused))
	}
	return all
}

// met says whether an outcome is what the regression test expects.
func met(in *input, o outcome) bool {
	for _, id := range in.expect {
		if !slices.Contains(o.ids, id) {
			return false
		}
	}
	for _, id := range in.unexpect {
		if slices.Contains(o.ids, id) {
			return false
		}
	}
	return true
}

// TestFastSaysWhatPlainSays compares the two ways of evaluating with everything that they say: rules in their order, values
// found, messages and scores.
func TestFastSaysWhatPlainSays(t *testing.T) {
	all := inputs(t)
	p := newProgram(t, setup{4, false, false})
	fast, plain := newSite(t, p, false), newSite(t, p, true)
	seen := 0
	for i := range all {
		if !full() && i%sampled != 1 {
			continue
		}
		seen++
		if f, p := everything(fast, &all[i].request), everything(plain, &all[i].request); f != p {
			t.Errorf("%s: got\n%s\nwant as the plain way\n%s", all[i].name, f, p)
		}
	}
	t.Logf("%d inputs compared", seen)
}

// everything is all that a transaction says.
func everything(site *seclang.Site, r *request) string {
	tx := begin(site, r)
	defer tx.Close()
	var b strings.Builder
	for _, m := range tx.Matches() {
		fmt.Fprintf(&b, "%d %q %q %d", m.Rule.ID, m.Message, m.LogData, m.Values)
		for _, f := range m.Found {
			fmt.Fprintf(&b, " %s=%q(%q)", f.Name(), f.Value, f.Raw)
		}
		b.WriteByte('\n')
	}
	for _, name := range []string{"blocking_inbound_anomaly_score", "blocking_outbound_anomaly_score"} {
		score, _ := tx.Variable(name)
		fmt.Fprintf(&b, "%s=%s\n", name, score)
	}
	return b.String()
}
