package fix_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"github.com/doorward/doorward/audit"
	"github.com/doorward/doorward/audit/fix"
	"github.com/doorward/doorward/rules"
)

// everything are the controls whose repairs change files of the test's host.
func everything() []string {
	return []string{"I-03", "I-05", "I-06", "M-36", "I-42", "I-43", "I-15", "I-16", "I-27", "I-28", "I-29", "I-44", "I-51", "I-11", "I-14", "I-97", "I-71"}
}

func TestApplyAndUndo(t *testing.T) {
	root := host(t)
	before := snapshot(t, root)
	f := fixer(t, root, idoit)
	apply(t, f, plan(t, f, everything()...))
	for name, want := range map[string]string{
		"etc/ssh/sshd_config.d/00-doorward.conf":                  "PermitRootLogin no\n",
		"etc/ssh/sshd_config.d/00-a.conf":                         "# doorward fix: PermitRootLogin yes\n", // it is read first
		"etc/ssh/sshd_config":                                     "# doorward fix: \tPermitRootLogin yes\n",
		"etc/ssh/sshd_config.d/50-cloud.conf":                     "PasswordAuthentication yes\n", // the first value wins, and that is ours
		"etc/apache2/sites-available/site.conf":                   "# doorward fix:   ServerTokens Full\n# doorward fix:   php_flag expose_php on\n",
		"etc/apache2/conf-enabled/zz-doorward.conf":               "ServerTokens Prod\n",
		"etc/php/8.2/fpm/conf.d/99-zz-doorward.ini":               "; an older line\nexpose_php = Off\nmemory_limit = 1M\nopen_basedir = /var/www/html/i-doit/:/tmp/",
		"etc/php/8.2/fpm/pool.d/www.conf":                         "; doorward fix: php_admin_flag[expose_php] = on\n",
		"etc/nginx/nginx.conf":                                    "# doorward fix:   server_tokens off;\n",
		"etc/nginx/conf.d/zz-doorward.conf":                       "server_tokens off;\nssl_protocols TLSv1.2 TLSv1.3;\n",
		"etc/nginx/sites-enabled/site":                            "# doorward fix:   server_tokens on;\n# doorward fix:   autoindex on;\n",
		"etc/apt/apt.conf.d/99zz-doorward":                        "APT::Periodic::Unattended-Upgrade \"1\";\n",
		"etc/sysctl.d/99-zz-doorward.conf":                        "net.ipv6.conf.all.disable_ipv6 = 1\n",
		"etc/apache2/mods-enabled/userdir.load":                   "",
		"etc/systemd/system/multi-user.target.wants/cups.service": "",
		"etc/php/8.2/apache2/conf.d/20-xdebug.ini":                "",
	} {
		got := read(t, root, name)
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s is %q, want %q in it", name, got, want)
		}
	}
	check(t, f.UndoAll(t.Context(), false, nil))
	same(t, root, before)
	all, err := f.History()
	check(t, err)
	for _, e := range all {
		if e.Status != fix.Undone {
			t.Errorf("%s is %s, want %s", e.ID, e.Status, fix.Undone)
		}
	}
	// Planned again, it is the same once more.
	apply(t, f, plan(t, f, "I-03"))
	if p, err := f.Plan(t.Context(), []string{"I-03"}, true); err != nil || len(p.Groups) != 0 {
		t.Errorf("what is in force is planned again: %+v, %v", p, err)
	}
}

// TestUndoIsExact: a file comes back with owner, mode, ACL, flags, attributes and time.
func TestUndoIsExact(t *testing.T) {
	root := host(t)
	name := filepath.Join(root, "etc/ssh/sshd_config")
	check(t, os.Chown(name, 1000, 33))
	check(t, os.Chmod(name, 0o640))
	if err := unix.Setxattr(name, acl, aclFor(1000), 0); err != nil {
		t.Skipf("this file system has no access lists: %v", err)
	}
	check(t, unix.Setxattr(name, "user.note", []byte("kept"), 0))
	setFlags(t, name, immutable|0x40)
	info, err := os.Stat(name)
	check(t, err)
	before := snapshot(t, root)
	f := fixer(t, root)
	out := apply(t, f, plan(t, f, "I-03"))
	if now := snapshot(t, root); now == before || flagsOf(name) != immutable|0x40 {
		t.Errorf("nothing was changed, or the flags were lost: %x", flagsOf(name))
	}
	// A new process, as after a reboot.
	_, err = fixer(t, root).Undo(t.Context(), out[0].Entry.ID, false)
	check(t, err)
	same(t, root, before)
	if now, err := os.Stat(name); err != nil || !now.ModTime().Equal(info.ModTime()) {
		t.Errorf("the time is %v, want %v (%v)", now.ModTime(), info.ModTime(), err)
	}
}

func TestChangedSincePlan(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, root string){
		"its text": func(t *testing.T, root string) { write(t, root, "etc/ssh/sshd_config", "Port 2222\n") },
		"its mode": func(t *testing.T, root string) { check(t, os.Chmod(filepath.Join(root, "etc/ssh/sshd_config"), 0o600)) },
		"a link in its place": func(t *testing.T, root string) {
			write(t, root, "victim", read(t, root, "etc/ssh/sshd_config"))
			check(t, os.Remove(filepath.Join(root, "etc/ssh/sshd_config")))
			link(t, root, "etc/ssh/sshd_config", "/victim")
		},
		"a link in place of its folder": func(t *testing.T, root string) {
			check(t, os.Rename(filepath.Join(root, "etc/ssh/sshd_config.d"), filepath.Join(root, "elsewhere")))
			link(t, root, "etc/ssh/sshd_config.d", "/elsewhere")
		},
		"a link above its folder": func(t *testing.T, root string) {
			check(t, os.Rename(filepath.Join(root, "etc/ssh"), filepath.Join(root, "etc/elsewhere")))
			link(t, root, "etc/ssh", "elsewhere")
		},
		"another name of it": func(t *testing.T, root string) {
			check(t, os.Link(filepath.Join(root, "etc/ssh/sshd_config"), filepath.Join(root, "other")))
		},
		"a file in a new one's place": func(t *testing.T, root string) { write(t, root, "etc/ssh/sshd_config.d/00-doorward.conf", "# mine\n") },
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t)
			f := fixer(t, root)
			p := plan(t, f, "I-03")
			change(t, root)
			before := snapshot(t, root)
			outcomes, err := f.Apply(t.Context(), p, fix.ApplyOptions{})
			check(t, err)
			if len(outcomes) != 1 || outcomes[0].Err == nil || outcomes[0].Entry.Status == fix.Kept {
				t.Fatalf("got %+v, want that it is refused", outcomes)
			}
			same(t, root, before)
		})
	}
}

func TestUndoRefusesWhatChangedSince(t *testing.T) {
	root := host(t)
	before := snapshot(t, root)
	f := fixer(t, root)
	out := apply(t, f, plan(t, f, "I-03", "I-43"))
	write(t, root, "etc/ssh/sshd_config.d/00-doorward.conf", "PermitRootLogin yes\n")
	changed := snapshot(t, root)
	id := out[0].Entry.ID
	_, err := f.Undo(t.Context(), id, false)
	var conflict *fix.Conflict
	if !errors.As(err, &conflict) || !strings.Contains(conflict.Diff, "-PermitRootLogin no\n+PermitRootLogin yes\n") {
		t.Fatalf("got %v, want a conflict that shows the difference", err)
	}
	same(t, root, changed) // nothing of the entry was taken back
	_, err = f.Undo(t.Context(), id, true)
	check(t, err)
	check(t, f.UndoAll(t.Context(), false, nil))
	same(t, root, before)
	if _, err := f.Undo(t.Context(), id, false); err == nil || !strings.Contains(err.Error(), "undone already") {
		t.Errorf("got %v, want that it was taken back already", err)
	}
}

// TestUndoInOrder: a later change of the same file has to be taken back first.
func TestUndoInOrder(t *testing.T) {
	root := host(t)
	before := snapshot(t, root)
	f := fixer(t, root)
	first := apply(t, f, plan(t, f, "I-03"))[0].Entry.ID
	second := apply(t, f, plan(t, f, "M-36"))[0].Entry.ID
	if _, err := f.Undo(t.Context(), first, false); err == nil || !strings.Contains(err.Error(), second+" came later") {
		t.Fatalf("got %v, want that the second is named", err)
	}
	check(t, f.UndoAll(t.Context(), false, nil))
	same(t, root, before)
}

// TestControlIsAskedAgain: a control that still fails takes the change back.
func TestControlIsAskedAgain(t *testing.T) {
	root := host(t)
	catalogue := func(expect string) func(*fix.Options) {
		return func(o *fix.Options) {
			text := "controls:\n- {id: I-03, title: x, severity: high, rationale: x, by: [fix], expected: x, fix: x, expect: '" + expect + "'}\n"
			c, err := audit.Load(audit.Source{Controls: fstest.MapFS{"x.yaml": {Data: []byte(text)}}, Profiles: fstest.MapFS{"all.yaml": {Data: []byte("title: All\n")}}})
			check(t, err)
			o.Catalogue = c
		}
	}
	f := fixer(t, root, catalogue("system.id == \"moon\""))
	write(t, root, "etc/os-release", "ID=debian\n")
	before := snapshot(t, root)
	outcomes, err := f.Apply(t.Context(), plan(t, f, "I-03"), fix.ApplyOptions{})
	check(t, err)
	if o := outcomes[0]; o.Err == nil || !strings.Contains(o.Err.Error(), "I-03 still fails") || o.Entry.Status != fix.RolledBack {
		t.Fatalf("got %+v, want that the control still fails", o)
	}
	same(t, root, before)
	// The control that Doorward comes with fails before, and passes afterwards.
	write(t, root, "usr/sbin/sshd", "")
	f = fixer(t, root, func(o *fix.Options) {
		c, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
		check(t, err)
		o.Catalogue = c
	})
	if o := apply(t, f, plan(t, f, "I-03"))[0]; !strings.Contains(strings.Join(o.Notes, "\n"), "I-03: pass") {
		t.Errorf("got %q, want the verdict", o.Notes)
	}
}

// TestPassesAlready: what is in force is left alone, and ours takes nothing from what others have set.
func TestPassesAlready(t *testing.T) {
	root := host(t)
	write(t, root, "etc/os-release", "ID=debian\n")
	f := fixer(t, root, func(o *fix.Options) {
		text := "controls:\n- {id: I-03, title: x, severity: high, rationale: x, by: [fix], expected: x, fix: x, expect: 'system.id == \"debian\"'}\n"
		c, err := audit.Load(audit.Source{Controls: fstest.MapFS{"x.yaml": {Data: []byte(text)}}, Profiles: fstest.MapFS{"all.yaml": {Data: []byte("title: All\n")}}})
		check(t, err)
		o.Catalogue = c
	})
	p, err := f.Plan(t.Context(), []string{"I-03"}, true)
	check(t, err)
	if len(p.Groups) != 0 || p.Left[0].Reason != "it passes already" {
		t.Errorf("got %+v, want that it passes already", p)
	}
	write(t, root, "etc/php/8.2/fpm/php.ini", "disable_functions = exec, system\n; disable_functions = no\n")
	write(t, root, "etc/php/8.2/fpm/conf.d/30-own.ini", "\ndisable_functions = exec,passthru\n")
	apply(t, f, plan(t, f, "I-28"))
	if got := read(t, root, "etc/php/8.2/fpm/conf.d/99-zz-doorward.ini"); !strings.Contains(got, "pcntl_setpriority,exec,passthru\n") {
		t.Errorf("got %q, want what is in force with ours", got)
	}
}

func TestOneApplyAtATime(t *testing.T) {
	root := host(t)
	f, other := fixer(t, root), fixer(t, root)
	p := plan(t, f, "I-03")
	lock, err := os.Open(filepath.Join(stateOf(root), "lock"))
	if err != nil {
		lock, err = os.Create(filepath.Join(stateOf(root), "lock"))
	}
	check(t, err)
	defer lock.Close()
	check(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	if _, err := f.Apply(t.Context(), p, fix.ApplyOptions{}); err == nil || !strings.Contains(err.Error(), "another doorward fix") {
		t.Errorf("got %v, want that another is at work", err)
	}
	if err := other.UndoAll(t.Context(), false, nil); err == nil || !strings.Contains(err.Error(), "another doorward fix") {
		t.Errorf("got %v, want that another is at work", err)
	}
}

func TestJournalIsRootsOwn(t *testing.T) {
	root := host(t)
	for name, prepare := range map[string]func(state string) error{
		"readable by others": func(state string) error { return os.Mkdir(state, 0o755) },
		"of somebody else":   func(state string) error { return errors.Join(os.Mkdir(state, 0o700), os.Chown(state, 33, 33)) },
		"a link":             func(state string) error { return os.Symlink("/tmp", state) },
	} {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "state")
			check(t, prepare(state))
			f, err := fix.New(fix.Options{Root: root, State: state, Recipes: rules.Fixes()})
			if err == nil {
				f.Close()
				t.Error("it is used as the journal")
			}
		})
	}
	f := fixer(t, root)
	for _, id := range []string{"", "..", "../x", "20261125T101500.000Z-x/../..", "nonsense"} {
		if _, err := f.Undo(t.Context(), id, false); err == nil {
			t.Errorf("undo of %q is no error", id)
		}
	}
	out := apply(t, f, plan(t, f, "I-03"))
	info, err := os.Stat(filepath.Join(stateOf(root), out[0].Entry.ID, "manifest.json"))
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the manifest has mode %o, want 600", info.Mode().Perm())
	}
}

func TestPasswordLoginNeedsAKeyLogin(t *testing.T) {
	root := host(t)
	f := fixer(t, root)
	plan(t, f, "I-06")
	for name, line := range map[string]string{
		"no line":             "",
		"of a stranger":       "Nov 25 10:00:00 host sshd[12]: Invalid user sshd[1]: Accepted publickey for anna from 192.0.2.7 port 5 ssh2\n",
		"of a former account": "Nov 25 10:00:00 host sshd[12]: Accepted publickey for gone from 192.0.2.7 port 5 ssh2\n",
		"by password":         "Nov 25 10:00:00 host sshd[12]: Accepted password for anna from 192.0.2.7 port 5 ssh2\n",
		"of another program":  "Nov 25 10:00:00 host logger: sshd[12]: Accepted publickey for anna from 192.0.2.7 port 5 ssh2\n",
	} {
		write(t, root, "var/log/auth.log", line)
		p, err := f.Plan(t.Context(), []string{"I-06"}, true)
		check(t, err)
		if len(p.Groups) != 0 || len(p.Left) != 1 || !strings.Contains(p.Left[0].Reason, "no sign-in by key") {
			t.Errorf("%s: got %+v, want that it is refused", name, p)
		}
	}
	write(t, root, "var/log/auth.log", "2026-11-25T10:00:00.123456+00:00 host sshd-session[12]: Accepted publickey for anna from 2001:db8::1 port 5 ssh2\n")
	plan(t, f, "I-06")
}

// TestNamedRepairs: a profile takes nothing away that somebody may use.
func TestNamedRepairs(t *testing.T) {
	root := host(t)
	f := fixer(t, root, idoit)
	p, err := f.Plan(t.Context(), []string{"I-71", "I-97", "I-14"}, false)
	check(t, err)
	if len(p.Groups) != 0 || len(p.Left) != 3 || !strings.Contains(p.Left[0].Reason, "only when it is named") {
		t.Errorf("got %+v, want nothing planned", p)
	}
}

// TestRepairsAnswerControls: each repair's control says that a fix answers it.
func TestRepairsAnswerControls(t *testing.T) {
	c, err := audit.Load(audit.Source{Controls: rules.Controls(), Profiles: rules.Profiles()})
	check(t, err)
	root := host(t)
	repairs := fixer(t, root).Repairs()
	if len(repairs) < 25 {
		t.Errorf("%d controls have a repair", len(repairs))
	}
	for _, control := range c.Controls(audit.Profile{}) {
		if repairs[control.ID] != nil && !strings.Contains(strings.Join(control.By, " "), "fix") {
			t.Errorf("%s has a repair, and says that it is answered by %v", control.ID, control.By)
		}
	}
}

func TestBadRecipes(t *testing.T) {
	root := host(t)
	for text, want := range map[string]string{
		"repairs: [{controls: [X-1], title: x, colour: red}]":                                              "colour",
		"repairs: [{controls: [X-1], title: x, service: moon}]":                                            `no service "moon"`,
		"repairs: [{controls: [X-1], title: x, named: true}]":                                              "why does not say why",
		"repairs: [{controls: [X-1], title: x, remove: [etc/x]}]":                                          "no absolute pattern",
		"repairs: [{controls: [X-1], title: x, write: [{folder: /etc, file: ../x, lines: [a]}]}]":          "no file name",
		"repairs: [{controls: [X-1], title: x, silence: [{files: [/etc/x], pattern: '(', comment: '#'}]}]": "missing closing )",
	} {
		_, err := fix.New(fix.Options{Root: root, State: stateOf(root), Recipes: fstest.MapFS{"x.yaml": {Data: []byte(text)}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
