package fail2ban_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/detect/fail2ban"
)

// imported is a whole configuration of our own, read.
func imported(t *testing.T, files map[string]string) map[string]fail2ban.Jail {
	t.Helper()
	c, err := fail2ban.Open(overlaid(t, files))
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Import(false)
	if err != nil {
		t.Fatal(err)
	}
	jails := map[string]fail2ban.Jail{}
	for _, j := range result.Jails {
		jails[j.Name] = j
	}
	return jails
}

// differs tells whether a jail's problems hold one of that name with that text.
func differs(j fail2ban.Jail, what, why string) bool {
	return slices.ContainsFunc(j.Problems, func(p fail2ban.Problem) bool {
		return strings.HasPrefix(p.What, what) && strings.Contains(p.Why, why)
	})
}

func TestImportSaysWhatIsDifferent(t *testing.T) {
	jails := imported(t, map[string]string{
		"jail.local": `
[sshd]
enabled = true
maxretry = 3
findtime = 1d 2h
bantime = -1
ignoreip = 127.0.0.1/8 ::1 trusted.example
ignoreself = false
ignorecommand = /usr/local/bin/ignore <ip>
bantime.increment = true
bantime.factor = 2
bantime.maxtime = 5w
bantime.rndtime = 10m
bantime.formula = ban.Time * math.exp(float(ban.Count+1)*banFactor)
logpath = /var/log/auth.log
          /var/log/more/*.log tail
port = ssh,2200:2210
protocol = udp
action = %(action_mw)s
         cloudflare[cfuser=x, cftoken=y]
         mine
         abuseipdb
[asterisk]
enabled = true
backend = Systemd[journalfiles="/a/*.journal,/b/c.journal", journalflags=0, rotated=on]
journalmatch = _SYSTEMD_UNIT='asterisk x.service' + _COMM=asterisk
usedns = no
action = nftables[type=allports]
[apache-auth]
enabled = true
action = mine
logencoding = koi8-r
findtime = soon
[broken]
enabled = true
filter = no-such-filter
[crooked]
enabled = true
filter = crooked
logpath = /var/log/x
[unnamed]
enabled = true
filter = sshd
port = no-such-service-at-all
`,
		"action.d/mine.conf":    "[Definition]\nactionban = /usr/local/bin/ban <ip>\n",
		"filter.d/crooked.conf": "[Definition]\nfailregex = ^(<HOST>$\n",
	})
	sshd := jails["sshd"]
	if !sshd.Runs || sshd.MaxRetry != 3 || sshd.FindTime != 26*time.Hour || sshd.BanTime >= 0 || sshd.IgnoreSelf {
		t.Errorf("sshd: %+v", sshd)
	}
	if in := sshd.Increment; !in.On || in.Factor != 2 || in.Max != 35*24*time.Hour || in.Random != 10*time.Minute {
		t.Errorf("sshd grows by %+v", in)
	}
	if want := []fail2ban.LogPath{{Pattern: "/var/log/auth.log"}, {Pattern: "/var/log/more/*.log", Tail: true}}; !slices.Equal(sshd.LogPaths, want) {
		t.Errorf("sshd reads %v, want %v", sshd.LogPaths, want)
	}
	if want := []string{"127.0.0.1/8", "::1", "trusted.example"}; !slices.Equal(sshd.IgnoreIP, want) {
		t.Errorf("sshd ignores %q, want %q", sshd.IgnoreIP, want)
	}
	kinds := map[string]fail2ban.Kind{}
	for _, a := range sshd.Actions {
		kinds[a.Name] = a.Kind
	}
	for name, kind := range map[string]fail2ban.Kind{"iptables-multiport": fail2ban.Enforce, "sendmail-whois": fail2ban.Alert, "cloudflare": fail2ban.NotRun, "mine": fail2ban.NotRun, "abuseipdb": fail2ban.NotRun} {
		if kinds[name] != kind {
			t.Errorf("action %s is %q, want %q", name, kinds[name], kind)
		}
	}
	if want := []fail2ban.PortRange{{From: 22, To: 22}, {From: 2200, To: 2210}}; !slices.Equal(sshd.Actions[0].Ports, want) || sshd.Actions[0].Protocol != "udp" {
		t.Errorf("sshd closes %+v, want %v", sshd.Actions[0], want)
	}
	for _, p := range []struct{ jail, what, why string }{
		{"sshd", "ignorecommand", "not run"}, {"sshd", "bantime.formula", "Python"}, {"sshd", "action mine", "/usr/local/bin/ban"},
		{"sshd", "action cloudflare", "Cloudflare"}, {"sshd", "usedns", "not resolved"},
		{"apache-auth", "action", "none of its actions bans"}, {"apache-auth", "logencoding", "koi8-r"}, {"apache-auth", "findtime", "soon"},
		{"broken", "configuration", "no-such-filter"}, {"crooked", "filter", "failregex"}, {"unnamed", "action iptables-multiport", "no-such-service-at-all"},
	} {
		if !differs(jails[p.jail], p.what, p.why) {
			t.Errorf("jail %s does not tell that %s: %s; it tells %+v", p.jail, p.what, p.why, jails[p.jail].Problems)
		}
	}
	if a := jails["asterisk"]; !a.Actions[0].AllPorts || len(a.LogPaths) > 0 ||
		!slices.Equal(a.JournalMatch[0], []string{"_SYSTEMD_UNIT=asterisk x.service", "+", "_COMM=asterisk"}) || differs(a, "usedns", "") {
		t.Errorf("asterisk: %+v", a)
	}
	if a := jails["asterisk"]; !a.Runs || !slices.Equal(a.Journal.Files, []string{"/a/*.journal", "/b/c.journal"}) || !a.Journal.Users || !differs(a, "backend", "rotated") ||
		!slices.Equal(a.Reads(), []string{"the journal in /a/*.journal, /b/c.journal: _SYSTEMD_UNIT=asterisk x.service + _COMM=asterisk"}) {
		t.Errorf("asterisk reads %q of %+v; %+v", a.Reads(), a.Journal, a.Problems)
	}
	if jails["broken"].Runs || jails["crooked"].Runs || !jails["unnamed"].Actions[0].AllPorts {
		t.Errorf("broken %v, crooked %v, unnamed %+v", jails["broken"].Runs, jails["crooked"].Runs, jails["unnamed"].Actions)
	}
}

// Every jail that Debian ships can run.
func TestInstalledJailsRun(t *testing.T) {
	c, err := fail2ban.Open(overlaid(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Import(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range result.Jails {
		if !j.Runs {
			t.Errorf("jail %s can't run: %+v", j.Name, j.Problems)
			continue
		}
		if _, err := j.Filter(time.UTC, time.Unix(1795600000, 0)); err != nil {
			t.Errorf("jail %s: %v", j.Name, err)
		}
	}
	if len(result.Jails) < 80 {
		t.Errorf("%d jails are too few", len(result.Jails))
	}
}

// A configuration is written by whoever may write it; one that was made to grow is refused, and in time.
func TestConfigurationsThatGrowAreRefused(t *testing.T) {
	double := "[DEFAULT]\na0 = x\n"
	for i := range 9 {
		double += "a" + string(rune('1'+i)) + " = " + strings.Repeat("%(a"+string(rune('0'+i))+")s", 30) + "\n"
	}
	tags := "[Definition]\nt0 = xxxxxxxxxx\n"
	for i := range 9 {
		tags += "t" + string(rune('1'+i)) + " = " + strings.Repeat("<t"+string(rune('0'+i))+">", 20) + "\n"
	}
	c, err := fail2ban.Open(overlaid(t, map[string]string{
		"filter.d/double.conf": double + "[Definition]\nfailregex = %(a9)s\n",
		"filter.d/tags.conf":   tags + "failregex = <t9> <HOST>\n",
		"filter.d/self.conf":   "[INCLUDES]\nbefore = self.conf\nafter = self.conf other.conf\n[Definition]\nfailregex = ^<HOST>$\n",
		"filter.d/wide.conf":   "[INCLUDES]\nbefore = " + strings.Repeat("wide2.conf\n  ", 900) + "\n[Definition]\nfailregex = ^<HOST>$\n",
		"filter.d/wide2.conf":  "[INCLUDES]\nbefore = " + strings.Repeat("common.conf\n  ", 900) + "\n",
		"filter.d/large.conf":  "[Definition]\nfailregex = ^<HOST>$\n" + strings.Repeat("# nothing\n", 200_000),
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"double", "tags", "wide", "large"} {
		if _, err := c.Filter(name, fail2ban.Options{}); err == nil {
			t.Errorf("filter %s is not refused", name)
		}
	}
	if _, err := c.Filter("self", fail2ban.Options{}); err != nil {
		t.Errorf("a file that includes itself: %v", err)
	}
}
