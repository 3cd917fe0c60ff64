package rt_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/test/real"
)

const (
	rtServer = "/usr/share/request-tracker5/libexec/rt-server"
	rtSetup  = "/usr/sbin/rt-setup-database-5"
	rtData   = "/var/lib/dbconfig-common/sqlite3/request-tracker5/rtdb"
	rtUser   = "www-data"
)

func TestMain(m *testing.M) {
	code := m.Run()
	real.RemoveProgram()
	os.Exit(code)
}

// tracker is a Request Tracker of the test's own: Debian's program, a copy of Debian's fresh database, and the files of
// rules/apps/request-tracker as docs/request-tracker.md has them installed.
type tracker struct {
	*real.Process
	address    string // 127.0.0.1:PORT
	dir        string
	secretFile string
	secret     string
}

// startTracker starts RT for a Doorward on publicPort. It listens when this returns.
func startTracker(t *testing.T, publicPort int) *tracker {
	t.Helper()
	r := installTracker(t, publicPort)
	r.grantRights(t)
	r.Process = real.Start(t, "request-tracker", r.serve())
	r.AwaitListening(r.address, 3*time.Minute)
	return r
}

// installTracker lays out everything that startTracker starts.
func installTracker(t *testing.T, publicPort int) *tracker {
	t.Helper()
	real.Require(t, "plackup", rtServer, rtSetup, rtData)
	dir := real.Folder(t)
	r := &tracker{dir: dir, address: fmt.Sprintf("127.0.0.1:%d", real.FreePort(t)), secret: rand.Text() + rand.Text()}
	data, err := os.ReadFile(rtData)
	if err != nil {
		real.Missing(t, "read RT's database, which needs root or the group www-data: %v", err)
	}
	real.Write(t, dir, "rtdb", string(data), 0o600)
	// Copies, because RT's user may not be able to pass through the folders above the checkout.
	folder := filepath.Join(real.Repository(t), "rules", "apps", "request-tracker")
	for name, target := range map[string]string{"doorward.psgi": "doorward.psgi", "60-doorward.pm": "conf.d/60-doorward.pm",
		"staff-rights": "staff-rights"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		real.Write(t, dir, target, string(text), 0o644)
	}
	real.Write(t, dir, "RT_SiteConfig.pm", "1;\n", 0o644)
	real.Write(t, dir, "conf.d/10-test.pm", fmt.Sprintf(`Set($rtname, 'desk.localhost');
Set($Organization, 'desk.localhost');
Set($WebDomain, 'localhost');
Set($WebPort, %[1]d);
Set($WebBaseURL, 'https://localhost:%[1]d');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '%[2]s/rtdb');
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'info');
Set($MailCommand, 'testfile');
$RT::MasonSessionDir = '%[2]s/sessions';
1;
`, publicPort, dir), 0o644)
	r.secretFile = real.Write(t, dir, "doorward.secret", r.secret+"\n", 0o600)
	if err := os.Mkdir(filepath.Join(dir, "sessions"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.give(t, dir)
	return r
}

// serve is the command of docs/request-tracker.md, with a log of RT's requests.
func (r *tracker) serve() *exec.Cmd {
	return r.command("plackup", "-E", "deployment", "--access-log", filepath.Join(r.dir, "access.log"), "-s", "Starlet", "--host", "127.0.0.1",
		"--port", strings.TrimPrefix(r.address, "127.0.0.1:"), "--max-workers", "3", filepath.Join(r.dir, "doorward.psgi"))
}

// command runs a program of RT's as the user that RT has on Debian, when the test is root.
func (r *tracker) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "HOME="+r.dir, "TMPDIR="+r.dir, "RT_SITE_CONFIG="+filepath.Join(r.dir, "RT_SiteConfig.pm"),
		"RT_SITE_CONFIG_DIR="+filepath.Join(r.dir, "conf.d"), "DOORWARD_SECRET_FILE="+r.secretFile)
	if os.Geteuid() == 0 {
		if uid, gid, err := ids(rtUser); err == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		}
	}
	return cmd
}

func ids(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	parsedUID, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	parsedGID, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(parsedUID), uint32(parsedGID), err
}

// give makes everything below path RT's own.
func (r *tracker) give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	uid, gid, err := ids(rtUser)
	if err != nil {
		real.Missing(t, "find the user that RT runs as: %v", err)
	}
	err = filepath.WalkDir(path, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(uid), int(gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// grantRights does what an administrator does first in a fresh RT: staff may work in the queues.
func (r *tracker) grantRights(t *testing.T) {
	t.Helper()
	out, err := r.command(rtSetup, "--action", "insert", "--skip-create", "--datafile", filepath.Join(r.dir, "staff-rights")).CombinedOutput()
	if err != nil {
		t.Fatalf("grant RT's staff their rights: %v\n%s", err, out)
	}
}

// site is the tracker's entry below sites: in Doorward's configuration.
func (r *tracker) site() string {
	return fmt.Sprintf(`  - hosts: [localhost]
    upstreams: [http://%s]
    app: request-tracker
    identity: {secret_file: %s}
`, r.address, r.secretFile)
}
