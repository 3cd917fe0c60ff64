package facts_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/audit/facts"
)

// TestSshdExposure: who counts as outside depends on the networks that are declared.
func TestSshdExposure(t *testing.T) {
	declared := facts.Config{AdminNetworks: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}}
	for name, c := range map[string]struct {
		config string
		with   facts.Config
		want   string // addresses from outside that somebody can sign in from
	}{
		"open to all":                    {"Port 22\n", facts.Config{}, "203.0.113.77"},
		"private, nothing declared":      {"AllowUsers *@10.0.0.0/8\n", facts.Config{}, ""},
		"more than what is declared":     {"AllowUsers *@10.0.0.0/8\n", declared, "10.20.30.40"},
		"what is declared":               {"AllowUsers *@10.8.0.0/24\n", declared, ""},
		"a method for the outside only":  {"PasswordAuthentication no\nPubkeyAuthentication no\nMatch Address 198.51.100.0/24\nPubkeyAuthentication yes\n", declared, "198.51.100.129"},
		"denied but for one":             {"DenyUsers *@!10.8.0.0/24,*\n", declared, ""},
		"an entry with a malformed mask": {"AllowUsers *@10.8.0.1/24\n", declared, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := collect(t, people+"-- etc/ssh/sshd_config --\n"+c.config, c.with)
			s, ok := f.Values["sshd"].(facts.Sshd)
			if !ok {
				t.Fatalf("missing: %v", f.Missing)
			}
			got := ""
			for _, context := range s.Contexts {
				if context.Allowed && !context.Admin && !strings.Contains(got, context.Address) {
					got = strings.TrimSpace(got + " " + context.Address)
				}
			}
			if !strings.HasPrefix(got, c.want) || got != "" && c.want == "" {
				t.Errorf("got %q, want %q; %+v", got, c.want, s.Contexts)
			}
		})
	}
}

func TestSudo(t *testing.T) {
	const host = people + "-- usr/bin/sudo --\n-- etc/sudoers.d/a.bak --\nben ALL=(ALL) ALL\n-- etc/sudoers.d/ops --\nben ALL=NOPASSWD: ALL\n-- etc/sudoers --\n"
	for name, c := range map[string]struct {
		sudoers string
		want    []string // who becomes root, with "!" when no password is asked
	}{
		"nobody":                       {"root ALL=(ALL:ALL) ALL\n", []string{"root"}},
		"a group":                      {"%ops ALL=(ALL:ALL) ALL\n", []string{"root", "ben"}},
		"a comment":                    {"#ben ALL=(ALL) ALL\n# @includedir /etc/sudoers.d\n", []string{"root"}},
		"a user id is no comment":      {"#1001 ALL=(ALL) ALL\n", []string{"root", "ben"}},
		"an old include is no comment": {"#includedir /etc/sudoers.d\n", []string{"root", "ben!"}},
		"the last rule counts":         {"ben ALL=(ALL) NOPASSWD: ALL\nben ALL=(ALL) PASSWD: ALL\n", []string{"root", "ben"}},
		"not as root":                  {"ben ALL=(www-data) ALL\n", []string{"root"}},
		"all but one":                  {"ALL, !anna ALL=(root) ALL\n", []string{"root", "ben", "www-data"}},
		"aliases":                      {"User_Alias A = anna : B = ben\nRunas_Alias R = root\nCmnd_Alias X = /bin/ls, ALL\nA,B H=(R) NOPASSWD: X\n", []string{"root", "anna!", "ben!"}},
		"an alias of itself":           {"User_Alias A = A, ben\nA ALL=ALL\n", []string{"root", "ben"}},
		"no password by default":       {"ben ALL=(ALL) ALL\nDefaults:ben !authenticate\n", []string{"root", "ben!"}},
		"one command":                  {"ben ALL=(root) /usr/bin/apt update, (root) NOPASSWD: /bin/ls\n", []string{"root"}},
		"a continued line":             {"ben ALL=(ALL) \\\n NOPASSWD: ALL\n", []string{"root", "ben!"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, ok := collect(t, host+c.sudoers, facts.Config{}).Values["sudo"].(facts.Sudo)
			var got []string
			for _, r := range s.Roots {
				if r.NoPassword {
					r.Name += "!"
				}
				got = append(got, r.Name)
			}
			if !ok || !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q; %+v", got, c.want, s.Grants)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	const ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMKeccc5L0tB3cqgQbQGtJOz1F/4Ht8zBdKjWlmQZPqY"
	f := collect(t, people+`
-- etc/ssh/sshd_config --
AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/keys/%u
Match User ben
AuthorizedKeysFile none
Match Address 10.0.0.0/8
AuthorizedKeysFile /etc/ssh/inside
-- home/anna/.ssh/authorized_keys --
# comment
`+ed+` anna@laptop
from="10.0.0.0/8",command="echo \"a b\"" `+ed+` bound
ssh-rsa notbase64 torn
ssh-dss `+"AAAAB3NzaC1kc3MAAAAEAQAAAA=="+` old
-- etc/ssh/keys/anna --
`+ed+` two
-- etc/ssh/inside --
`+ed+` three
-- home/anna/.ssh/authorized_keys2 --
`+ed+` not read
`, facts.Config{})
	k, ok := f.Values["keys"].(facts.Keys)
	var got []string
	for _, key := range k.Keys {
		if key.User == "anna" {
			got = append(got, fmt.Sprintf("%s %v %v %s", key.Type, key.Weak, key.From && key.Command, key.Comment))
		}
	}
	want := []string{"ssh-ed25519 false false anna@laptop", "ssh-ed25519 false true bound", "ssh-dss true false old", "ssh-ed25519 false false two", "ssh-ed25519 false false three"}
	if !ok || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q; %v", got, want, f.Missing)
	}
	many := people + "-- home/anna/.ssh/authorized_keys --\n" + strings.Repeat(ed+"\n", 2_001)
	if got := reason(collect(t, many, facts.Config{}), "keys"); !strings.Contains(got, "more than 2000 lines") {
		t.Errorf("got %q, want that there are too many lines", got)
	}
}

// wtmp is one record as login(1) and sshd write it.
func wtmp(user, line, host string, at time.Time) []byte {
	e := make([]byte, 384)
	binary.LittleEndian.PutUint16(e, 7)
	copy(e[8:], line)
	copy(e[44:], user)
	copy(e[76:], host)
	binary.LittleEndian.PutUint32(e[340:], uint32(at.Unix()))
	return e
}

func TestLogins(t *testing.T) {
	records := slices.Concat(wtmp("root", "pts/0", "203.0.113.9", now.AddDate(0, 0, -3)), wtmp("anna", "pts/1", "10.0.0.5", now), wtmp("root", "tty1", "", now.AddDate(-1, 0, 0)), []byte("torn"))
	root := t.TempDir()
	write(t, root, "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	write(t, root, "var/log/wtmp", string(records))
	write(t, root, "var/log/auth.log", `Nov 25 09:00:00 host sshd[812]: Accepted publickey for anna from 10.0.0.5 port 50112 ssh2: ED25519 SHA256:abc
2026-11-25T09:01:00+00:00 host sshd-session[813]: Accepted password for root from 203.0.113.9 port 1 ssh2
Nov 25 09:02:00 host sshd[814]: Invalid user x]: Accepted publickey for eve from 1.2.3.4 port 1 ssh2 from 203.0.113.9
Nov 25 09:03:00 host logger[815]: Accepted publickey for eve from 1.2.3.4 port 1 ssh2
`)
	l, ok := collectRoot(t, root, facts.Config{}).Values["logins"].(facts.Logins)
	if !ok || len(l.Root) != 2 || l.Root[0].AgeDays != 3 || l.Root[0].From != "203.0.113.9" || l.Root[1].Line != "tty1" {
		t.Errorf("root: got %+v", l.Root)
	}
	if len(l.Accepted) != 2 || l.Accepted[0].User != "anna" || l.Accepted[1].Method != "password" || l.Accepted[1].When != "2026-11-25T09:01:00+00:00" {
		t.Errorf("accepted: got %+v", l.Accepted)
	}
	f := collect(t, people, facts.Config{})
	if reason(f, "logins.root") == "" || reason(f, "logins.accepted") == "" {
		t.Errorf("without any record: got missing %v", f.Missing)
	}
	write(t, root, "var/log/wtmp", string(bytes.Repeat(wtmp("root", "pts/0", "x", now), 60_000)))
	if l := collectRoot(t, root, facts.Config{}).Values["logins"].(facts.Logins); len(l.Root) != 1 {
		t.Errorf("the same record again and again: got %d", len(l.Root))
	}
}

func TestPAM(t *testing.T) {
	for name, c := range map[string]struct {
		sshd string
		want facts.PAMService
	}{
		"a password":             {"auth required pam_unix.so\n", facts.PAMService{Password: true}},
		"both":                   {"auth required pam_unix.so\nauth required pam_oath.so\n", facts.PAMService{Password: true, SecondFactor: "pam_oath.so"}},
		"either":                 {"auth sufficient pam_oath.so\nauth required pam_unix.so\n", facts.PAMService{Optional: "pam_oath.so"}},
		"never met":              {"auth sufficient pam_unix.so\nauth required pam_oath.so\n", facts.PAMService{Password: true}},
		"jumped over":            {"auth [success=2 default=ignore] pam_unix.so\nauth required pam_oath.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n", facts.PAMService{Password: true}},
		"after a substack":       {"auth substack sub\nauth required pam_oath.so\n", facts.PAMService{Password: true, SecondFactor: "pam_oath.so"}},
		"after an include":       {"auth include sub\nauth required pam_oath.so\n", facts.PAMService{Password: true}},
		"locked out":             {"auth required pam_faillock.so preauth\nauth required pam_unix.so\n", facts.PAMService{Password: true, Lockout: "pam_faillock.so"}},
		"other kinds only":       {"session required pam_oath.so\n", facts.PAMService{}},
		"a mark to be quiet":     {"-auth required pam_u2f.so\n", facts.PAMService{SecondFactor: "pam_u2f.so"}},
		"forgiven when it fails": {"auth required pam_unix.so\nauth [success=ok default=ignore] pam_u2f.so\n", facts.PAMService{Password: true, Optional: "pam_u2f.so"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := collect(t, "-- etc/pam.d/sub --\nauth sufficient pam_unix.so\n-- etc/pam.d/sshd --\n"+c.sshd, facts.Config{})
			p, ok := f.Values["pam"].(facts.PAM)
			if !ok || len(p.Services) != 1 {
				t.Fatalf("got %+v, missing %v", p, f.Missing)
			}
			got := p.Services[0]
			got.Name, got.Origin = "", ""
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	f := collect(t, "-- etc/pam.d/sshd --\n@include sshd\n", facts.Config{})
	if got := reason(f, "pam"); !strings.Contains(got, "16 deep") {
		t.Errorf("an endless include: got %q", got)
	}
	f = collect(t, "-- etc/pam.d/passwd --\npassword requisite pam_pwquality.so\n-- etc/security/pwquality.conf --\n# minlen = 8\nminlen = 14\n", facts.Config{})
	want := facts.Setting{Value: "14", Origin: "/etc/security/pwquality.conf:2"}
	if p := f.Values["pam"].(facts.PAM); p.MinLength != want {
		t.Errorf("got %+v, want %+v", p.MinLength, want)
	}
}

func TestCron(t *testing.T) {
	for command, want := range map[string]string{
		"job":                                    "mail mail",
		"job >/dev/null":                         "discarded mail",
		"job > /dev/null 2>&1":                   "discarded discarded",
		"job 2>&1 >/dev/null":                    "discarded mail",
		"job &>/dev/null":                        "mail mail", // to any shell but bash it is job & >/dev/null
		"job &>/dev/null #":                      "mail mail",
		"job |& logger":                          "mail mail", // the shell complains
		"job # 2>/dev/null":                      "mail mail",
		"job 2>/dev/null; true":                  "mail discarded",
		"test -x /x 2>/dev/null && job":          "mail mail",
		"(a; { b; } >>/c) 2>/dev/null":           "mail discarded",
		"job 2>&1 | cat >/dev/null":              "discarded discarded",
		"job | grep x 2>/dev/null":               "mail mail",
		"exec 2>/dev/null; job":                  "mail discarded",
		"exec job 2>/dev/null":                   "mail discarded",
		"if a; then job; fi 2>/dev/null":         "mail discarded",
		"find /x -exec rm {} \\; 2>/dev/null":    "mail discarded",
		"tar cf /x.$(date +\\%F) /y 2>/dev/null": "mail discarded",
		"dump | gzip >/x 2>/dev/null":            "file discarded",
		"job 3>&1 2>&-":                          "mail discarded",
		"job >> /var/log/x.log 2>&1":             "file file",
		"job >>/var/log/x.log":                   "file mail",
		"job 2>>/var/log/x.log >/dev/null":       "discarded file",
		"job 2>&1 | logger -t x":                 "log log",
		"job | logger":                           "log mail",
		`echo "a > b" '2>/dev/null'`:             "mail mail",
		"job 2>/dev/null":                        "mail discarded",
		"systemd-cat -t x job":                   "log log",
		"date +\\%F >/var/log/x 2>&1 %input":     "file file",
	} {
		c, ok := collect(t, people+"-- usr/sbin/sendmail --\n-- etc/cron.d/x --\n@daily root "+command+"\n", facts.Config{}).Values["cron"].(facts.Cron)
		if !ok || len(c.Jobs) != 1 {
			t.Fatalf("%s: got %+v", command, c)
		}
		if got := c.Jobs[0].Output + " " + c.Jobs[0].Errors; got != want {
			t.Errorf("%s: got %q, want %q", command, got, want)
		}
	}
	f := collect(t, people+"-- etc/crontab --\n"+strings.Repeat("* * * * * root x\n", 10_001), facts.Config{})
	if got := reason(f, "cron"); !strings.Contains(got, "more than 10000 jobs") {
		t.Errorf("got %q", got)
	}
}

func FuzzAccess(f *testing.F) {
	f.Add("User_Alias A = B : B = A\nA ALL=(ALL:ALL) NOPASSWD: !X, ALL\nDefaults:%x !authenticate\n#include /etc/sudoers\n")
	f.Add("auth [success=99 default=die] pam_unix.so nullok\n@include sshd\nauth substack sshd\n")
	f.Add("MAILTO=x\n*/5 * * * * root a >b 2>&1 | c\\%d %e 'f\n@daily root >&\n")
	f.Add("from=\"a b\",no-pty ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB x\nroot:$6$rounds=1$a$b:1:2:3:4:5:6:\n")
	f.Fuzz(func(t *testing.T, text string) {
		root := t.TempDir()
		for _, name := range []string{"etc/sudoers", "etc/pam.d/sshd", "etc/crontab", "etc/shadow", "etc/group", "root/.ssh/authorized_keys", "var/log/wtmp", "var/log/auth.log"} {
			write(t, root, name, text)
		}
		write(t, root, "usr/bin/sudo", "")
		write(t, root, "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
		inTime(t, collectRoot(t, root, facts.Config{}))
		write(t, root, "etc/passwd", text)
		inTime(t, collectRoot(t, root, facts.Config{}))
	})
}
