package audit_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/rules"
)

// The host under audit and its peer are two network namespaces. The peer is the host's router, and has the addresses of
// a stranger and of an administrator.
const (
	hostV4, hostV6         = "198.51.100.1", "2001:db8:1::1"
	peerV4, peerV6         = "198.51.100.2", "2001:db8:1::2"
	strangerV4, strangerV6 = "203.0.113.77", "2001:db8:2::77" // rules name this one's network
	anyoneV4, anyoneV6     = "9.8.7.6", "2001:db8:3::6"       // and never this one's
	adminV4, adminV6       = "192.0.2.9", "2001:db8:a::9"
	roleVariable           = "DOORWARD_TEST_ROLE"
	adminsOnly             = `{"AdminNetworks": ["192.0.2.0/24", "2001:db8:a::/64"]}`
)

// observed is what the audit in the namespace prints.
type observed struct {
	Firewall facts.Firewall
	Missing  []facts.Missing
	Status   map[string]audit.Status
	Findings map[string]audit.Finding
}

// attempt is a connection to make.
type attempt struct {
	From, To string // To is host:port, or an address to ping
	Wait     time.Duration
}

// What is not to come is waited for a moment, and what is to come, long: the machine may be busy.
const moment, long = 700 * time.Millisecond, 20 * time.Second

// TestFirewallRole is what this test's own program does inside a namespace; without a role it does nothing.
func TestFirewallRole(t *testing.T) {
	role, input, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case "serve":
		serve(t, strings.Fields(input))
	case "dial":
		dialAll(t, input)
	case "audit":
		auditHere(t, input)
	}
}

// serve listens until its standard input ends, and greets whoever connects. A word is an address, with what is said after =;
// "nobody" gives away root's rights first.
func serve(t *testing.T, words []string) {
	for _, word := range words {
		if word == "nobody" {
			if err := syscall.Setuid(65534); err != nil {
				t.Fatal(err)
			}
			continue
		}
		a, greeting, ok := strings.Cut(word, "=")
		if !ok {
			greeting = "here"
		}
		network := "tcp"
		if strings.HasPrefix(a, "0.0.0.0:") { // of which Go makes a socket for both versions otherwise
			network = "tcp4"
		}
		l, err := net.Listen(network, a)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte(greeting))
				_ = c.Close()
			}
		}()
	}
	fmt.Println("serving")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

func dialAll(t *testing.T, input string) {
	var all []attempt
	if err := json.Unmarshal([]byte(input), &all); err != nil {
		t.Fatal(err)
	}
	done := make([]bool, len(all))
	var wait sync.WaitGroup
	for i, a := range all {
		wait.Go(func() { done[i] = a.made() })
	}
	wait.Wait()
	out, _ := json.Marshal(done)
	fmt.Printf("RESULT %s\n", out)
}

// made says whether the connection comes about, both ways.
func (a attempt) made() bool {
	if !strings.HasSuffix(a.To, "]") && strings.Count(a.To, ":") != 1 {
		return ping(a.From, a.To, a.Wait)
	}
	d := net.Dialer{Timeout: a.Wait}
	if a.From != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(a.From)}
	}
	c, err := d.Dial("tcp", strings.TrimSuffix(a.To, "]"))
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(a.Wait))
	buf := make([]byte, 4)
	n, _ := c.Read(buf)
	return string(buf[:n]) == "here"
}

func ping(from, to string, wait time.Duration) bool {
	network, kind, answer := "ip4:icmp", byte(8), byte(0)
	if strings.Contains(to, ":") {
		network, kind, answer = "ip6:ipv6-icmp", 128, 129
	}
	c, err := net.ListenPacket(network, from)
	if err != nil {
		return false
	}
	defer c.Close()
	message := binary.BigEndian.AppendUint16([]byte{kind, 0, 0, 0}, uint16(time.Now().UnixNano())) // an id that no connection tracking knows
	message = append(message, 0, 1)
	if kind == 8 {
		sum := uint32(0)
		for i := 0; i < len(message); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(message[i:]))
		}
		binary.BigEndian.PutUint16(message[2:], ^uint16(sum&0xffff+sum>>16))
	}
	_ = c.SetDeadline(time.Now().Add(wait))
	if _, err := c.WriteTo(message, &net.IPAddr{IP: net.ParseIP(to)}); err != nil {
		return false
	}
	buf := make([]byte, 200)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return false
		}
		if n > 0 && buf[0] == answer {
			return true
		}
	}
}

// auditHere audits the namespace, with a configuration in JSON.
func auditHere(t *testing.T, config string) {
	target := facts.Target{Now: time.Now()}
	if err := json.Unmarshal([]byte(config), &target.Config); err != nil {
		t.Fatal(err)
	}
	h, err := facts.OpenHost(facts.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(t.Context(), h, target, nil)
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	r := observed{Missing: f.Missing, Status: map[string]audit.Status{}, Findings: map[string]audit.Finding{}}
	r.Firewall, _ = f.Values["firewall"].(facts.Firewall)
	all, _ := cat.Profile("all")
	for _, finding := range cat.Judge(all, f, audit.Records{}) {
		r.Status[finding.ID], r.Findings[finding.ID] = finding.Status, finding
	}
	out, _ := json.Marshal(r)
	fmt.Printf("RESULT %s\n", out)
}

// pair is the two namespaces.
type pair struct{ host, peer string }

func newPair(t *testing.T) pair {
	t.Helper()
	name := strings.ToLower(t.Name()[:12]) + fmt.Sprint(os.Getpid())
	p := pair{name + "h", name + "p"}
	t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "del", p.host).Run()
		_ = exec.Command("ip", "netns", "del", p.peer).Run()
	})
	sh(t, "ip netns add "+p.host+" && ip netns add "+p.peer)
	sh(t, fmt.Sprintf("ip -n %s link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 address 02:00:00:00:00:02 netns %s", p.host, p.peer))
	for _, ns := range []string{p.host, p.peer} {
		sh(t, fmt.Sprintf("ip -n %s link set lo up; ip -n %s link set eth0 up", ns, ns))
	}
	sh(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth0; ip -n %s addr add %s/64 dev eth0 nodad", p.host, hostV4, p.host, hostV6))
	sh(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth0; ip -n %s addr add %s/64 dev eth0 nodad", p.peer, peerV4, p.peer, peerV6))
	for _, a := range []string{strangerV4 + "/32", adminV4 + "/32", anyoneV4 + "/32", anyoneV6 + "/128 nodad", strangerV6 + "/128 nodad", adminV6 + "/128 nodad"} {
		sh(t, fmt.Sprintf("ip -n %s addr add dev eth0 %s", p.peer, a))
	}
	sh(t, fmt.Sprintf("ip -n %s route add default via %s; ip -n %s -6 route add default via %s", p.host, peerV4, p.host, peerV6))
	// Rules that forget neighbour discovery are a matter of their own.
	for _, n := range []string{peerV4, peerV6} {
		sh(t, fmt.Sprintf("ip -n %s neigh replace %s lladdr 02:00:00:00:00:02 dev eth0 nud permanent", p.host, n))
	}
	for _, n := range []string{hostV4, hostV6} {
		sh(t, fmt.Sprintf("ip -n %s neigh replace %s lladdr 02:00:00:00:00:01 dev eth0 nud permanent", p.peer, n))
	}
	return p
}

// enforce puts rules into force in the host's namespace instead of all that are there.
func (p pair) enforce(t *testing.T, rules map[string]string) {
	t.Helper()
	sh(t, "ip netns exec "+p.host+` sh -ec '
		nft flush ruleset
		for i in iptables-legacy ip6tables-legacy; do
			for t in filter nat raw mangle; do $i -t $t -F; $i -t $t -X; done
			for c in INPUT OUTPUT FORWARD; do $i -P $c ACCEPT; done
		done'`)
	for program, text := range rules {
		cmd := exec.Command("ip", "netns", "exec", p.host, "sh", "-ec", program)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
}

func sh(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// in runs this test's own program in a namespace.
func in(t *testing.T, ns, role string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", ns, os.Args[0], "-test.run=^TestFirewallRole$", "-test.v")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

func result(t *testing.T, cmd *exec.Cmd, into any) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	_, text, ok := bytes.Cut(out, []byte("RESULT "))
	if err != nil || !ok {
		t.Fatalf("%v: %s", err, out)
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func (p pair) serve(t *testing.T, ns string, addresses ...string) {
	t.Helper()
	cmd := in(t, ns, "serve "+strings.Join(addresses, " "))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	seen, buf := "", make([]byte, 500)
	for !strings.Contains(seen, "serving") {
		n, err := stdout.Read(buf)
		if err != nil {
			t.Fatalf("%v: %s", err, seen)
		}
		seen += string(buf[:n])
	}
	go func() { // what it prints at its end must not block it
		for {
			if _, err := stdout.Read(buf); err != nil {
				return
			}
		}
	}()
}

// TestFirewallVerdictsEqualReachability puts rules into force, good ones, bad ones and tricky ones, and holds every
// answer of the audit against connections that are really made: from a stranger, from an administrator, by loopback and
// to the outside, by IPv4 and IPv6.
func TestFirewallVerdictsEqualReachability(t *testing.T) {
	p := newPair(t)
	p.serve(t, p.host, ":22", ":80", ":443", ":3306", "0.0.0.0:5432", "127.0.0.1:6379", "[::]:8080")
	p.serve(t, p.peer, ":443", ":25", ":9")
	for _, c := range rulesets() {
		t.Run(c.name, func(t *testing.T) {
			p.enforce(t, c.rules)
			var r observed
			result(t, in(t, p.host, "audit "+adminsOnly), &r)
			c.compare(t, p, r)
		})
	}
}

// claim is an answer of the audit and the connection that shows whether it is true.
type claim struct {
	name, answer string
	attempt
	ns string
	// by are the networks that the audit names as those that get through, where it names all of them.
	by   []string
	from string
}

// says is what the audit promises of the connection.
func (c claim) says() bool {
	if c.answer == "closed" || c.by == nil {
		return c.answer == "open"
	}
	return slices.ContainsFunc(c.by, func(text string) bool {
		return netip.MustParsePrefix(text).Contains(netip.MustParseAddr(c.from))
	})
}

func (c ruleset) compare(t *testing.T, p pair, r observed) {
	var claims []claim
	add := func(name, answer, ns, from, host string, port int) {
		claims = append(claims, claim{name: name, answer: answer, attempt: attempt{From: from, To: net.JoinHostPort(host, fmt.Sprint(port)) + "]"}, ns: ns})
	}
	exactly := func(by []string, more bool, address string) {
		if last := &claims[len(claims)-1]; !more && last.answer != "unknown" {
			last.by, last.from = append([]string{}, by...), address
		}
	}
	seen := map[int]facts.Port{}
	for _, port := range r.Firewall.Ports {
		if port.Protocol != "tcp" {
			continue
		}
		seen[port.Number] = port
		name := fmt.Sprint(port.Number)
		add(name+" v4 anyone", port.V4.Outside, p.peer, anyoneV4, hostV4, port.Number)
		add(name+" v6 anyone", port.V6.Outside, p.peer, anyoneV6, hostV6, port.Number)
		add(name+" v4 stranger", port.V4.Outside, p.peer, strangerV4, hostV4, port.Number)
		exactly(port.V4.Sources, port.V4.More, strangerV4)
		add(name+" v6 stranger", port.V6.Outside, p.peer, strangerV6, hostV6, port.Number)
		exactly(port.V6.Sources, port.V6.More, strangerV6)
		if port.Number == 22 || port.Number == 80 || port.Number == 3306 {
			add(name+" v4 admin", port.V4.Admin, p.peer, adminV4, hostV4, port.Number)
			exactly(port.V4.Sources, port.V4.More, adminV4)
			add(name+" v6 admin", port.V6.Admin, p.peer, adminV6, hostV6, port.Number)
			exactly(port.V6.Sources, port.V6.More, adminV6)
			add(name+" v4 loopback", port.V4.Loopback, p.host, "", "127.0.0.1", port.Number)
			add(name+" v6 loopback", port.V6.Loopback, p.host, "", "::1", port.Number)
		}
	}
	for _, o := range r.Firewall.Egress.Ports {
		if o.Protocol == "tcp" && (o.Number == 443 || o.Number == 25) {
			add(fmt.Sprint("egress v4 ", o.Number), o.V4, p.host, "", strangerV4, o.Number)
			if o.V4 == "some" {
				exactly(o.Destinations, false, strangerV4)
			}
			add(fmt.Sprint("egress v6 ", o.Number), o.V6, p.host, "", strangerV6, o.Number)
		}
	}
	add("egress v4 any", r.Firewall.Egress.Any4, p.host, "", anyoneV4, 9)
	claims = append(claims, claim{name: "echo v4", answer: r.Firewall.ICMP.Echo4, attempt: attempt{From: anyoneV4, To: hostV4}, ns: p.peer},
		claim{name: "echo v6", answer: r.Firewall.ICMP.Echo6, attempt: attempt{From: anyoneV6, To: hostV6}, ns: p.peer})
	for _, ns := range []string{p.host, p.peer} {
		var all []attempt
		var of []claim
		for _, one := range claims {
			if one.ns == ns {
				if one.Wait = moment; one.says() {
					one.Wait = long
				}
				all, of = append(all, one.attempt), append(of, one)
			}
		}
		input, _ := json.Marshal(all)
		var made []bool
		result(t, in(t, ns, "dial "+string(input)), &made)
		for i, one := range of {
			switch {
			case one.answer == "unknown" && c.unknown:
			case one.says() != made[i] || one.answer == "unknown" || one.answer == "":
				t.Errorf("%s: the audit says %q, and connecting says %v; %s", one.name, one.answer, made[i], seen[22].V4.Rule)
			}
		}
	}
	if understood := r.Firewall.Understood; understood == c.unknown {
		t.Errorf("understood: got %v; %+v", understood, r.Missing)
	}
	for id, want := range c.want {
		if r.Status[id] != want {
			t.Errorf("%s: got %s, want %s", id, r.Status[id], want)
		}
	}
	if len(c.sources22) > 0 && strings.Join(seen[22].V4.Sources, " ") != c.sources22 {
		t.Errorf("sources of port 22: got %v, want %s", seen[22].V4.Sources, c.sources22)
	}
}
