package audit_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/test/real"
)

const (
	password     = "correct horse"
	passwordHash = `$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0`
)

// makeCopy lays an overlay over this machine in a mount namespace of its own; what is written there goes with the test.
const makeCopy = `set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/run"
mkdir -p "$1/root/run/sshd"
touch "$1/root/run/ready"
exec sleep infinity`

// sshCopy is a copy of this machine with the accounts root, anna and carl, who share a password; the first two share a key.
func sshCopy(t *testing.T) (root string, key ssh.Signer) {
	t.Helper()
	root, key, _ = sshCopyAndEntry(t)
	return root, key
}

// sshCopyAndEntry also returns the command that enters the copy's mount namespace: only there setuid programs have their
// rights.
func sshCopyAndEntry(t *testing.T) (root string, key ssh.Signer, entry []string) {
	t.Helper()
	real.Require(t, "/usr/sbin/sshd", "/usr/bin/ssh-keygen", "/usr/bin/sudo", "unshare", "setpriv")
	if os.Getuid() != 0 {
		real.Missing(t, "a copy of the machine needs root")
	}
	dir := real.Folder(t)
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", makeCopy, "sh", dir)
	real.Start(t, "the copy of the machine", cmd)
	root = fmt.Sprintf("/proc/%d/root%s/root", cmd.Process.Pid, dir)
	entry = []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", cmd.Process.Pid), "chroot", dir + "/root"}
	real.Eventually(t, time.Minute, "the copy of the machine", func() bool {
		_, err := os.Stat(root + "/run/ready")
		return err == nil
	})
	name := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	private, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(name + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ssh.ParsePrivateKey(private); err != nil {
		t.Fatal(err)
	}
	put(t, root, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nanna:x:1500:1500::/home/anna:/bin/bash\ncarl:x:1501:1501::/home/carl:/bin/bash\nsshd:x:150:65534::/run/sshd:/usr/sbin/nologin\n", 0o644)
	put(t, root, "/etc/shadow", "root:"+passwordHash+":20500::::::\nanna:"+passwordHash+":20500::::::\ncarl:"+passwordHash+":20500::::::\nsshd:!:20500::::::\n", 0o640)
	put(t, root, "/etc/group", "root:x:0:\nanna:x:1500:\ncarl:x:1501:\nops:x:1600:anna\nsudo:x:27:\nnogroup:x:65534:\n", 0o644)
	put(t, root, "/root/.ssh/authorized_keys", string(public), 0o600)
	put(t, root, "/home/anna/.ssh/authorized_keys", string(public), 0o600)
	for _, name := range []string{"/home/anna", "/home/anna/.ssh", "/home/anna/.ssh/authorized_keys"} {
		if err := os.Chown(root+name, 1500, 1500); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root+"/root", 0o700); err != nil {
		t.Fatal(err)
	}
	return root, key, entry
}

func put(t *testing.T, root, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root+name, mode); err != nil {
		t.Fatal(err)
	}
}

// within is one of the copy's programs.
func within(root, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	return cmd
}

// look audits the copy, with its own programs or by its files alone.
func look(t *testing.T, root string, run bool) (facts.Facts, map[string]audit.Finding) {
	t.Helper()
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := facts.OpenHost(facts.HostOptions{Root: root, ExecInRoot: run})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Target{Now: time.Now()}, nil)
	found := map[string]audit.Finding{}
	for _, one := range cat.Judge(audit.Profile{}, f, audit.Records{}) {
		found[one.ID] = one
	}
	return f, found
}

// enters tries to sign in from one of the loopback addresses.
func enters(t *testing.T, port int, user, from string, methods ...ssh.AuthMethod) bool {
	t.Helper()
	dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	conn, err := dial.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c, _, _, err := ssh.NewClientConn(conn, "copy", &ssh.ClientConfig{User: user, Auth: methods, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err == nil {
		c.Close()
	}
	return err == nil
}

// TestSSHVerdicts starts the real sshd with each configuration, tries to sign in from two addresses, as root and as
// anna, with a key and with a password, and compares what got in with what the audit says: by sshd -T, and by the files.
func TestSSHVerdicts(t *testing.T) {
	root, key := sshCopy(t)
	answer := func(_, _ string, questions []string, _ []bool) ([]string, error) {
		return slices.Repeat([]string{password}, len(questions)), nil
	}
	passwords := []ssh.AuthMethod{ssh.Password(password), ssh.KeyboardInteractive(answer)}
	const no = "PermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
	for name, c := range map[string]struct{ config, dropin string }{
		"as Debian ships it":           {"Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication no\nUsePAM yes\n", ""},
		"all off":                      {no, ""},
		"all on":                       {"PermitRootLogin yes\n", ""},
		"a drop-in that wins":          {"Include /etc/ssh/sshd_config.d/*.conf\n" + no, "PermitRootLogin yes\nPasswordAuthentication yes\n"},
		"a drop-in that comes late":    {no + "Include /etc/ssh/sshd_config.d/*.conf\n", "PermitRootLogin yes\nPasswordAuthentication yes\n"},
		"a drop-in that is not read":   {no, "PermitRootLogin yes\nPasswordAuthentication yes\n"},
		"a block for an address":       {no + "Match Address 127.7.0.0/16\nPermitRootLogin yes\n", ""},
		"a block for other addresses":  {no + "Match Address 127.0.0.0/8,!127.7.0.0/16\nPasswordAuthentication yes\n", ""},
		"a block for all at the end":   {no + "Match all\nPermitRootLogin yes\nPasswordAuthentication yes\n", ""},
		"a block for anna only":        {no + "Match User anna\nPermitRootLogin yes\n", ""},
		"a block for anna's password":  {no + "Match User anna\nPasswordAuthentication yes\n", ""},
		"a block for a group":          {no + "Match Group ops\nPasswordAuthentication yes\n", ""},
		"a block for all but root":     {no + "Match User *,!root\nPermitRootLogin yes\nPasswordAuthentication yes\n", ""},
		"the first of two blocks":      {no + "Match User root\nPermitRootLogin no\nMatch all\nPermitRootLogin yes\n", ""},
		"a block that takes it away":   {"PermitRootLogin yes\nMatch User root\nPermitRootLogin no\nPasswordAuthentication no\n", ""},
		"a drop-in that ends in Match": {"Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\nPasswordAuthentication no\n", "Match User nobody\nPermitRootLogin yes\n"},
		"an include in a block":        {no + "Match Address 127.7.0.0/16\nInclude /etc/ssh/sshd_config.d/*.conf\n", "PasswordAuthentication yes\nMatch User root\nPermitRootLogin yes\n"},
		"an include in another block":  {no + "Match User nobody\nInclude /etc/ssh/sshd_config.d/*.conf\n", "Match all\nPermitRootLogin yes\nPasswordAuthentication yes\n"},
		"PAM asks":                     {"UsePAM yes\nPermitRootLogin no\nPasswordAuthentication no\n", ""},
		"nobody would ask":             {"UsePAM no\nPermitRootLogin no\nPasswordAuthentication no\n", ""},
		"the old name":                 {"UsePAM yes\nPermitRootLogin no\nPasswordAuthentication no\nChallengeResponseAuthentication no\n", ""},
		"key and password":             {"PermitRootLogin no\nAuthenticationMethods publickey,password\n", ""},
		"key and what PAM asks":        {"UsePAM yes\nPermitRootLogin no\nAuthenticationMethods publickey,keyboard-interactive\n", ""},
		"key and password for one":     {"PermitRootLogin no\nMatch User anna\nAuthenticationMethods publickey,password\n", ""},
		"methods for a block":          {"PermitRootLogin yes\nAuthenticationMethods publickey\nMatch Address 127.7.0.0/16\nAuthenticationMethods password publickey\n", ""},
		"root is denied":               {"PermitRootLogin yes\nPasswordAuthentication no\nDenyUsers root\n", ""},
		"root is not allowed":          {"PermitRootLogin yes\nPasswordAuthentication no\nAllowUsers anna\n", ""},
		"root is allowed from one":     {"PermitRootLogin yes\nPasswordAuthentication no\nAllowUsers anna root@127.7.0.0/16\n", ""},
		"a group is allowed":           {"PermitRootLogin yes\nAllowGroups ops\n", ""},
		"keys for root":                {"PermitRootLogin prohibit-password\nMatch User anna\nPasswordAuthentication no\n", ""},
		"quotes, equals, comments":     {"PermitRootLogin=\"no\"\nPasswordAuthentication = no # yes\n\tKBDINTERACTIVEAUTHENTICATION no\nMatch User=\"root\" Address = 127.7.0.0/16\nPermitRootLogin 'yes'\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, root, "/etc/ssh/sshd_config", c.config, 0o644)
			put(t, root, "/etc/ssh/sshd_config.d/50-test.conf", c.dropin, 0o644)
			port := real.FreePort(t)
			put(t, root, "/etc/default/ssh", fmt.Sprintf("SSHD_OPTS=\"-p %d\"\n", port), 0o644)
			sshd := real.Start(t, "sshd", within(root, "/usr/sbin/sshd", "-D", "-e", "-p", fmt.Sprint(port), "-o", "ListenAddress=127.0.0.1"))
			sshd.AwaitListening(fmt.Sprintf("127.0.0.1:%d", port), time.Minute)
			rootIn, passwordIn, keyIn := false, false, false
			for _, from := range []string{"127.0.0.1", "127.7.7.7"} {
				rootIn = rootIn || enters(t, port, "root", from, append([]ssh.AuthMethod{ssh.PublicKeys(key)}, passwords...)...)
				for _, user := range []string{"root", "anna", "carl"} {
					passwordIn = passwordIn || enters(t, port, user, from, passwords...)
					keyIn = keyIn || enters(t, port, user, from, ssh.PublicKeys(key))
				}
			}
			if !enters(t, port, "anna", "127.0.0.1", append([]ssh.AuthMethod{ssh.PublicKeys(key)}, passwords...)...) {
				t.Errorf("anna does not get in with key and password: %s", sshd.Log())
			}
			asked, byProgram := look(t, root, true)
			read, byFiles := look(t, root, false)
			for id, in := range map[string]bool{"I-03": rootIn, "I-06": passwordIn, "F-26": passwordIn || keyIn} {
				want := audit.Pass
				if in {
					want = audit.Fail
				}
				if got := byProgram[id]; got.Status != want {
					t.Errorf("%s by sshd -T: got %s, want %s: %s %v", id, got.Status, want, got.Reason, got.Evidence)
				}
				if got := byFiles[id]; got.Status != want {
					t.Errorf("%s by the files: got %s, want %s: %s %v", id, got.Status, want, got.Reason, got.Evidence)
				}
			}
			agree(t, asked, read)
		})
	}
}

// agree compares what sshd -T says with what we make of the files.
func agree(t *testing.T, asked, read facts.Facts) {
	t.Helper()
	a, ok1 := asked.Values["sshd"].(facts.Sshd)
	b, ok2 := read.Values["sshd"].(facts.Sshd)
	if !ok1 || !ok2 || a.Source != "sshd -T" || b.Source == "sshd -T" {
		t.Fatalf("got sources %q and %q, missing %v %v", a.Source, b.Source, asked.Missing, read.Missing)
	}
	if len(a.Contexts) == 0 || len(a.Contexts) != len(b.Contexts) {
		t.Errorf("got %d and %d contexts", len(a.Contexts), len(b.Contexts))
	}
	for keyword, values := range b.Effective {
		for _, v := range values {
			if _, ok := a.Effective[keyword]; ok && !slices.ContainsFunc(a.Effective[keyword], func(o facts.SshdValue) bool { return strings.EqualFold(o.Value, v.Value) }) {
				t.Errorf("%s: the files say %+v, sshd -T %+v", keyword, v, a.Effective[keyword])
			}
		}
	}
	for keyword, values := range a.Effective {
		for _, v := range values {
			if strings.HasPrefix(v.Origin, "sshd -T") && len(b.Effective[keyword]) > 0 {
				t.Errorf("%s: sshd -T corrects the files: %+v, %+v", keyword, v, b.Effective[keyword])
			}
		}
	}
}

// TestSSHLimits opens connections that do not sign in, until sshd takes no more of this address.
func TestSSHLimits(t *testing.T) {
	root, _ := sshCopy(t)
	for config, want := range map[string]audit.Status{
		"MaxStartups 10:30:60\n":                              audit.Fail,
		"MaxStartups 10:30:60\nPerSourceMaxStartups 3\n":      audit.Pass,
		"PerSourceMaxStartups none\nPerSourceMaxStartups 3\n": audit.Pass, // the last line counts, up to OpenSSH 9.7
		"PerSourceMaxStartups 3\nPerSourceMaxStartups none\n": audit.Fail,
	} {
		put(t, root, "/etc/ssh/sshd_config", config, 0o644)
		put(t, root, "/etc/default/ssh", "", 0o644)
		port := real.FreePort(t)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		sshd := real.Start(t, "sshd", within(root, "/usr/sbin/sshd", "-D", "-e", "-p", fmt.Sprint(port), "-o", "ListenAddress=127.0.0.1"))
		sshd.AwaitListening(address, time.Minute)
		taken := 0
		for range 6 {
			conn, err := net.DialTimeout("tcp", address, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			greeting := make([]byte, 4)
			if n, _ := conn.Read(greeting); string(greeting[:n]) == "SSH-" {
				taken++
			}
		}
		sshd.Stop()
		if limited := taken < 6; limited != (want == audit.Pass) {
			t.Errorf("%q: sshd takes %d of 6", config, taken)
		}
		for _, run := range []bool{true, false} {
			if _, found := look(t, root, run); found["M-36"].Status != want {
				t.Errorf("%q: got %+v, want %s", config, found["M-36"], want)
			}
		}
	}
}

// TestSSHRefuses: a configuration that sshd does not take is unknown, by its own word and by the files.
func TestSSHRefuses(t *testing.T) {
	root, _ := sshCopy(t)
	for _, config := range []string{"Match User\n", "Match all User root\n", "Match Address 10.0.0.1/8\nPermitRootLogin no\n", "Match Moon full\n", "PermitRootLogin\n", "PermitRootLogin no\nPasswordAuthentication never\n", "PermitRootLogin no yes\n", "PermitRootLogin off\n",
		"PermitRootLogin no\nMatch User anna\nUsePAM no\n", "PermitRootLogin no\nMatch User anna\nMaxStartups 10\n", "PermitRootLogin no\nMatch User anna\nStrictModes no\n",
		"PermitRootLogin no\nAuthenticationMethods publickey\nMatch User anna\nAuthenticationMethods any\n", "PermitRootLogin no\nAuthenticationMethods any publickey\n"} {
		put(t, root, "/etc/ssh/sshd_config", config, 0o644)
		if err := within(root, "/usr/sbin/sshd", "-t").Run(); err == nil {
			t.Errorf("%q: sshd takes it", config)
		}
		for _, run := range []bool{true, false} {
			if _, found := look(t, root, run); found["I-03"].Status != audit.Unknown {
				t.Errorf("%q: got %+v, want unknown", config, found["I-03"])
			}
		}
	}
}

// TestRealHashes sets passwords as people do, and tells those that are tried first.
func TestRealHashes(t *testing.T) {
	root, _ := sshCopy(t)
	for _, c := range []struct {
		method, password string
		want             audit.Status
	}{
		{"YESCRYPT", "anna123", audit.Fail}, {"YESCRYPT", "Anna-is-not-1-word", audit.Pass},
		{"SHA512", "changeme", audit.Fail}, {"SHA512", "Anna-is-not-1-word", audit.Pass},
		{"MD5", "Anna-is-not-1-word", audit.Fail},
	} {
		cmd := within(root, "/usr/sbin/chpasswd", "-c", c.method)
		cmd.Stdin = strings.NewReader("anna:" + c.password + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("chpasswd: %v %s", err, out)
		}
		if _, found := look(t, root, true); found["I-80"].Status != c.want {
			t.Errorf("%s of %q: got %s, want %s; %s %v", c.method, c.password, found["I-80"].Status, c.want, found["I-80"].Reason, found["I-80"].Evidence)
		}
	}
}

// TestSudoAgrees lets anna try to become root by the real sudo, with her password and without.
func TestSudoAgrees(t *testing.T) {
	root, _, entry := sshCopyAndEntry(t)
	for name, sudoers := range map[string]string{
		"nothing":               "root ALL=(ALL:ALL) ALL\n",
		"by name":               "anna ALL=(ALL:ALL) ALL\n",
		"by group":              "%ops ALL=(ALL) NOPASSWD: ALL\n",
		"a later rule":          "anna ALL=(ALL) NOPASSWD: ALL\n%ops ALL=(ALL) PASSWD: ALL\n",
		"the other order":       "%ops ALL=(ALL) PASSWD: ALL\nanna ALL=(ALL) NOPASSWD: ALL\n",
		"another user":          "anna ALL=(sshd) NOPASSWD: ALL\n",
		"all but anna":          "ALL, !anna ALL=(ALL) NOPASSWD: ALL\n",
		"no password is asked":  "Defaults:anna !authenticate\nanna ALL=(ALL) ALL\n",
		"no password, anybody":  "anna ALL=(ALL) ALL\nDefaults !authenticate\n",
		"aliases":               "User_Alias A = nobody, %ops\nCmnd_Alias X = /bin/ls, ALL\nRunas_Alias R = root\nA ALL=(R) NOPASSWD: X\n",
		"a number":              "#1500 ALL=(ALL) ALL\n",
		"a comment":             "# anna ALL=(ALL) ALL\n",
		"in a folder":           "@includedir /etc/sudoers.d\n",
		"the old include":       "#includedir /etc/sudoers.d\n",
		"tags stay":             "anna ALL=(ALL) NOPASSWD: /bin/ls, ALL\n",
		"runas stays":           "anna ALL=(sshd) NOPASSWD: /bin/ls, ALL\n",
		"without runas":         "anna ALL=NOPASSWD: ALL\n",
		"runas of a group only": "anna ALL=(:ops) NOPASSWD: ALL\n",
	} {
		t.Run(name, func(t *testing.T) {
			put(t, root, "/etc/sudoers", sudoers, 0o440)
			put(t, root, "/etc/sudoers.d/ops", "anna ALL=(ALL) NOPASSWD: ALL\n", 0o440)
			put(t, root, "/etc/sudoers.d/zz.bak", "anna ALL=(ALL) PASSWD: ALL\n", 0o440)
			as := func(stdin string, args ...string) bool {
				words := slices.Concat(entry, []string{"setpriv", "--reuid=1500", "--regid=1500", "--init-groups", "sudo", "-k"}, args)
				cmd := exec.Command(words[0], words[1:]...)
				cmd.Stdin = strings.NewReader(stdin)
				out, _ := cmd.Output() // that it fails is one of the answers
				return strings.TrimSpace(string(out)) == "0"
			}
			free := as("", "-n", "id", "-u")
			want := free || as(password+"\n", "-S", "-p", "", "id", "-u")
			f, _ := look(t, root, false)
			s := f.Values["sudo"].(facts.Sudo)
			i := slices.IndexFunc(s.Roots, func(r facts.SudoRoot) bool { return r.Name == "anna" })
			if got := i >= 0; got != want || got && s.Roots[i].NoPassword != free {
				t.Errorf("got %v, want %v (without a password: %v); %+v", got, want, free, s.Roots)
			}
		})
	}
}

// TestKeysOfSSHKeygen reads keys as ssh-keygen makes them, and tells the bits that it tells.
func TestKeysOfSSHKeygen(t *testing.T) {
	real.Require(t, "ssh-keygen")
	root, lines := t.TempDir(), ""
	want := map[string]bool{}
	for _, c := range []struct {
		kind, bits string
		weak       bool
	}{{"rsa", "2048", true}, {"rsa", "3072", false}, {"ecdsa", "256", false}, {"ecdsa", "521", false}, {"ed25519", "256", false}, {"dsa", "1024", true}} {
		name := filepath.Join(t.TempDir(), "key")
		if out, err := exec.Command("ssh-keygen", "-q", "-t", c.kind, "-b", c.bits, "-N", "", "-C", c.kind+c.bits, "-f", name).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen %s: %v %s", c.kind, err, out)
		}
		public, err := os.ReadFile(name + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		lines += string(public)
		want[c.kind+c.bits] = c.weak
	}
	put(t, root, "/etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644)
	put(t, root, "/root/.ssh/authorized_keys", lines, 0o600)
	f, _ := look(t, root, false)
	k, ok := f.Values["keys"].(facts.Keys)
	if !ok || len(k.Keys) != len(want) {
		t.Fatalf("got %+v, missing %v", k.Keys, f.Missing)
	}
	for _, key := range k.Keys {
		if !strings.HasSuffix(key.Comment, fmt.Sprint(key.Bits)) || key.Weak != want[key.Comment] {
			t.Errorf("%s: got %d bits, weak %v", key.Comment, key.Bits, key.Weak)
		}
	}
}
