package fail2ban_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/doorward/doorward/detect/fail2ban"
)

// compare tells how two sets of options differ.
func compare(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	names := slices.Concat(slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(want)))
	slices.Sort(names)
	for _, k := range slices.Compact(names) {
		g, gok := got[k]
		w, wok := want[k]
		if g != w || gok != wok {
			t.Errorf("%s: option %q\n got  %v %q\n want %v %q", what, k, gok, g, wok, w)
		}
	}
}

// sameJails compares every jail of a configuration with fail2ban's own reading of it.
func sameJails(t *testing.T, dir string) map[string]fail2ban.RawJail {
	t.Helper()
	var want map[string]fail2ban.RawJail
	oracle(t, map[string]any{"ask": "jails", "config": dir}, &want)
	c, err := fail2ban.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.RawJails()
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			t.Errorf("jail %s is missing", name)
			continue
		}
		if (g.Error != "") != (w.Error != "" || w.Options["config-error"] != "") {
			t.Errorf("jail %s: error %q, want %q%q", name, g.Error, w.Error, w.Options["config-error"])
		}
		if g.Error != "" {
			continue
		}
		compare(t, "jail "+name, g.Options, w.Options)
		compare(t, "filter of "+name, g.Filter, w.Filter)
		if len(g.Actions) != len(w.Actions) {
			t.Errorf("jail %s: actions %v, want %v", name, g.Actions, w.Actions)
			continue
		}
		for i := range g.Actions {
			if g.Actions[i].File != w.Actions[i].File {
				t.Errorf("jail %s: action %q, want %q", name, g.Actions[i].File, w.Actions[i].File)
			}
			compare(t, "action "+g.Actions[i].File+" of "+name, g.Actions[i].Options, w.Actions[i].Options)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d jails, want %d", len(got), len(want))
	}
	return got
}

func TestJailsAreAsFail2banReadsThem(t *testing.T) {
	if got := sameJails(t, installed); len(got) < 50 {
		t.Errorf("%d jails are too few to compare", len(got))
	}
}

func TestFiltersAreAsFail2banReadsThem(t *testing.T) {
	var want map[string]struct {
		Options map[string]string `json:"options"`
		Error   string            `json:"error"`
	}
	oracle(t, map[string]any{"ask": "filters", "config": installed}, &want)
	c, err := fail2ban.Open(installed)
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		got, err := c.RawFilter(name)
		if (err != nil) != (w.Error != "") {
			t.Errorf("filter %s: error %v, want %q", name, err, w.Error)
		}
		if err == nil {
			compare(t, "filter "+name, got, w.Options)
		}
	}
	if len(want) < 80 {
		t.Errorf("%d filters are too few to compare", len(want))
	}
}

// overlaid is a copy of the installed configuration with files of the test's own.
func overlaid(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := os.Stat(installed + "/jail.conf"); err != nil {
		t.Skipf("left out: fail2ban's configuration is not installed: %v", err)
	}
	if err := os.CopyFS(dir, os.DirFS(installed)); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOverridesAreAsFail2banReadsThem(t *testing.T) {
	dir := overlaid(t, map[string]string{
		"jail.local": `
[DEFAULT]
bantime = 1h   ; not ten minutes
ignoreip = 127.0.0.1/8 ::1,192.0.2.0/24
    # a comment within a value
    198.51.100.7
bantime.increment = yes
banaction = nftables
banaction_allports = nftables[type=allports]
mytime = 100%%

[sshd]
enabled = true
mode = aggressive
bantime = %(known/bantime)s
filter = sshd[mode=%(mode)s, publickey="any", logtype='short']
action = %(action_)s
         sendmail[dest="a@b.example, c@d.example", name=%(__name__)s]
         ufw[application='OpenSSH', blocktype=reject][add=prepend]
failregex = %(known/failregex)s
            ^mine <HOST> %(mytime)s$
maxretry = 3

[own]
enabled = 1
filter = own[where="<known/where>/deeper", port=%(sshd/port)s]
port = %(sshd/port)s,%(default/port)s
logpath = %(sshd_log)s
          /var/log/other.log tail
action = own[name=own-http, init=given]
         smtp.py[dest=root, bantime="%(bantime)s"]
         %(mta)s[name=%(__name__)s]
datepattern = %%Y-%%m-%%d
`,
		"jail.d/z.local":      "[sshd]\nfindtime = 1d 2h\n",
		"jail.d/a.conf":       "[sshd]\nfindtime = 5m\nport = 2222\n[asterisk]\nenabled: on\nbackend=systemd\n",
		"jail.d/.hidden.conf": "[sshd]\nport = 1\n",
		"filter.d/own.conf": `
[INCLUDES]
before = common.conf
after = own-more.conf
         none.conf
[DEFAULT]
_daemon = own
[Definition]
failregex = ^%(__prefix_line)s<what>-<what-<where>> from <HOST>$
            <lt_file/extra>
            <known/what> %(known/what)s
what = replaced
what-x = x
what-here/deeper = deeper
journalmatch = _SYSTEMD_UNIT='a b.service' + _COMM="c\"d"
[lt_file]
extra = file-<_daemon>
[lt_journal]
extra = journal-<_daemon>
[Init]
where = here
maxlines = 3
`,
		"filter.d/own-more.conf": "[Definition]\nwhat = last\n",
		"filter.d/own.local":     "[Init]\nwhere = %(known/where)s\n",
		"filter.d/common.local":  "[DEFAULT]\n__vserver = @mine_\\S+\n",
		"filter.d/sshd.local":    "[Definition]\nignoreregex = %(known/ignoreregex)sfrom 192\\.0\\.2\\.1\n",
		"action.d/own.conf": `
[Definition]
actionstart = start <init> <name> <iptype>
actionstart_on_demand = no
actionban = ban <ip> <port> <known/init> <family-<mode>>
actionunban =
norestored = true
family-strict = strict
[Init]
init = initial
iptype = four
mode = strict
[Init?family=inet6]
iptype = six
`,
	})
	got := sameJails(t, dir)
	if v := got["sshd"].Options["findtime"]; v != "1d 2h" {
		t.Errorf("findtime of sshd is %q, want that of the last file", v)
	}
}
