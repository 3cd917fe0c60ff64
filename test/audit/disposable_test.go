package audit_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/rules"
	"github.com/doorward/doorward/test/real"
)

// disposable is a copy of this machine in a mount namespace of its own, with an overlay over everything: what is written
// there goes with the test. Its network is the machine's, so servers listen on 127.0.0.1 only.
type disposable struct {
	t    *testing.T
	root string // as it is seen from outside
}

const overlay = `set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/run"
mount -t tmpfs none "$1/root/tmp"
chmod 1777 "$1/root/tmp"
exec chroot "$1/root" /bin/sh -c 'touch /run/ready; exec sleep infinity'`

// newDisposable makes a copy; the files given are written into it, and those with no text are deleted.
func newDisposable(t *testing.T, files map[string]string) *disposable {
	t.Helper()
	if os.Getuid() != 0 {
		real.Missing(t, "a copy of the machine needs root")
	}
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", overlay, "sh", real.Folder(t))
	real.Start(t, "the copy of the machine", cmd)
	d := &disposable{t, fmt.Sprintf("/proc/%d/root", cmd.Process.Pid)}
	real.Eventually(t, time.Minute, "the copy of the machine", func() bool {
		_, err := os.Stat(d.root + "/run/ready")
		return err == nil
	})
	for _, dir := range []string{"/run/php", "/run/apache2", "/run/lock/apache2"} {
		if err := os.MkdirAll(d.root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		d.write(name, text)
	}
	return d
}

func (d *disposable) write(name, text string) {
	d.t.Helper()
	if text == "" {
		if err := os.RemoveAll(d.root + name); err != nil {
			d.t.Fatal(err)
		}
		return
	}
	if err := os.MkdirAll(filepath.Dir(d.root+name), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.root+name, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// command is one of the copy's programs.
func (d *disposable) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: d.root}
	return cmd
}

// judge audits the copy with its programs and returns the findings by id.
func (d *disposable) judge(config facts.Config) map[string]audit.Finding {
	d.t.Helper()
	cat, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	if err != nil {
		d.t.Fatal(err)
	}
	h, err := facts.OpenHost(facts.HostOptions{Root: d.root, ExecInRoot: true})
	if err != nil {
		d.t.Fatal(err)
	}
	defer h.Close()
	config.SetDefaults()
	found := map[string]audit.Finding{}
	for _, f := range cat.Judge(audit.Profile{}, facts.Collect(d.t.Context(), h, facts.Target{Config: config, Now: time.Now()}, nil), audit.Records{}) {
		found[f.ID] = f
	}
	return found
}

// logged says whether a log file of the copy holds text.
func (d *disposable) logged(name, text string) bool {
	log, err := os.ReadFile(d.root + name)
	return err == nil && strings.Contains(string(log), text)
}
