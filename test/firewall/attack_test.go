package firewall_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/api"
	"github.com/doorward/doorward/test/real"
)

// banFor is how long a ban lasts here: long enough to look at it on a busy machine.
const banFor = 20 * time.Second

// tries are the passwords that the attacker has.
const tries = 40

// TestAttack: hydra tries passwords on a real sshd, from another host. What sshd writes goes the way that it goes on Debian: to journald,
// and on by its syslog socket into auth.log. The third failure bans in the kernel, nothing of the attacker gets in while the ban stands, the
// gateway refuses the address at once where it comes by a proxy, and the ban ends on time.
func TestAttack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, from, to, banned, origin, watch, jail string }{
		{"detection-file-ipv4", attackerV4, hostV4, attackerV4 + "/32", "detection:sshd_guessing", "type: file, paths: [DIR/auth.log]", ""},
		{"detection-journal-ipv6", strangerV6, hostV6, "2001:db8:5::/64", "detection:sshd_guessing", "type: journal, directory: DIR/journal, matches: [_COMM=sshd]", ""},
		{"jail-file-ipv6", strangerV6, hostV6, strangerV6 + "/128", "jail:sshd", "", "backend = auto\nlogpath = DIR/auth.log"},
		{"jail-journal-ipv4", attackerV4, hostV4, attackerV4 + "/32", "jail:sshd", "", "backend = systemd[journalpath=\"DIR/journal\"]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := newAttack(t, c.from, c.to)
			watch := "watch:\n  overrides: " + a.dir + "/overrides.yaml\n  sources:\n    - {name: ssh, parsers: [sshd], " + c.watch + "}\n"
			if c.jail != "" {
				a.jails(c.jail)
				watch = "watch: {off: true, fail2ban: {folder: " + a.dir + "/fail2ban}}\n"
			}
			a.serve(strings.ReplaceAll(watch, "DIR", a.dir))
			hydra := a.hydra()
			a.isBanned(c.banned, c.origin)
			hydra.Stop()
			a.isOver()
		})
	}
}

// attack is a host with a real sshd, and an attacker.
type attack struct {
	*hosts
	from, to string
	until    time.Time
}

func newAttack(t *testing.T, from, to string) *attack {
	t.Helper()
	real.Require(t, "hydra", "/usr/sbin/sshd", "/lib/systemd/systemd-journald", "journalctl", "unshare", "ssh-keygen")
	a := &attack{hosts: newHosts(t), from: from, to: to}
	a.in(a.outside, "ip route replace "+to+" dev eth0 src "+from)
	for _, folder := range []string{"journal", "sockets", "attacker"} {
		if err := os.Mkdir(filepath.Join(a.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a.syslog()
	a.sshd()
	return a
}

// syslog takes what journald sends on and writes it as Debian's rsyslog does: without the priority, with the host's name.
func (a *attack) syslog() {
	a.t.Helper()
	log, err := os.OpenFile(filepath.Join(a.dir, "auth.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		a.t.Fatal(err)
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(a.dir, "sockets", "syslog"), Net: "unixgram"})
	if err != nil {
		a.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				return
			}
			_, text, _ := strings.Cut(string(buf[:n]), ">")
			const date = len("Jan 02 15:04:05 ")
			if len(text) > date {
				_, _ = log.WriteString(text[:date] + "shop " + strings.TrimRight(text[date:], "\n") + "\n") // a line that is missing fails the test
			}
		}
	}()
	a.t.Cleanup(func() { socket.Close(); <-done; log.Close() })
}

// sshd starts journald and sshd, in a namespace of mounts where /run, /var/log and the log socket are their own.
func (a *attack) sshd() {
	a.t.Helper()
	config := real.Write(a.t, a.dir, "sshd_config", `Port 22
HostKey `+a.dir+`/key
PidFile none
LoginGraceTime 30
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin yes
`, 0o600)
	const script = `ssh-keygen -q -t ed25519 -N '' -f $1/key
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/sshd /run/log/journal /run/systemd/journal
mount --bind $1/journal /run/log/journal
mount --bind $1/sockets /run/systemd/journal
mount -t tmpfs tmpfs /etc/systemd
printf '[Journal]\nStorage=volatile\nForwardToSyslog=yes\nReadKMsg=no\nAudit=no\n' >/etc/systemd/journald.conf
/lib/systemd/systemd-journald &
trap 'kill %1' EXIT
until [ -S /run/systemd/journal/dev-log ]; do sleep 0.05; done
if [ "$(readlink /dev/log)" != /run/systemd/journal/dev-log ]; then touch /dev/log; mount --bind /run/systemd/journal/dev-log /dev/log; fi
/usr/sbin/sshd -D -f $2`
	p := real.Start(a.t, "sshd", exec.Command("nsenter", "--net=/run/netns/"+a.host, "unshare", "--mount", "sh", "-ec", script, "sh", a.dir, config))
	real.Eventually(a.t, time.Minute, "sshd to answer", func() bool {
		if p.Ended() {
			a.t.Fatal("sshd ended")
		}
		return a.greeted()
	})
}

// greeted says whether the attacker's address gets sshd's first line.
func (a *attack) greeted() bool {
	c, err := a.dial(a.outside, a.from, a.to, 22, moment)
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return false
	}
	buf := make([]byte, 4)
	n, _ := c.Read(buf)
	return string(buf[:n]) == "SSH-"
}

// jails takes fail2ban's configuration as Debian has it, with little of one's own.
func (a *attack) jails(source string) {
	a.t.Helper()
	real.Require(a.t, "/etc/fail2ban/jail.conf")
	a.in(a.host, "cp -a /etc/fail2ban "+a.dir+"/fail2ban")
	real.Write(a.t, a.dir, "fail2ban/jail.local", "[sshd]\nmaxretry = 3\nbantime = "+strconv.Itoa(int(banFor/time.Second))+"\n"+strings.ReplaceAll(source, "DIR", a.dir)+"\n", 0o644)
}

// serve starts the enforcer and Doorward, behind a proxy on the host.
func (a *attack) serve(watch string) {
	a.t.Helper()
	real.Write(a.t, a.dir, "overrides.yaml", "sshd_guessing: {ban: "+banFor.String()+"}\n", 0o644)
	a.configFile = real.Write(a.t, a.dir, "serve.yaml", `
data_dir: `+filepath.Join(a.dir, "data")+`
listen:
  plain: ["127.0.0.1:8081"]
console:
  listen: ["127.0.0.1:8082"]
sites:
  - hosts: [app.example.com]
    upstreams: ["http://127.0.0.1:8080"]
trusted_proxies: [127.0.0.1]
firewall: {enforce: true, socket: `+a.socket+`}
`+watch, 0o644)
	a.enforce("--client", "root")
	real.Start(a.t, "serve", exec.Command("nsenter", "--net=/run/netns/"+a.host, real.Program(a.t), "serve", "--config", a.configFile))
	real.Eventually(a.t, time.Minute, "the gateway to answer", func() bool {
		status, ok := a.byProxy(a.from)
		return ok && status != http.StatusForbidden
	})
}

// hydra tries passwords, one after the other.
func (a *attack) hydra() *real.Process {
	a.t.Helper()
	var words strings.Builder
	for i := range tries {
		words.WriteString("wrong-" + strconv.Itoa(i) + "\n")
	}
	list := real.Write(a.t, a.dir, "attacker/words", words.String(), 0o644)
	host, version := a.to, "-4"
	if strings.Contains(host, ":") {
		host, version = "["+host+"]", "-6"
	}
	cmd := exec.Command("nsenter", "--net=/run/netns/"+a.outside, "hydra", version, "-I", "-V", "-t", "1", "-l", "root", "-P", list, "ssh://"+host)
	cmd.Dir = filepath.Dir(list)
	return real.Start(a.t, "hydra", cmd)
}

// byProxy is the gateway's answer to a client behind the proxy.
func (a *attack) byProxy(client string) (status int, ok bool) {
	a.t.Helper()
	c, err := a.dial(a.host, "127.0.0.1", "127.0.0.1", 8081, long)
	if err != nil {
		return 0, false
	}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, "http://app.example.com:8081/", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", client)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, false
	}
	defer response.Body.Close()
	return response.StatusCode, true
}

// failures is how many wrong passwords sshd has written down.
func (a *attack) failures() int {
	a.t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, "auth.log"))
	if err != nil {
		a.t.Fatal(err)
	}
	return strings.Count(string(text), "Failed password for root from "+a.from+" ")
}

// isBanned waits for the ban in the kernel and looks at it.
func (a *attack) isBanned(element, origin string) {
	a.t.Helper()
	real.Eventually(a.t, time.Minute, "the attacker to be banned in the kernel", func() bool {
		all := a.kernel().Elements
		return len(all) == 1 && all[0].Prefix.String() == element
	})
	if status, ok := a.byProxy(a.from); status != http.StatusForbidden {
		a.t.Errorf("the gateway answers %d, %v to the banned address, want %d", status, ok, http.StatusForbidden)
	}
	if status, ok := a.byProxy(strangerV4); !ok || status == http.StatusForbidden {
		a.t.Errorf("the gateway answers %d, %v to others", status, ok)
	}
	if a.greeted() {
		a.t.Error("sshd greets the banned address")
	}
	d := a.decision()
	if d.Origin != origin || d.Action != "ban" || d.Repeats != 0 {
		a.t.Errorf("the decision is %+v, want a first ban by %s", d, origin)
	}
	a.until = d.Until
	// Three failures led to the ban: its evidence are their lines. sshd tells of each try two seconds after it began (PAM), so that one that
	// was under way when the third was written may be written down too, and none after it.
	third := 0
	for _, line := range d.Evidence {
		if strings.Contains(line, "Failed password for root from "+a.from+" ") {
			third++
		}
	}
	if third != 3 || len(d.Evidence) != 3 {
		a.t.Errorf("the evidence is %q, want three failures", d.Evidence)
	}
}

// decision is the one that stands.
func (a *attack) decision() api.Decision {
	a.t.Helper()
	out, err := exec.Command(real.Program(a.t), "decision", "list", "--json", "--config", a.configFile).Output()
	var all []api.Decision
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil || len(all) != 1 {
		a.t.Fatalf("decisions: %v\n%s", err, out)
	}
	return all[0]
}

// isOver waits for the end of the ban, and wants it on time.
func (a *attack) isOver() {
	a.t.Helper()
	real.Eventually(a.t, banFor+time.Minute, "the ban to end in the kernel", func() bool { return len(a.kernel().Elements) == 0 })
	ended := time.Now()
	if late := ended.Sub(a.until); late < -time.Second || late > 10*time.Second {
		a.t.Errorf("the ban ended %s after its time", late)
	}
	if n := a.failures(); n < 3 || n > 4 {
		a.t.Errorf("sshd wrote down %d failures, want 3, or 4 with the one that was under way", n)
	} else {
		a.t.Logf("sshd wrote down %d failures of %d tries; the ban ended %s after its time", n, tries, ended.Sub(a.until).Round(time.Millisecond))
	}
	dropped := uint64(0)
	for name, n := range a.kernel().Counts {
		if strings.HasPrefix(name, "from ") {
			dropped += n.Packets
		}
	}
	if dropped == 0 {
		a.t.Errorf("the kernel dropped nothing: %+v", a.kernel().Counts)
	}
	real.Eventually(a.t, time.Minute, "the attacker's address to get in again", a.greeted)
	real.Eventually(a.t, time.Minute, "the gateway to let the address in again", func() bool {
		status, ok := a.byProxy(a.from)
		return ok && status != http.StatusForbidden
	})
}
