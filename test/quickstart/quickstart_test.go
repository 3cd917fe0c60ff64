package quickstart_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/test/real"
)

// inside is set in the process that runs in the disposable copy of this machine.
const inside = "DOORWARD_QUICKSTART_INSIDE"

// TestQuickstart follows docs/quickstart.md to the letter, in a copy of this machine that is thrown away: an overlay over the
// root, with processes and a network of its own. Then a person does in a browser what the page says.
func TestQuickstart(t *testing.T) {
	if os.Getenv(inside) != "" {
		follow(t)
		return
	}
	real.Require(t, "unshare", "chroot", "bash", "make", "apt-get", "systemd-sysusers", "runuser", "setpriv", "/usr/bin/chromium", "plackup",
		"/usr/sbin/rt-setup-database-5", "/var/lib/dbconfig-common/sqlite3/request-tracker5/rtdb")
	if os.Geteuid() != 0 {
		real.Missing(t, "docs/quickstart.md is followed as root only")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := real.Folder(t)
	// The test's own program lies in the temporary folder, which the copy has empty.
	program := filepath.Join(dir, "quickstart.test")
	if out, err := exec.Command("cp", self, program).CombinedOutput(); err != nil {
		t.Fatalf("copy the test: %v %s", err, out)
	}
	setup := `set -e
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root 2>/dev/null || {
	# The root is an overlay itself, as in containers: these do not stack, but over memory they do.
	mkdir memory; mount -t tmpfs tmpfs memory; mkdir memory/upper memory/work
	mount -t overlay -o lowerdir=/,upperdir=memory/upper,workdir=memory/work overlay root; }
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/tmp; chmod 1777 root/tmp
mount -t tmpfs tmpfs root/run
cp quickstart.test root/run/
# A checkout below a folder that the copy has empty.
[ -d "root$REPOSITORY" ] || { mkdir -p "root$REPOSITORY"; cp -a "$REPOSITORY/." "root$REPOSITORY/"; }
exec chroot root env -C "$REPOSITORY" ` + inside + `=1 /run/quickstart.test -test.run '^TestQuickstart$' -test.v`
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", setup)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "REPOSITORY="+real.Repository(t), "TMPDIR=/tmp")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: TestQuickstart") {
		t.Fatalf("the test in the copy did not run:\n%s", out)
	}
	t.Logf("%s", out)
}

// follow runs in the copy: the page's blocks in one shell, and between them what a reader would try.
func follow(t *testing.T) {
	if err := loopbackUp(); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("docs", "quickstart.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 8 {
		t.Fatalf("docs/quickstart.md has %d blocks for the shell, want all of its steps", len(blocks))
	}
	shell := startShell(t)
	password := ""
	for i, block := range blocks {
		if i == len(blocks)-1 { // clean up
			tryOut(t, password)
		}
		out := shell.run(block[1], 10*time.Minute)
		if found := regexp.MustCompile(`(?m)^password: (\S+)$`).FindStringSubmatch(out); found != nil && password == "" {
			password = found[1]
		}
	}
	for _, address := range []string{"127.0.0.1:8443", "127.0.0.1:8600"} {
		real.Eventually(t, time.Minute, "nothing to listen on "+address+" after the clean-up", func() bool {
			conn, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
	}
	for _, path := range []string{"/etc/doorward", "/var/lib/doorward", "/usr/bin/doorward", "/etc/request-tracker5/doorward.secret"} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there after the clean-up (%v)", path, err)
		}
	}
}

// tryOut is step 6 of the page, in a browser.
func tryOut(t *testing.T, password string) {
	t.Helper()
	if password == "" {
		t.Fatal("no block of the page printed a password")
	}
	page := real.Open(t, real.Browser(t), "https://localhost:8443/")
	page.Fill("#username", "anna")
	page.Fill("#password", password)
	page.Click("button[type=submit]")
	want := func(text string) {
		t.Helper()
		real.Eventually(t, time.Minute, fmt.Sprintf("%q on the page", text), func() bool { return strings.Contains(page.Text(), text) })
	}
	want("Logged in as anna")
	page.Go("https://localhost:8443/Ticket/Create.html?Queue=1")
	page.Fill("input[name=Subject]", "Followed to the letter")
	page.Click("[name=SubmitTicket]")
	want("created in queue")
	page.Go("https://localhost:8443/Admin/")
	if got := page.Text(); strings.Contains(got, "RT Administration") || !strings.Contains(got, "Forbidden") {
		t.Errorf("an agent at /Admin/ sees %q, want a refusal", got)
	}
	page.Go("https://localhost:8443/")
	page.Click("#preferences-logout")
	page.Click("button[type=submit]")
	want("You are signed out")
	direct := real.Open(t, real.Browser(t), "http://127.0.0.1:8600/")
	if got := direct.Text(); !strings.Contains(got, "reached through Doorward only") {
		t.Errorf("RT itself says %q, want that it is reached through Doorward only", got)
	}
}

// shell is one bash that the blocks of the page are given to, as a reader pastes them.
type shell struct {
	t     *testing.T
	stdin io.Writer
	lines <-chan string
}

func startShell(t *testing.T) *shell {
	t.Helper()
	cmd := exec.Command("bash", "--noprofile", "--norc")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(r)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Kill() // whatever it started ends with the process namespace
		_ = cmd.Wait()
		r.Close()
	})
	return &shell{t, stdin, lines}
}

// run gives the shell one block, waits for its end and returns what it printed. Any command of the block that fails
// fails the test.
func (s *shell) run(block string, limit time.Duration) string {
	s.t.Helper()
	s.t.Logf("$ %s", strings.TrimSpace(block))
	// A failure is noted rather than ending the shell, so that the block runs as it does for a reader, with its
	// background jobs belonging to this shell.
	if _, err := fmt.Fprintf(s.stdin, "failed=; trap 'failed=\"$failed $LINENO:$BASH_COMMAND\"' ERR\n%s\ntrap - ERR\necho \"block-ended:$failed\"\n", block); err != nil {
		s.t.Fatalf("write to the shell: %v", err)
	}
	var out strings.Builder
	deadline := time.After(limit)
	for {
		select {
		case line, open := <-s.lines:
			if !open {
				s.t.Fatalf("the shell ended in the block\n%s\n%s", block, out.String())
			}
			if failed, ended := strings.CutPrefix(line, "block-ended:"); ended {
				if failed != "" {
					s.t.Fatalf("failed:%s\nin the block\n%s\nwhich printed\n%s", failed, block, out.String())
				}
				s.t.Log(out.String())
				return out.String()
			}
			out.WriteString(line + "\n")
		case <-deadline:
			s.t.Fatalf("after %s still in the block\n%s\nwhich printed\n%s", limit, block, out.String())
		}
	}
}

// loopbackUp turns on the loopback interface of a new network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("turn on the loopback interface: %w", err)
	}
	return nil
}
