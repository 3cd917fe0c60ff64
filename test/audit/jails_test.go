package audit_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/test/real"
)

// jails reads the jails of a root as the audit does.
func jails(t *testing.T, root string) map[string]facts.Jail {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Target{Now: time.Now()}, nil)
	ids, ok := f.Values["ids"].(facts.IDS)
	if !ok {
		t.Fatalf("the fact ids is missing: %+v", f.Missing)
	}
	if ids.Fail2ban.Error != "" {
		t.Fatalf("the audit cannot read the configuration: %s", ids.Fail2ban.Error)
	}
	all := map[string]facts.Jail{}
	for _, j := range ids.Jails {
		all[j.Name] = j
	}
	return all
}

// copyFail2ban puts Debian's configuration under a root.
func copyFail2ban(t *testing.T) (root, folder string) {
	t.Helper()
	root = t.TempDir()
	folder = filepath.Join(root, "etc/fail2ban")
	if err := os.CopyFS(folder, os.DirFS("/etc/fail2ban")); err != nil {
		t.Fatal(err)
	}
	return root, folder
}

var (
	dumped  = regexp.MustCompile(`^\['(set|multi-set)', '([^']+)', '(\w+)', (.*)\]$`)
	number  = regexp.MustCompile(`^'?([^']*)'?$`)
	settled = regexp.MustCompile(`^\['add', '([^']+)', '([^']+)'\]$`)
)

// truth is what fail2ban-client -d tells of a jail.
type truth struct {
	maxretry, findtime, bantime string
	regexes                     []string
	actions                     []string
}

func fail2banTruth(t *testing.T, folder string) map[string]*truth {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "fail2ban-client", "-c", folder, "-d")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("fail2ban-client -d: %v\n%s", err, errs.String())
	}
	all := map[string]*truth{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if m := settled.FindStringSubmatch(line); m != nil {
			all[m[1]] = &truth{}
			continue
		}
		m := dumped.FindStringSubmatch(line)
		if m == nil || all[m[2]] == nil {
			continue
		}
		j, value := all[m[2]], m[4]
		switch m[3] {
		case "maxretry":
			j.maxretry = value
		case "findtime":
			j.findtime = value
		case "bantime":
			j.bantime = value
		case "addfailregex":
			j.regexes = elements(value)
		case "addaction":
			name, _, _ := strings.Cut(strings.Trim(value, "'"), "'")
			j.actions = append(j.actions, name)
		}
	}
	return all
}

// elements are the texts of a list, or of one, as Python prints it.
func elements(list string) (all []string) {
	quote, text := byte(0), strings.Builder{}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case quote != 0 && c == '\\':
			i++
			text.WriteByte(list[i])
		case quote != 0 && c == quote:
			quote = 0
			all = append(all, text.String())
			text.Reset()
		case quote != 0:
			text.WriteByte(c)
		case c == '\'' || c == '"':
			quote = c
		}
	}
	return all
}

func seconds(t *testing.T, text string) int64 {
	t.Helper()
	text = number.FindStringSubmatch(text)[1]
	if n, err := strconv.ParseInt(text, 10, 64); err == nil || text == "" {
		return n
	}
	if known := map[string]int64{"10m": 600, "1d": 86400, "1w": 604800}[text]; known != 0 { // what most of the jails have
		return known
	}
	out, err := exec.CommandContext(t.Context(), "fail2ban-client", "--str2sec", text).Output()
	if err != nil {
		t.Fatalf("fail2ban-client --str2sec %q: %v", text, err)
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(f)
}

// TestFail2banJailsAreReadAsFail2banReadsThem holds every jail that Debian ships, and overridden ones, against the dump of
// fail2ban-client.
func TestFail2banJailsAreReadAsFail2banReadsThem(t *testing.T) {
	real.Require(t, "fail2ban-client")
	for name, files := range map[string]map[string]string{
		"all jails": {"jail.local": "[DEFAULT]\nenabled = true\n"},
		"a drop-in, then local, then a local drop-in": {
			"jail.d/zz.conf":  "[sshd]\nmaxretry = 9\nbantime = 1d 12h\n",
			"jail.local":      "[sshd]\nmaxretry = 4\nfindtime=30m ; half an hour\n",
			"jail.d/aa.local": "[sshd]\nmaxretry = 2\n",
		},
		"defaults that a section overrides": {
			"jail.local":       "[DEFAULT]\nbantime = 1w\nmaxretry = 7\n[sshd]\nmaxretry: 3\n",
			"jail.d/zzz.local": "[DEFAULT]\nfindtime = 1hour+30min\n",
		},
		"turned off last": {
			"jail.local":      "[sshd]\nenabled = true\n[asterisk]\nenabled = yes\nmaxretry = 5\n",
			"jail.d/zz.local": "[sshd]\nenabled = false\n",
		},
		"references to what was before": {
			"jail.local": "[sshd]\nmaxretry = 3\n[asterisk]\nenabled = on\nmaxretry = %(sshd/maxretry)s\nbantime = -1\nlogpath = %(known/logpath)s\n",
		},
		"own filter with includes and tags": {
			"filter.d/ast-cli-attck.conf":  "[INCLUDES]\nbefore = common.conf\n[Definition]\ntool = (?:sipcli|sipvicious|friendly-scanner|Test Agent)\nfailregex = ^%(__prefix_line)s.*UA: (?:<tools>|%(tool)s).* from <HOST>$\n            ^second <HOST>\n[Init]\ntools = never\n",
			"filter.d/ast-cli-attck.local": "[Definition]\ntool = (?:only-this)\n",
			"jail.local":                   "[ast-cli-attck]\nenabled = true\nfilter = ast-cli-attck[tools=\"sip-scan\"]\nlogpath = /var/log/asterisk/messages\nmaxretry = 1\nbantime = -1\naction = iptables-allports[name=x, protocol=all]\n         sendmail-whois[name=x,\n                        dest=root]\n",
		},
		"failregex of the jail": {
			"jail.local": "[mor_api]\nenabled = true\nfilter = apache-auth\nfailregex = ^<HOST> wrong$\n  ^<HOST> no$\nlogpath = /x\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, folder := copyFail2ban(t)
			for file, text := range files {
				if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, want := jails(t, root), fail2banTruth(t, folder)
			for name, j := range got {
				if j.Enabled && j.Error == "" && want[name] == nil {
					t.Errorf("jail %s: the audit has it enabled, fail2ban has not", name)
				}
			}
			for name, w := range want {
				compareJail(t, name, got[name], w)
			}
		})
	}
}

// compare holds a jail against the dump.
func compareJail(t *testing.T, name string, j facts.Jail, w *truth) {
	t.Helper()
	if !j.Enabled || j.Error != "" {
		t.Errorf("jail %s: fail2ban has it enabled, the audit has %+v", name, j)
		return
	}
	want := fmt.Sprint(seconds(t, w.maxretry), seconds(t, w.findtime), seconds(t, w.bantime))
	if own := fmt.Sprint(j.Maxretry, j.Findtime, j.Bantime); own != want {
		t.Errorf("jail %s: got %s, want %s (maxretry findtime bantime); %s", name, own, want, j.Origin)
	}
	if !slices.Equal(j.FailRegex, w.regexes) {
		t.Errorf("jail %s: the failregexes differ:\ngot  %q\nwant %q", name, j.FailRegex, w.regexes)
	}
	// An action may be given another name in the dump, which begins with its own in all that Debian ships.
	if !slices.EqualFunc(j.Actions, w.actions, func(own, given string) bool { return strings.HasPrefix(given, own) }) {
		t.Errorf("jail %s: got the actions %q, want %q", name, j.Actions, w.actions)
	}
}
