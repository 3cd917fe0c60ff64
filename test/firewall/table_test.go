package firewall_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/test/real"
)

// TestMadeAgain: whatever somebody else does to our table, it is back in a moment.
func TestMadeAgain(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.listen(h.host, 80)
	h.enforce()
	l := h.client()
	h.up(l)
	l.ban(attackerV4, time.Hour)
	l.ban("2001:db8:1::/64", 0)
	l.ban("203.0.113.0/24", time.Hour)
	want := []string{attackerV4 + "/32", "203.0.113.0/24", "2001:db8:1::/64"}
	h.banned(want...)
	for name, harm := range map[string]string{
		"the whole ruleset flushed":  "nft flush ruleset",
		"the table deleted":          "nft delete table inet doorward",
		"a chain flushed":            "nft flush chain inet doorward input",
		"a rule put before ours":     "nft insert rule inet doorward from4 accept",
		"a set emptied":              "nft flush set inet doorward v4_32",
		"one ban taken out":          "nft delete element inet doorward v4_32 '{ 198.51.100.66 }'",
		"a ban that nobody told":     "nft add element inet doorward v4_32 '{ 198.51.100.77 }'",
		"a protected address banned": "nft flush set inet doorward allow4; nft add element inet doorward v4_32 '{ 198.51.100.2 }'",
	} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.t = t
			h.in(h.host, harm)
			began := time.Now()
			h.banned(want...)
			real.Eventually(t, time.Minute, "the rules to be as before", func() bool {
				return !h.reaches(h.outside, attackerV4, hostV4, 80) && h.reaches(h.outside, neighbourV4, hostV4, 80)
			})
			if took := time.Since(began); took > 8*time.Second { // by itself it looks every ten
				t.Errorf("it took %v", took)
			}
		})
	}
	if status := h.status(); status.Rebuilt < 5 {
		t.Errorf("status says %+v, want to hear of it", status)
	}
}

func (h *hosts) status() firewall.Status {
	h.t.Helper()
	link, err := firewall.Dial(h.t.Context(), h.socket)
	if err != nil {
		h.t.Fatal(err)
	}
	defer link.Close()
	s, err := link.Status()
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// TestKilled: kill -9 takes no ban away, neither while the process is gone nor when it is back; and serve is told once of each.
func TestKilled(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.listen(h.host, 80)
	p := h.enforce()
	l := h.client()
	h.up(l)
	l.ban(attackerV4, time.Hour)
	l.ban(strangerV4, 20*time.Second) // long enough for what follows
	h.banned(attackerV4+"/32", strangerV4+"/32")
	pid := strings.TrimSpace(h.in(h.host, "pgrep -f '[e]nforce --config "+h.configFile+"'"))
	h.in(h.host, "kill -9 "+pid)
	real.Eventually(t, time.Minute, "enforce to be dead", p.Ended)
	h.want("while enforce is dead", map[string]bool{attackerV4: false, strangerV4: false, neighbourV4: true})
	real.Eventually(t, time.Minute, "the client to notice", func() bool { _, reason := l.client.State(); return reason != "" })
	// What changes meanwhile is told when it is back.
	l.ban(neighbourV4, 0)
	real.Eventually(t, time.Minute, "the kernel to end a ban by itself", func() bool { return h.reaches(h.outside, strangerV4, hostV4, 80) })
	h.want("still", map[string]bool{attackerV4: false, neighbourV4: true})
	h.enforce()
	h.want("as soon as it is back", map[string]bool{attackerV4: false})
	real.Eventually(t, time.Minute, "the client to be back", func() bool { _, reason := l.client.State(); return reason == "" })
	real.Eventually(t, time.Minute, "the bans to be told", func() bool { return len(h.kernel().Elements) == 2 })
	h.want("at the end", map[string]bool{attackerV4: false, neighbourV4: false, strangerV4: true})
	got := l.reasons()
	if len(got) != 3 || got[0] != "" || got[1] == "" || got[2] != "" {
		t.Errorf("the client told %q, want up, one failure, up", got)
	}
}

// TestMany: 100,000 bans are taken over, in the kernel and counted back, and found there again by a process
// that starts anew; adding one more takes no time.
func TestMany(t *testing.T) {
	h := newHosts(t)
	h.listen(h.host, 80)
	p := h.enforce()
	const many = 100_000
	list := make([]firewall.Element, 0, many)
	until := time.Now().Add(time.Hour)
	for i := range many / 2 {
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], 0x15000000+uint32(i)*3)
		six := [16]byte{0x20, 0x01, 0x0d, 0xb9}
		binary.BigEndian.PutUint32(six[4:], uint32(i))
		list = append(list, firewall.Element{Prefix: netip.PrefixFrom(netip.AddrFrom4(four), 32), Until: until},
			firewall.Element{Prefix: netip.PrefixFrom(netip.AddrFrom16(six), 64)})
	}
	list[0].Prefix = prefix(attackerV4)
	link, err := firewall.Dial(t.Context(), h.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	took := time.Hour
	var began time.Time
	for range 3 { // the machine may be busy with something else
		began = time.Now()
		refused, err := link.Sync(list)
		if err != nil || len(refused) > 0 {
			t.Fatalf("sync: %v, refused %v", err, refused)
		}
		took = min(took, time.Since(began))
	}
	t.Logf("%d bans in %v", many, took)
	if took > 20*time.Second { // the reach of 2 s is measured by make bench; this is for what grows with the square
		t.Errorf("%d bans took %v, want less than 20 s", many, took)
	}
	if got := len(h.kernel().Elements); got != many {
		t.Errorf("the kernel has %d bans, want %d", got, many)
	}
	h.want("among many", map[string]bool{attackerV4: false, neighbourV4: true})
	listed, err := link.List()
	if err != nil || len(listed) != many {
		t.Fatalf("list has %d, %v", len(listed), err)
	}
	if !slices.ContainsFunc(listed, func(e firewall.Element) bool {
		return e.Prefix == prefix(attackerV4) && e.Until.Sub(until).Abs() < time.Millisecond
	}) {
		t.Error("the list has not the ban with its end")
	}

	// One more among them: the answer comes when the kernel has it.
	c := h.asUser(0)
	in := bufio.NewReader(c)
	var times []time.Duration
	for i := range 200 {
		began := time.Now()
		if _, err := fmt.Fprintf(c, `{"do":"add","elements":[{"p":"20.0.0.%d/32","u":%d}]}`+"\n", i, until.UnixMicro()); err != nil {
			t.Fatal(err)
		}
		if got, err := in.ReadString('\n'); err != nil || got != "{}\n" {
			t.Fatalf("add got %s, %v", got, err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	t.Logf("one more: median %v, 99%% within %v", times[100], times[198])

	p.Stop()
	began = time.Now()
	h.enforce()
	t.Logf("a new process took %v to take them over", time.Since(began))
	if got := h.status().Elements; got < many {
		t.Errorf("after a restart there are %d bans, want %d", got, many)
	}
}

// TestPrivileges: the process is another user's, has CAP_NET_ADMIN and nothing else, and can start no program.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	h.enforce()
	pid := strings.TrimSpace(h.in(h.host, "pgrep -f '[e]nforce --config "+h.configFile+"'"))
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t \n", "CapPrm:\t0000000000001000", "CapEff:\t0000000000001000",
		"CapBnd:\t0000000000001000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the process has not %q:\n%s", want, status)
		}
	}
	threads, err := os.ReadDir("/proc/" + pid + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		status, err := os.ReadFile("/proc/" + pid + "/task/" + thread.Name() + "/status")
		if err == nil && (!strings.Contains(string(status), "CapPrm:\t0000000000001000") || !strings.Contains(string(status), "Seccomp:\t2")) {
			t.Errorf("thread %s has other rights:\n%s", thread.Name(), status)
		}
	}
}

// TestConfigurationOfOthers: a file that others can change says nothing about who is protected.
func TestConfigurationOfOthers(t *testing.T) {
	t.Parallel()
	real.Require(t, "nft")
	dir := real.Folder(t)
	file := real.Write(t, dir, "doorward.yaml", "firewall: {allow: [192.0.2.1]}\n", 0o664)
	out, err := exec.Command(real.Program(t), "enforce", "--config", file, "--socket", dir+"/sock", "--as", "nobody").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "can be changed by others than root") {
		t.Errorf("got %v: %s", err, out)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(real.Program(t), "enforce", "--config", file, "--socket", dir+"/sock")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err = cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "have to be CAP_NET_ADMIN alone") {
		t.Errorf("without the capability: got %v: %s", err, out)
	}
}
