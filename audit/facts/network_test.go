package facts_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/doorward/doorward/audit/facts"
)

// networkOf collects the network of a host that is a folder.
func networkOf(t *testing.T, files string) facts.Network {
	t.Helper()
	root := t.TempDir()
	for _, f := range txtar.Parse([]byte(files)).Files {
		path := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n, ok := collectFrom(t, root, facts.Config{}).Values["network"].(facts.Network)
	if !ok {
		t.Fatal("there is no network")
	}
	return n
}

func collectFrom(t *testing.T, root string, config facts.Config) facts.Facts {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(t.Context(), h, facts.Target{Config: config, Now: time.Now()}, nil)
}

func TestSysctl(t *testing.T) {
	n := networkOf(t, `
-- etc/sysctl.d/10-a.conf --
net.ipv4.tcp_syncookies = 0
net/ipv6/conf/all/disable_ipv6=1
# net.ipv4.ip_forward = 1
-net.ipv4.conf.*.rp_filter = 2
net.ipv4.conf.default.rp_filter = 1
-- etc/sysctl.d/90-b.conf --
net.ipv4.tcp_syncookies=1
-- usr/lib/sysctl.d/90-b.conf --
net.ipv4.tcp_syncookies=7
-- usr/lib/sysctl.d/99-c.txt --
net.ipv4.tcp_syncookies=8
`)
	for name, want := range map[string]facts.Sysctl{
		"net.ipv4.tcp_syncookies":         {Value: "1", Configured: "1", Origin: "/etc/sysctl.d/90-b.conf:1"},
		"net.ipv6.conf.all.disable_ipv6":  {Value: "1", Configured: "1", Origin: "/etc/sysctl.d/10-a.conf:2"},
		"net.ipv4.conf.all.rp_filter":     {Value: "2", Configured: "2", Origin: "/etc/sysctl.d/10-a.conf:4"},
		"net.ipv4.conf.default.rp_filter": {Value: "1", Configured: "1", Origin: "/etc/sysctl.d/10-a.conf:5"},
		"net.ipv4.ip_forward":             {},
	} {
		if got := n.Sysctl[name]; got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestAptProxies(t *testing.T) {
	for name, c := range map[string]struct{ files, want string }{
		"in one line":      {"-- etc/apt/apt.conf.d/02proxy --\nAcquire::http::Proxy \"http://a:1\";\n", "[{http://a:1 /etc/apt/apt.conf.d/02proxy:1}]"},
		"nested":           {"-- etc/apt/apt.conf --\nAcquire {\n http {\n  Proxy \"http://a:1\";\n };\n https::Proxy \"DIRECT\";\n};\n", "[{http://a:1 /etc/apt/apt.conf:3} {DIRECT /etc/apt/apt.conf:5}]"},
		"the last counts":  {"-- etc/apt/apt.conf.d/1 --\nAcquire::http::Proxy \"http://a:1\";\n-- etc/apt/apt.conf.d/2.conf --\nacquire::http::proxy \"http://b:2\";\n", "[{http://b:2 /etc/apt/apt.conf.d/2.conf:1}]"},
		"a file not read":  {"-- etc/apt/apt.conf.d/1.bak --\nAcquire::http::Proxy \"http://a:1\";\n", "[]"},
		"comments":         {"-- etc/apt/apt.conf --\n// Acquire::http::Proxy \"http://a:1\";\n/* Acquire::http::Proxy\n \"http://b:1\"; */\n# Acquire::http::Proxy \"c\";\n", "[]"},
		"nothing is set":   {"-- etc/apt/apt.conf --\nAcquire::http::Proxy \"\";\n", "[]"},
		"another's proxy":  {"-- etc/apt/apt.conf --\nAcquire::ftp::Proxy \"ftp://a\";\n", "[]"},
		"a host's own":     {"-- etc/apt/apt.conf --\nAcquire::http::Proxy::deb.debian.org \"DIRECT\";\n", "[]"},
		"torn in a string": {"-- etc/apt/apt.conf --\nAcquire::http::Proxy \"http://a", "[]"},
	} {
		if got := fmt.Sprint(networkOf(t, c.files).AptProxies); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// FuzzNetworkFiles writes what somebody else has written into every file that the network is read from.
func FuzzNetworkFiles(f *testing.F) {
	f.Add("Acquire { http { Proxy \"http://a:1\"; }; };\n/* */ // \n", "net.ipv4.tcp_syncookies = 1\n-net/ipv4/conf/*/rp_filter=1\n[\n")
	f.Add("}}}};;;;\"", "= =\n.=\n")
	f.Fuzz(func(t *testing.T, apt, sysctl string) {
		networkOf(t, string(txtar.Format(&txtar.Archive{Files: []txtar.File{
			{Name: "etc/apt/apt.conf", Data: []byte(apt)}, {Name: "etc/sysctl.d/1.conf", Data: []byte(sysctl)},
			{Name: "etc/ufw/ufw.conf", Data: []byte(sysctl)}}})))
	})
}

// greeter listens on loopback and greets, or answers, whoever connects. It returns its port.
func greeter(t *testing.T, first, then string) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Write([]byte(first))
				if _, err := c.Read(make([]byte, 500)); err == nil {
					_, _ = c.Write([]byte(then))
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// here is what is known of this machine while the test listens.
func here(t *testing.T, config facts.Config) (facts.Listeners, facts.Facts) {
	t.Helper()
	f := collectFrom(t, "/", config)
	l, ok := f.Values["listeners"].(facts.Listeners)
	if !ok {
		t.Fatalf("there are no listeners: %+v", f.Missing)
	}
	return l, f
}

func at(l facts.Listeners, port int) facts.Listener {
	i := slices.IndexFunc(l.Sockets, func(s facts.Listener) bool { return s.Protocol == "tcp" && s.Port == port })
	if i < 0 {
		return facts.Listener{}
	}
	return l.Sockets[i]
}

func TestSpeaks(t *testing.T) {
	if !alone(t) {
		return
	}
	want := map[int]string{
		greeter(t, "SSH-2.0-x\r\n", ""):                                    "ssh",
		greeter(t, "\x4a\x00\x00\x00\x0a8.0.1\x00", ""):                    "mysql",
		greeter(t, "220 mail.example ESMTP\r\n", ""):                       "smtp",
		greeter(t, "220 welcome\r\n", ""):                                  "ftp",
		greeter(t, "Asterisk Call Manager/5.0\r\n", ""):                    "ami",
		greeter(t, "", "HTTP/1.1 200 OK\r\n\r\n"):                          "http",
		greeter(t, "", "HTTP/1.0 400 Bad Request\r\n\r\nsent to an HTTPS"): "https",
		greeter(t, "", "\x15\x03\x01\x00\x02\x02\x46"):                     "tls",
		greeter(t, "", "-ERR wrong number of arguments\r\n"):               "redis",
		greeter(t, "", "what?"):                                            "",
		greeter(t, strings.Repeat("x", 100_000), ""):                       "",
	}
	var wrong []string
	for range 10 { // a greeting gets a quarter of a second, which is little on a busy machine
		l, _ := here(t, facts.Config{})
		wrong = nil
		for port, service := range want {
			if got := at(l, port); got.Service != service || got.Port == 0 {
				wrong = append(wrong, fmt.Sprintf("got %q, want %q; %+v", got.Service, service, got))
			}
		}
		if wrong == nil {
			return
		}
	}
	t.Error(strings.Join(wrong, "\n"))
}

func TestListeners(t *testing.T) {
	if !alone(t) {
		return
	}
	port := greeter(t, "SSH-2.0-x\r\n", "")
	other := greeter(t, "", "")
	l, f := here(t, facts.Config{Listeners: []string{fmt.Sprint("tcp/", port)}})
	for range 10 { // as above
		if at(l, port).Service != "" {
			break
		}
		l, f = here(t, facts.Config{Listeners: []string{fmt.Sprint("tcp/", port)}})
	}
	exe, _ := os.Executable()
	got := at(l, port)
	want := facts.Listener{Protocol: "tcp", Address: "127.0.0.1", Port: port, IPv4: true, PID: os.Getpid(), Process: got.Process, Exe: exe, UID: int64(os.Getuid()),
		User: got.User, Service: "ssh", Declared: true, Origin: fmt.Sprintf("/proc/%d/fd", os.Getpid())}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if at(l, other).Declared {
		t.Error("what nobody has declared counts as declared")
	}
	services := f.Values["processes"]
	if p, ok := services.(facts.Processes); ok {
		i := slices.IndexFunc(p.Services, func(s facts.Service) bool { return s.Exe == exe })
		if i < 0 || p.Services[i].RootOnly != (os.Geteuid() == 0) || p.Services[i].Separates {
			t.Errorf("got %+v, want this program in it", p.Services)
		}
	}
}

// TestListenersOfAFolder: a folder has no sockets, and that is said.
func TestListenersOfAFolder(t *testing.T) {
	f := collectFrom(t, t.TempDir(), facts.Config{})
	for _, name := range []string{"listeners", "processes", "firewall.ports", "firewall.understood", "network.addresses"} {
		if !slices.ContainsFunc(f.Missing, func(m facts.Missing) bool { return m.Fact == name && m.Reason == facts.ErrNotLive.Error() }) {
			t.Errorf("%s: got %+v, want it to be missing", name, f.Missing)
		}
	}
}

func TestNetworkConfig(t *testing.T) {
	var got []string
	facts.Config{Listeners: []string{"tcp/5432", "5432", "tcp/0"}, Outbound: []string{"a.example:443", "[::1]:5", "a.example", ":443"}}.Validate(
		func(path, format string, args ...any) { got = append(got, path+": "+fmt.Sprintf(format, args...)) })
	want := []string{`listeners: "5432" is not like tcp/443 or udp/5060`, `listeners: "tcp/0" is not like tcp/443 or udp/5060`,
		`outbound: "a.example" is not like login.i-doit.com:443`, `outbound: ":443" is not like login.i-doit.com:443`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
