package fix_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is one misconfiguration of the table. It shows that the verdict is what the live server does, that the repair ends both, and
// that undo brings back every byte, and both.
type row struct {
	name    string
	topic   string // sshd, php, apache, nginx, mariadb, postgresql, files, firewall, cron, tls, headers, asterisk, system
	control string
	// variant is bad, tricky (what a look at the obvious place misses) or good: then the control passes and nothing is changed.
	variant string
	// breaks is a shell script that makes it so. The kind's restart runs after it.
	breaks string
	// good is a shell script that succeeds while what lives behaves well. Empty: only the files know.
	good string
	// alone rows share no round with others.
	alone bool
}

// kind is a kind of host: a disposable copy that its rows share.
type kind struct {
	name     string
	programs []string
	folders  string // everything that rows and repairs change: restored after each round, and compared
	setup    string // a shell script, once
	config   string // of Doorward
	restart  string // has the server read what breaks wrote; at the begin of each round and at its end
	up       string // succeeds once the server answers
	log      string // prints what the server said, for whoever reads a failure
	state    string // prints what else has to be as before after undo
	rows     []row
}

// kinds are all of them. A topic adds its own here and has a file table_TOPIC_test.go.
func kinds() []kind {
	return append([]kind{sshKind(), apacheKind(), apacheTLSKind(), nginxKind(), fpmKind(), hostKind()}, dataKinds()...)
}

const doorwardFlags = " -c /etc/doorward/doorward.yaml"

// TestTable runs every row: the verdict is fail and the behaviour bad, doorward fix apply, pass and good, doorward fix undo, every
// byte, mode and owner as before, fail and bad. Rows of different controls share a round.
func TestTable(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, k.programs...)
			h.run("mkdir -p /etc/doorward; " + k.setup)
			h.write("/etc/doorward/doorward.yaml", k.config)
			h.run("tar -C / -cf /var/table.tar " + strings.ReplaceAll(k.folders, " /", " ./")[1:])
			for i, rows := range k.rounds() {
				t.Run(fmt.Sprintf("round%d", i+1), func(t *testing.T) {
					at := *h
					at.t = t
					at.round(k, rows, i == 0)
				})
			}
		})
	}
}

// rounds shares the rows out: good ones apart from the others, no control twice.
func (k kind) rounds() [][]row {
	var all [][]row
	for _, r := range k.rows {
		at := slices.IndexFunc(all, func(rows []row) bool {
			return !r.alone && !rows[0].alone && (rows[0].variant == "good") == (r.variant == "good") &&
				!slices.ContainsFunc(rows, func(o row) bool { return o.control == r.control })
		})
		if at < 0 {
			all = append(all, []row{r})
		} else {
			all[at] = append(all[at], r)
		}
	}
	return all
}

// round takes rows through everything. That the verdict after undo is as before too is asked again in the first round of a kind
// alone: it comes from the same bytes.
func (h *host) round(k kind, rows []row, again bool) {
	h.t.Helper()
	for _, r := range rows {
		h.run("set -e\n" + r.breaks)
	}
	h.restart(k)
	defer func() {
		h.run("chattr -R -f -i " + k.folders + "; rm -rf " + k.folders + " /var/lib/doorward-fix; tar -C / -xpf /var/table.tar")
		h.restart(k)
	}()
	before, state := h.snapshot(k.folders), h.run(k.state+"\n:")
	first := "fail"
	if rows[0].variant == "good" {
		first = "pass"
	}
	h.stand(rows, "before", first, true)
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.control
	}
	out, err := h.try("doorward fix apply --yes " + strings.Join(ids, " ") + doorwardFlags)
	if first == "pass" {
		if now := h.snapshot(k.folders); now != before {
			h.t.Errorf("what was good is changed:\n%s", difference(before, now))
		}
		return
	}
	if err != nil {
		h.t.Errorf("apply: %v\n%s", err, out)
	}
	h.stand(rows, "after apply", "pass", true)
	if h.t.Failed() {
		h.t.Logf("apply said:\n%s", out)
	}
	if out, err := h.try("doorward fix undo --all"); err != nil {
		h.t.Errorf("undo: %v\n%s", err, out)
	}
	if now := h.snapshot(k.folders); now != before {
		h.t.Errorf("after undo it is not as before:\n%s", difference(before, now))
	}
	if now := h.run(k.state + "\n:"); now != state {
		h.t.Errorf("after undo the state is\n%s\nand was\n%s", now, state)
	}
	h.stand(rows, "after undo", first, again)
}

// stand looks at the verdict and the behaviour of each row.
func (h *host) stand(rows []row, when, want string, audit bool) {
	h.t.Helper()
	var verdicts map[string]verdict
	if audit {
		verdicts = h.verdicts()
	}
	for _, r := range rows {
		h.t.Run(r.topic+"/"+r.variant+"/"+r.name+"/"+when, func(t *testing.T) {
			at := *h
			at.t = t
			if got := verdicts[r.control]; audit && got.host() != want {
				t.Errorf("%s is %s (%s), want %s\n%s", r.control, got.Status, got.Reason, want, got.evidence())
			}
			if r.good == "" {
				return
			}
			var said string
			for range 240 { // a server that reads its configuration again still answers by the old one for a moment
				out, err := at.try(r.good)
				if said = out; (err == nil) == (want == "pass") {
					return
				}
				time.Sleep(250 * time.Millisecond)
			}
			t.Errorf("the behaviour is not %s: %s\n%s", want, r.good, said)
		})
	}
}

func (h *host) restart(k kind) {
	h.t.Helper()
	if k.restart != "" {
		h.run(k.restart)
	}
	if k.up == "" {
		return
	}
	var said string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		out, err := h.try(k.up)
		if said = out; err == nil {
			return
		}
	}
	h.t.Fatalf("%s does not answer: %s\n%s", k.name, said, h.run(k.log+"\n:"))
}

// verdict is one control of a report.
type verdict struct {
	ID, Status, Reason string
	Evidence           []struct {
		Fact, Value, Origin string
		Offends             bool
	}
}

// host is the verdict as far as the host goes: what a person has to answer besides is no matter of a repair.
func (v verdict) host() string {
	if v.Status == "fail" && strings.HasPrefix(v.Reason, "nobody has attested it") {
		return "pass"
	}
	return v.Status
}

func (v verdict) evidence() string {
	var b strings.Builder
	for _, e := range v.Evidence {
		fmt.Fprintf(&b, "  offends=%v %s = %s (%s)\n", e.Offends, e.Fact, e.Value, e.Origin)
	}
	return b.String()
}

// verdicts asks doorward audit.
func (h *host) verdicts() map[string]verdict {
	h.t.Helper()
	out := h.run("doorward audit --format json --no-keep --fail-on none 2>/root/audit.err" + doorwardFlags)
	var report struct{ Results []verdict }
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		h.t.Fatalf("read the report: %v\n%s", err, out)
	}
	all := map[string]verdict{}
	for _, v := range report.Results {
		all[v.ID] = v
	}
	return all
}

// difference is the lines that two snapshots do not share.
func difference(before, now string) string {
	var b strings.Builder
	for line := range strings.Lines(before) {
		if !strings.Contains(now, line) {
			b.WriteString("-" + line)
		}
	}
	for line := range strings.Lines(now) {
		if !strings.Contains(before, line) {
			b.WriteString("+" + line)
		}
	}
	return b.String()
}

// TestTableIsWide: the topics that the table has to have, each bad and tricky, and how many rows there are.
func TestTableIsWide(t *testing.T) {
	count, seen := map[string]int{}, map[string]bool{}
	all := 0
	for _, k := range kinds() {
		for _, r := range k.rows {
			if !slices.Contains([]string{"bad", "good", "tricky"}, r.variant) {
				t.Errorf("%s: variant %q", r.name, r.variant)
			}
			if key := k.name + "/" + r.topic + "/" + r.variant + "/" + r.name; seen[key] {
				t.Errorf("%s is there twice", key)
			} else {
				seen[key] = true
			}
			count[r.topic+" "+r.variant]++
			all++
		}
	}
	for _, topic := range []string{"sshd", "apache", "nginx", "php", "tls", "headers", "system"} {
		for _, variant := range []string{"bad", "tricky"} {
			if count[topic+" "+variant] == 0 {
				t.Errorf("no %s row about %s", variant, topic)
			}
		}
	}
	t.Logf("%d rows: %v", all, count)
}
