package audit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/audit"
)

// scene is a host as it is set up, and how the controls of the network have to stand on it.
type scene struct {
	name   string
	serve  string // words of serve
	rules  map[string]string
	config string            // of the audit, in JSON
	files  map[string]string // of /etc, laid over the machine's own
	before string            // a command in the host's namespace
	want   string            // "I-02 pass, …"
}

const (
	outgoing = `table inet out { chain output { type filter hook output priority 0; policy drop;
		oif lo accept; ct state established,related accept; meta l4proto ipv6-icmp accept; ip daddr 203.0.113.77 tcp dport 443 accept; }; }`
	limited = "tcp dport { 80, 443 } accept\nip saddr 192.0.2.0/24 tcp dport 22 accept\nip6 saddr 2001:db8:a::/64 tcp dport 22 accept"
	banner  = "=SSH-2.0-test"
	ufwOn   = "ENABLED=yes\n"
)

func scenes() []scene {
	full := `{"AdminNetworks": ["192.0.2.0/24", "2001:db8:a::/64"], "Listeners": ["tcp/22", "tcp/3306"], "Outbound": ["203.0.113.77:443"]}`
	return []scene{
		{name: "good", serve: "nobody :80 :443 127.0.0.1:3306 :22" + banner, rules: nft(input(limited) + outgoing), config: full,
			files: map[string]string{"ufw/ufw.conf": ufwOn},
			want: `I-02 pass, I-13 pass, I-23 pass, M-37 pass, F-12 fail, I-55 pass, I-58 pass, I-59 pass, I-60 pass, I-63 pass, I-64 pass, I-97 not-applicable,
				I-98 pass, I-99 pass, M-30 pass, M-32 fail, M-38 fail, I-95 fail, I-62 unknown, F-13 fail, F-14 fail, F-15 fail, I-91 fail`},
		{name: "bad", serve: ":80 :22" + banner + " :3306 :2222" + banner, rules: nft(""), config: adminsOnly, files: map[string]string{"ufw/ufw.conf": "ENABLED=no\n"},
			want: `I-02 fail, I-13 unknown, I-23 fail, M-37 fail, F-12 fail, I-55 fail, I-58 fail, I-59 pass, I-60 fail, I-63 fail, I-64 fail, I-95 fail, I-98 pass,
				I-99 fail, M-30 fail, M-32 fail, M-38 fail`},
		{name: "one listener is not declared", serve: "nobody :80 :9999", rules: nft(input(limited)), config: full, want: "I-13 fail, I-55 pass"},
		{name: "rules for IPv4 only", serve: ":80 :22" + banner + " :3306", rules: map[string]string{"iptables-nft-restore": legacy}, config: adminsOnly,
			files: map[string]string{"ufw/ufw.conf": ufwOn}, want: "I-23 fail, I-55 fail, I-60 fail, I-98 fail, I-99 fail, M-30 fail"},
		{name: "rules for IPv4 only, and services too", serve: "0.0.0.0:80 0.0.0.0:3306", rules: map[string]string{"iptables-nft-restore": legacy}, config: adminsOnly,
			want: "I-23 pass, I-55 pass, I-98 fail, I-99 pass"},
		{name: "a database on another port", serve: ":80 :13306=\x4a\x01\x01", rules: nft(input("accept")), config: adminsOnly,
			want: "I-23 not-applicable, I-55 fail"},
		{name: "a moved server of SSH, closed to strangers", serve: ":80 :2222" + banner, rules: nft(input("ip saddr 192.0.2.0/24 tcp dport 2222 accept")), config: adminsOnly,
			want: "I-55 pass, I-58 pass, M-38 fail"},
		{name: "a database for one network", serve: ":5432", rules: nft(input("ip saddr 203.0.113.0/24 tcp dport 5432 accept")), config: adminsOnly, want: "I-23 fail, I-55 pass"},
		{name: "a rule that nobody understands", serve: ":80 :3306 :22" + banner, rules: nft(input("tcp dport 80 accept\ntcp dport 3306 numgen random mod 2 0 accept")), config: adminsOnly,
			want: "I-23 unknown, I-55 unknown, M-30 unknown, I-60 fail"},
		{name: "a rule that nobody understands beside an open port", serve: ":80 :3306 :8080", rules: nft(input("tcp dport { 80, 8080 } accept\ntcp dport 3306 numgen random mod 2 0 accept")), config: adminsOnly,
			want: "I-23 unknown, I-55 fail"},
		{name: "a rule that nobody understands behind the decision", serve: ":80 :3306", rules: nft(input("tcp dport 80 accept\ntcp dport 3306 drop\ntcp dport 3306 numgen random mod 2 0 accept")), config: adminsOnly,
			want: "I-23 pass, I-55 pass"},
		{name: "ICMP is dropped", serve: ":80", rules: nft("table inet filter { chain input { type filter hook input priority 0; icmp type echo-request drop; }; }"), config: adminsOnly, want: "I-59 fail"},
		{name: "ICMP is limited", serve: ":80", rules: nft("table inet filter { chain input { type filter hook input priority 0; icmp type echo-request limit rate over 50/second drop; }; }"), config: adminsOnly, want: "I-59 pass"},
		{name: "neighbours are forgotten", serve: ":80", config: adminsOnly, want: "I-59 fail", rules: nft(`table inet filter { chain input { type filter hook input priority 0; policy drop;
			iif lo accept; ct state established,related accept; icmp type echo-request accept; icmpv6 type echo-request accept; }; }`)},
		{name: "the kernel keeps silent", serve: ":80", rules: nft(""), config: adminsOnly, before: "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all", want: "I-59 fail"},
		{name: "the web for administrators", serve: ":80", config: adminsOnly, want: "M-32 pass", rules: nft(input("ip saddr 192.0.2.0/25 tcp dport 80 accept\nip6 saddr 2001:db8:a::9 tcp dport 80 accept"))},
		{name: "the web for too many", serve: ":80", config: adminsOnly, want: "M-32 fail", rules: nft(input("ip saddr 192.0.0.0/16 tcp dport 80 accept"))},
		{name: "a proxy, and no other way", serve: ":80", config: adminsOnly, rules: nft(outgoing), want: "I-95 pass",
			files: map[string]string{"apt/apt.conf.d/02proxy": "Acquire::http::Proxy \"http://203.0.113.77:443\";\n"}},
		{name: "a proxy, and another way", serve: ":80", config: adminsOnly, rules: nft(""), want: "I-95 fail",
			files: map[string]string{"apt/apt.conf.d/02proxy": "Acquire::http::Proxy \"http://203.0.113.77:443\";\n"}},
		{name: "what is needed cannot be reached", serve: ":80", config: strings.ReplaceAll(full, ":443", ":8443"), rules: nft(outgoing), want: "I-63 fail"},
		{name: "IPv6 is off now and not after a restart", serve: "0.0.0.0:80", config: adminsOnly, rules: nft(""), before: "sysctl -qw net.ipv6.conf.all.disable_ipv6=1", want: "I-97 fail, I-98 not-applicable, I-99 not-applicable"},
		{name: "IPv6 is off", serve: "0.0.0.0:80", config: adminsOnly, rules: nft(""), before: "sysctl -qw net.ipv6.conf.all.disable_ipv6=1", want: "I-97 pass, I-98 not-applicable, I-99 not-applicable",
			files: map[string]string{"sysctl.d/60-ipv6.conf": "net.ipv6.conf.all.disable_ipv6 = 1\n"}},
	}
}

// TestNetworkControls sets up hosts, good, bad and tricky, in a namespace with real rules and real servers.
func TestNetworkControls(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			p := newPair(t)
			sh(t, "ip netns exec "+p.host+" sysctl -qw net.ipv4.ip_unprivileged_port_start=0")
			if s.before != "" {
				sh(t, "ip netns exec "+p.host+" sh -ec '"+s.before+"'")
			}
			p.serve(t, p.peer, "0.0.0.0:443")
			p.serve(t, p.host, strings.Fields(s.serve)...)
			p.enforce(t, s.rules)
			var r observed
			result(t, laidOver(t, in(t, p.host, "audit "+s.config), s.files), &r)
			for promise := range strings.SplitSeq(s.want, ",") {
				id, status, _ := strings.Cut(strings.TrimSpace(promise), " ")
				if r.Status[id] != audit.Status(status) {
					t.Errorf("%s: got %q, want %s: %s %+v", id, r.Status[id], status, r.Findings[id].Reason, r.Findings[id].Evidence)
				}
			}
		})
	}
}

// laidOver lets a command see files in /etc that are not there: an overlay in its own mount namespace, which ip netns exec
// makes.
func laidOver(t *testing.T, cmd *exec.Cmd, files map[string]string) *exec.Cmd {
	t.Helper()
	dir, err := os.MkdirTemp("", "laidover") // t.TempDir has the test's name in it, and mount's options no commas
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, d := range []string{"up", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		path := filepath.Join(dir, "up", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script := "mount -t tmpfs tmpfs " + dir + "/work && mkdir " + dir + "/work/u " + dir + "/work/w && cp -r " + dir + "/up/. " + dir + "/work/u && " +
		"mount -t overlay overlay -o lowerdir=/etc,upperdir=" + dir + "/work/u,workdir=" + dir + "/work/w /etc && exec \"$@\""
	// ip netns exec NAME sh -ec SCRIPT sh PROGRAM …
	args := append([]string{}, cmd.Args[:4]...)
	args = append(args, "sh", "-ec", script, "sh")
	cmd.Args = append(args, cmd.Args[4:]...)
	return cmd
}
