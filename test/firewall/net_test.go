// Package firewall_test holds Doorward's firewall against packets: hosts are network namespaces, the enforcer is the real program, and
// what it says is compared with connections that are made. The machine's own firewall is never touched.
package firewall_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/firewall"
	"github.com/doorward/doorward/test/real"
)

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

// The addresses of the host under test, of two attackers, and of a container behind the host.
const (
	hostV4, hostV6           = "198.51.100.1", "2001:db8:1::1"
	attackerV4, attackerV6   = "198.51.100.66", "2001:db8:1:0:66::66"
	neighbourV4, neighbourV6 = "198.51.100.77", "2001:db8:1:0:66::77"
	strangerV4, strangerV6   = "203.0.113.5", "2001:db8:5::5" // another network, reached by the attacker's side
	containerV4, containerV6 = "172.30.0.2", "fd00:30::2"
)

// hosts are namespaces: the host, all strangers, and a container that is reached through the host.
type hosts struct {
	t                       *testing.T
	host, outside, inside   string
	dir, socket, configFile string
}

// made counts the hosts of this process: their names differ by it.
var made atomic.Int64

func newHosts(t *testing.T) *hosts {
	t.Helper()
	real.Require(t, "ip", "nft", "nsenter")
	if os.Geteuid() != 0 {
		real.Missing(t, "network namespaces are made by root only")
	}
	name := fmt.Sprintf("dw%d-%d", os.Getpid(), made.Add(1))
	dir := real.Folder(t)
	h := &hosts{t: t, host: name + "h", outside: name + "o", inside: name + "i", dir: dir, socket: filepath.Join(dir, "run", "enforce.sock")}
	h.configFile = real.Write(t, dir, "doorward.yaml", "firewall: {enforce: true, socket: "+h.socket+", allow: [198.51.100.200]}\n", 0o644)
	t.Cleanup(func() {
		for _, ns := range []string{h.host, h.outside, h.inside} {
			_ = exec.Command("ip", "netns", "del", ns).Run()
		}
	})
	script := `set -e
H=$1 O=$2 I=$3
for n in $H $O $I; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad'; done
ip -n $H link add eth0 type veth peer name eth0 netns $O
ip -n $H link add docker0 type veth peer name eth0 netns $I
for n in $H $O $I; do ip -n $n link set eth0 up; done; ip -n $H link set docker0 up
ip -n $H addr add 198.51.100.1/24 dev eth0; ip -n $H addr add 2001:db8:1::1/48 dev eth0 nodad
ip -n $H addr add 172.30.0.1/24 dev docker0; ip -n $H addr add fd00:30::1/64 dev docker0 nodad
ip -n $H route add default via 198.51.100.2; ip -n $H route add default via 2001:db8:1::2
for a in 198.51.100.2/24 198.51.100.66/24 198.51.100.77/24 198.51.100.200/24 203.0.113.5/32; do ip -n $O addr add $a dev eth0; done
for a in 2001:db8:1::2/48 2001:db8:1:0:66::66/48 2001:db8:1:0:66::77/48 2001:db8:5::5/128; do ip -n $O addr add $a dev eth0 nodad; done
ip -n $O route add 172.30.0.0/24 via 198.51.100.1; ip -n $O route add fd00:30::/64 via 2001:db8:1::1
ip -n $I addr add 172.30.0.2/24 dev eth0; ip -n $I addr add fd00:30::2/64 dev eth0 nodad
ip -n $I route add default via 172.30.0.1; ip -n $I route add default via fd00:30::1
ip netns exec $H sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'`
	if out, err := exec.Command("sh", "-c", script, "sh", h.host, h.outside, h.inside).CombinedOutput(); err != nil {
		t.Fatalf("make namespaces: %v\n%s", err, out)
	}
	return h
}

// within calls f in a namespace. Sockets that it makes stay there.
func within(t testing.TB, ns string, f func()) {
	t.Helper()
	var wait sync.WaitGroup
	var err error
	wait.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var file *os.File
		if file, err = os.Open("/run/netns/" + ns); err != nil {
			return
		}
		defer file.Close()
		if err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	})
	wait.Wait()
	if err != nil {
		t.Fatal(err)
	}
}

// in runs a command in a namespace.
func (h *hosts) in(ns, script string) string {
	h.t.Helper()
	out, err := exec.Command("nsenter", "--net=/run/netns/"+ns, "sh", "-ec", script).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// listen answers TCP connections in a namespace: every line comes back.
func (h *hosts) listen(ns string, ports ...int) {
	h.t.Helper()
	for _, port := range ports {
		var l net.Listener
		var err error
		within(h.t, ns, func() { l, err = net.Listen("tcp", fmt.Sprintf(":%d", port)) })
		if err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					buf := make([]byte, 100)
					for {
						n, err := c.Read(buf)
						if err != nil {
							return
						}
						_, _ = c.Write(buf[:n])
					}
				}()
			}
		}()
	}
}

// What is not to come is waited for a moment, and what is to come, long: the machine may be busy.
const moment, long = time.Second, 30 * time.Second

// dial connects from an address; the error is what happened within the time.
func (h *hosts) dial(ns, from, to string, port int, patience time.Duration) (c net.Conn, err error) {
	h.t.Helper()
	within(h.t, ns, func() {
		d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err = d.Dial("tcp", net.JoinHostPort(to, fmt.Sprint(port)))
	})
	return c, err
}

// echo says whether a connection carries a line both ways.
func echo(c net.Conn, within time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 100))
	return err
}

// reaches says whether a new connection works within a moment.
func (h *hosts) reaches(ns, from, to string, port int) bool {
	return h.connects(ns, from, to, port, moment)
}

// answers says whether a new connection works that is wanted to.
func (h *hosts) answers(ns, from, to string, port int) bool {
	return h.connects(ns, from, to, port, long)
}

func (h *hosts) connects(ns, from, to string, port int, within time.Duration) bool {
	c, err := h.dial(ns, from, to, port, within)
	if err != nil {
		return false
	}
	defer c.Close()
	return echo(c, within) == nil
}

// want checks connections from the outside to the host's port 80.
func (h *hosts) want(what string, answers map[string]bool) {
	h.t.Helper()
	for from, want := range answers {
		to := hostV4
		if strings.Contains(from, ":") {
			to = hostV6
		}
		patience := moment
		if want {
			patience = long
		}
		if got := h.connects(h.outside, from, to, 80, patience); got != want {
			h.t.Errorf("%s: a connection from %s works: %v, want %v\n%s", what, from, got, want, h.in(h.host, "nft list ruleset"))
		}
	}
}

// enforce starts the real process in the host's namespace and waits until it answers.
func (h *hosts) enforce(more ...string) *real.Process {
	h.t.Helper()
	args := append([]string{"--net=/run/netns/" + h.host, real.Program(h.t), "enforce", "--config", h.configFile, "--socket", h.socket, "--as", "nobody", "--client", "daemon"}, more...)
	p := real.Start(h.t, "enforce", exec.Command("nsenter", args...))
	real.Eventually(h.t, time.Minute, "enforce to answer", func() bool {
		link, err := firewall.Dial(h.t.Context(), h.socket)
		if err != nil {
			return false
		}
		defer link.Close()
		_, err = link.Status()
		return err == nil
	})
	return p
}

// list is a client that is told bans as doorward serve tells them.
type list struct {
	mu     sync.Mutex
	states []string
	client *firewall.Client
}

func (h *hosts) client() *list {
	h.t.Helper()
	l := &list{}
	l.client = firewall.NewClient(firewall.ClientOptions{Socket: h.socket, Log: slog.New(slog.DiscardHandler),
		OnState: func(reason string) { l.mu.Lock(); defer l.mu.Unlock(); l.states = append(l.states, reason) }})
	l.client.Reset(nil)
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.client.Run(ctx) }()
	h.t.Cleanup(func() { cancel(); <-done })
	return l
}

func (l *list) reasons() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.states...)
}

func prefix(text string) netip.Prefix {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.MustParsePrefix(text)
}

// ban tells of a ban; 0 is for good.
func (l *list) ban(text string, d time.Duration) {
	var until time.Time
	if d != 0 {
		until = time.Now().Add(d)
	}
	l.client.Change([]firewall.Element{{Prefix: prefix(text), Until: until}}, nil)
}

func (l *list) lift(text string) { l.client.Change(nil, []netip.Prefix{prefix(text)}) }

// up waits until the client is connected and its list in the kernel.
func (h *hosts) up(l *list) {
	h.t.Helper()
	real.Eventually(h.t, time.Minute, "the client to be up", func() bool { _, reason := l.client.State(); return reason == "" })
}

// kernel reads the bans of the host's kernel.
func (h *hosts) kernel() firewall.Look {
	h.t.Helper()
	var l firewall.Look
	var err error
	within(h.t, h.host, func() { l, err = firewall.ReadKernel() })
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

// banned waits until the kernel has exactly these bans.
func (h *hosts) banned(want ...string) {
	h.t.Helper()
	var got []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		got = nil
		for _, e := range h.kernel().Elements {
			got = append(got, e.Prefix.String())
		}
		if strings.Join(got, " ") == strings.Join(want, " ") {
			return
		}
	}
	h.t.Fatalf("the kernel has the bans %v, want %v", got, want)
}
