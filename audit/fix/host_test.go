package fix_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/audit/fix"
	"github.com/doorward/doorward/rules"
)

const (
	acl       = "system.posix_acl_access"
	immutable = 0x10
)

// host makes a folder that stands for a host, of the usual files.
func host(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners and flags of files are changed by root only")
	}
	root := t.TempDir()
	t.Cleanup(func() { unlock(root) })
	for name, text := range map[string]string{
		"etc/passwd":                                "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n",
		"etc/group":                                 "root:x:0:\nshadow:x:42:\nwww-data:x:33:\n",
		"etc/shadow":                                "root:*:1::::::\n",
		"etc/gshadow":                               "root:*::\n",
		"etc/ssh/sshd_config":                       "Include /etc/ssh/sshd_config.d/*.conf\nX11Forwarding yes\nMatch User backup\n\tPermitRootLogin yes\n",
		"etc/ssh/sshd_config.d/50-cloud.conf":       "PasswordAuthentication yes\n",
		"etc/ssh/sshd_config.d/00-a.conf":           "PermitRootLogin yes\n",
		"var/log/auth.log":                          "Nov 25 10:00:00 host sshd[12]: Accepted publickey for anna from 192.0.2.7 port 5 ssh2\n",
		"etc/apache2/apache2.conf":                  "ServerSignature On\n",
		"etc/apache2/conf-available/security.conf":  "ServerTokens OS\n",
		"etc/apache2/sites-available/site.conf":     "<VirtualHost *:80>\n  ServerTokens Full\n  php_flag expose_php on\n</VirtualHost>",
		"etc/apache2/mods-available/userdir.load":   "LoadModule userdir_module x\n",
		"etc/php/8.2/apache2/conf.d/20-x.ini":       "; nothing\n",
		"etc/php/8.2/apache2/conf.d/20-xdebug.ini":  "zend_extension=xdebug\n",
		"etc/php/8.2/fpm/pool.d/www.conf":           "[www]\nphp_admin_flag[expose_php] = on\n",
		"etc/php/8.2/fpm/conf.d/99-zz-doorward.ini": "; an older line\nexpose_php = On\nmemory_limit = 1M\n",
		"etc/nginx/nginx.conf":                      "http {\n  ssl_protocols TLSv1 TLSv1.2;\n  server_tokens off;\n  include /etc/nginx/conf.d/*.conf;\n}\n",
		"etc/nginx/sites-enabled/site":              "server {\n  server_tokens on;\n  autoindex on;\n}\n",
		"etc/nginx/conf.d/other.conf":               "# nothing\n",
		"etc/apt/apt.conf.d/20auto":                 "APT::Periodic::Unattended-Upgrade \"0\";\n",
		"usr/bin/unattended-upgrade":                "#!/bin/false\n",
		"etc/sysctl.d/10-x.conf":                    "# nothing\n",
		"lib/systemd/system/cups.service":           "[Unit]\n",
		"var/www/html/i-doit/src/config.inc.php":    "<?php $g_db_system = array('user' => 'idoit', 'pass' => 'old');\n",
		"var/www/html/i-doit/index.php":             "<?php echo 1;\n",
		"var/www/html/i-doit/controller":            "#!/bin/sh\n",
		"var/www/html/i-doit/upload/files/a file":   "data\n",
		"var/www/html/i-doit/log/app.log":           "log\n",
	} {
		write(t, root, name, text)
	}
	for name, target := range map[string]string{
		"etc/apache2/conf-enabled/security.conf":                  "../conf-available/security.conf",
		"etc/apache2/sites-enabled/site.conf":                     "../sites-available/site.conf",
		"etc/apache2/mods-enabled/userdir.load":                   "../mods-available/userdir.load",
		"etc/systemd/system/multi-user.target.wants/cups.service": "/lib/systemd/system/cups.service",
		"var/www/html/i-doit/link":                                "index.php",
	} {
		link(t, root, name, target)
	}
	check(t, os.Chmod(filepath.Join(root, "etc/shadow"), 0o644))
	return root
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	name = filepath.Join(root, name)
	check(t, os.MkdirAll(filepath.Dir(name), 0o755))
	check(t, os.WriteFile(name, []byte(text), 0o644))
}

func link(t *testing.T, root, name, target string) {
	t.Helper()
	name = filepath.Join(root, name)
	check(t, os.MkdirAll(filepath.Dir(name), 0o755))
	check(t, os.Symlink(target, name))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	check(t, err)
	return string(text)
}

// flagsOf reads the inode flags that chattr sets.
func flagsOf(name string) int {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return 0
	}
	return int(flags) & 0x100f8
}

// setFlags sets them, or skips the test where the file system has none.
func setFlags(t *testing.T, name string, flags int) {
	t.Helper()
	f, err := os.Open(name)
	check(t, err)
	defer f.Close()
	now, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(now)&^0x100f8|flags)
	}
	if err != nil {
		t.Skipf("this file system has no flags such as immutable: %v", err)
	}
}

// unlock takes the flags away that keep a folder from being deleted.
func unlock(root string) {
	_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && flagsOf(name)&immutable != 0 {
			if f, err := os.Open(name); err == nil {
				now, _ := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
				_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(now)&^immutable)
				f.Close()
			}
		}
		return nil
	})
}

// snapshot tells everything that an undo has to bring back, one line a path.
func snapshot(t *testing.T, root string) string {
	t.Helper()
	var lines []string
	check(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		line := fmt.Sprintf("%s %o %d:%d flags %x", rel, st.Mode, st.Uid, st.Gid, 0)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(name)
			line += " -> " + target
		case d.Type().IsRegular():
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(text)
			line = fmt.Sprintf("%s %o %d:%d flags %x %s", rel, st.Mode, st.Uid, st.Gid, flagsOf(name), hex.EncodeToString(sum[:8]))
		case d.IsDir():
			line = fmt.Sprintf("%s %o %d:%d flags %x", rel, st.Mode, st.Uid, st.Gid, flagsOf(name))
		}
		for _, key := range []string{acl, "system.posix_acl_default", "user.note"} {
			value := make([]byte, 1024)
			if n, err := unix.Lgetxattr(name, key, value); err == nil {
				line += " " + key + "=" + hex.EncodeToString(value[:n])
			}
		}
		lines = append(lines, line)
		return nil
	}))
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// same fails when the host is not as it was.
func same(t *testing.T, root, before string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(snapshot(t, root), "\n")); diff != "" {
		t.Errorf("the host is not as it was (-before +now):\n%s", diff)
	}
}

// fixer opens the folder as a host.
func fixer(t *testing.T, root string, with ...func(*fix.Options)) *fix.Fixer {
	t.Helper()
	o := fix.Options{Root: root, State: stateOf(root), Recipes: rules.Fixes()}
	for _, w := range with {
		w(&o)
	}
	f, err := fix.New(o)
	check(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// stateOf is the journal of a test's host.
func stateOf(root string) string { return root + ".journal" }

func idoit(o *fix.Options) {
	o.Apps = []fix.App{{Name: "cmdb", Kind: "idoit", Root: "/var/www/html/i-doit"}}
}

// plan plans the controls by name, and fails without a change.
func plan(t *testing.T, f *fix.Fixer, ids ...string) fix.Plan {
	t.Helper()
	p, err := f.Plan(t.Context(), ids, true)
	check(t, err)
	if len(p.Groups) == 0 {
		t.Fatalf("nothing is planned for %v: %v", ids, p.Left)
	}
	return p
}

// apply applies a plan, all of it.
func apply(t *testing.T, f *fix.Fixer, p fix.Plan) []fix.Outcome {
	t.Helper()
	outcomes, err := f.Apply(t.Context(), p, fix.ApplyOptions{ConfirmWithin: 1e9})
	check(t, err)
	for _, o := range outcomes {
		if o.Err != nil {
			t.Fatalf("apply %s: %v", o.Entry.ID, o.Err)
		}
	}
	return outcomes
}

// aclFor is an access list that lets one more account write, as setfacl -m u:1000:rw makes it for mode 0640.
func aclFor(id uint32) []byte {
	var b bytes.Buffer
	b.Write([]byte{2, 0, 0, 0})
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, ^uint32(0)}, {2, 6, id}, {4, 4, ^uint32(0)}, {16, 6, ^uint32(0)}, {32, 0, ^uint32(0)}} {
		b.Write([]byte{byte(e.tag), 0, byte(e.perm), 0, byte(e.id), byte(e.id >> 8), byte(e.id >> 16), byte(e.id >> 24)})
	}
	return b.Bytes()
}
