package fix_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/audit/fix"
)

const appRoot = "var/www/html/i-doit"

// withProgram gives the fixer a program that can be started to wait, and does nothing.
func withProgram(o *fix.Options) { o.Program = "/bin/true" }

func modeOf(t *testing.T, root, name string) string {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(filepath.Join(root, appRoot, name), &st))
	text := strings.TrimPrefix(os.FileMode(st.Mode&0o777).String(), "-")
	if flagsOf(filepath.Join(root, appRoot, name))&immutable != 0 {
		text += " i"
	}
	if st.Gid == 33 {
		text += " www-data"
	}
	return text
}

func TestSealUnsealReseal(t *testing.T) {
	root := host(t)
	probe := filepath.Join(root, "probe")
	write(t, root, "probe", "")
	setFlags(t, probe, immutable) // or the test is skipped
	setFlags(t, probe, 0)
	app := filepath.Join(root, appRoot)
	check(t, os.Chown(filepath.Join(app, "index.php"), 33, 33))
	check(t, os.Chmod(filepath.Join(app, "index.php"), 0o4755))
	check(t, unix.Setxattr(filepath.Join(app, "src"), "system.posix_acl_default", aclFor(1000), 0))
	check(t, unix.Setxattr(filepath.Join(app, "src/config.inc.php"), acl, aclFor(1000), 0))
	check(t, unix.Mkfifo(filepath.Join(app, "fifo"), 0o600))
	write(t, root, "victim", "not of the application\n")
	check(t, os.Link(filepath.Join(root, "victim"), filepath.Join(app, "hard")))
	link(t, root, appRoot+"/out", "../../../../victim")
	before := snapshot(t, root)

	f := fixer(t, root, idoit, withProgram)
	out := apply(t, f, plan(t, f, "I-69", "I-70", "I-71", "I-72", "D-25"))
	for name, want := range map[string]string{
		".": "r-xr-x--- i www-data", "index.php": "r--r----- i www-data", "controller": "r-xr-x--- i www-data", "src": "r-xr-x--- i www-data",
		"src/config.inc.php": "r--r----- i www-data", "upload": "rwxrwx--- www-data", "upload/files": "rwxrwx--- www-data",
		"upload/files/a file": "rw-r--r--", "hard": "rw-r--r--", "fifo": "rw-------",
	} {
		if got := modeOf(t, root, name); got != want {
			t.Errorf("sealed: %s is %q, want %q", name, got, want)
		}
	}
	if read(t, root, "victim") != "not of the application\n" || !strings.Contains(strings.Join(out[0].Notes, "\n"), "1 files stay as they are: they have other names") {
		t.Errorf("the file with another name was touched, or is not told: %q", out[0].Notes)
	}
	if err := os.WriteFile(filepath.Join(app, "new.php"), nil, 0o644); err == nil {
		t.Error("root itself can put a file into the sealed folder")
	}

	lifted, err := f.Unseal(t.Context(), "cmdb", time.Hour, "update")
	check(t, err)
	if got := modeOf(t, root, "index.php") + ", " + modeOf(t, root, "src"); got != "rw-rw---- www-data, rwxrwx--- www-data" {
		t.Errorf("unsealed: %s", got)
	}
	if _, err := f.Unseal(t.Context(), "cmdb", time.Hour, "again"); err == nil || !strings.Contains(err.Error(), "lifted already") {
		t.Errorf("got %v, want that it is lifted already", err)
	}
	// The update: a new file, one that is replaced, one that goes.
	write(t, root, appRoot+"/added.php", "new\n")
	check(t, os.Remove(filepath.Join(app, "index.php")))
	write(t, root, appRoot+"/index.php", "<?php echo 2;\n")
	check(t, os.Remove(filepath.Join(app, "link")))
	report, err := f.Reseal(t.Context(), "cmdb")
	check(t, err)
	if !slices.Equal(report.Added, []string{"added.php"}) || !slices.Equal(report.Removed, []string{"link"}) || !slices.Equal(report.Changed, []string{"index.php"}) {
		t.Errorf("got %+v, want what the update did", report)
	}
	if got := modeOf(t, root, "added.php") + ", " + modeOf(t, root, "index.php"); got != "r--r----- i www-data, r--r----- i www-data" {
		t.Errorf("sealed again: %s", got)
	}
	if _, err := f.Reseal(t.Context(), "cmdb"); err == nil {
		t.Error("what is sealed is sealed again")
	}

	check(t, f.UndoAll(t.Context(), false, nil))
	// All is as before but what the update did, and it left no setuid behind on a file that it brought itself.
	now := snapshot(t, root)
	for _, line := range strings.Split(before, "\n") {
		name, _, _ := strings.Cut(line, " ")
		if name != appRoot && name != appRoot+"/index.php" && name != appRoot+"/link" && !strings.Contains(now, line) {
			t.Errorf("not as before: %s", line)
		}
	}
	if !strings.Contains(now, appRoot+"/index.php 100755 33:33 flags 0") || lifted.Seal != "unsealed" {
		t.Errorf("the file of the update has other rights than the one before it, without setuid:\n%s", now)
	}
}

// TestWatchSealsAgain: the time is over.
func TestWatchSealsAgain(t *testing.T) {
	root := host(t)
	write(t, root, "probe", "")
	setFlags(t, filepath.Join(root, "probe"), 0)
	f := fixer(t, root, idoit, withProgram)
	apply(t, f, plan(t, f, "I-71"))
	e, err := f.Unseal(t.Context(), "cmdb", 50*time.Millisecond, "update")
	check(t, err)
	check(t, fixer(t, root).Watch(t.Context(), e.ID)) // another process, which no configuration tells of the application
	if got := modeOf(t, root, "index.php"); got != "r--r----- i www-data" {
		t.Errorf("after the time: %s", got)
	}
	check(t, f.Watch(t.Context(), e.ID)) // the second that waits finds nothing to do
	all, err := f.History()
	check(t, err)
	if last := all[len(all)-1]; last.Seal != "sealed" || len(all) != 3 {
		t.Errorf("the journal ends with %+v", last)
	}
}

func TestBadApplications(t *testing.T) {
	root := host(t)
	for name, c := range map[string]struct {
		app  fix.App
		want string
	}{
		"the root itself":      {fix.App{Name: "x", Root: "/"}, "no folder of an application"},
		"a folder of the host": {fix.App{Name: "x", Root: "/etc"}, "no folder of an application"},
		"data outside":         {fix.App{Name: "x", Root: "/" + appRoot, Data: []string{"../../../etc"}}, "is not below"},
		"no such account":      {fix.App{Name: "x", Root: "/" + appRoot, WebUser: "nobody-here"}, "no account"},
		"root as web user":     {fix.App{Name: "x", Root: "/" + appRoot, WebUser: "root"}, "not root's"},
		"an unknown kind":      {fix.App{Name: "x", Root: "/" + appRoot, Kind: "../idoit"}, "no name of an application folder"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fixer(t, root, func(o *fix.Options) { o.Apps = []fix.App{c.app} })
			if _, err := f.Plan(t.Context(), []string{"I-71"}, true); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
