package facts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/doorward/doorward/audit/facts"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// collect writes the files of an archive into a folder and reads all facts off it.
func collect(t *testing.T, archive string, config facts.Config) facts.Facts {
	t.Helper()
	root := t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		write(t, root, f.Name, string(f.Data))
	}
	return collectRoot(t, root, config)
}

func collectRoot(t *testing.T, root string, config facts.Config) facts.Facts {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(t.Context(), h, facts.Target{Config: config, Now: now}, nil)
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inTime fails when a collector did not come to an end.
func inTime(t *testing.T, f facts.Facts) {
	t.Helper()
	for _, m := range f.Missing {
		if strings.Contains(m.Reason, "not read in") {
			t.Errorf("%s: %s", m.Fact, m.Reason)
		}
	}
}

// reason is why a fact is missing, or "".
func reason(f facts.Facts, name string) string {
	for _, m := range f.Missing {
		if m.Fact == name {
			return m.Reason
		}
	}
	return ""
}

const people = `
-- usr/sbin/sshd --
-- etc/passwd --
root:x:0:0:root:/root:/bin/bash
anna:x:1000:1000::/home/anna:/bin/bash
ben:x:1001:1001::/home/ben:/bin/bash
www-data:x:33:33::/var/www:/usr/sbin/nologin
-- etc/group --
root:x:0:
anna:x:1000:
ben:x:1001:
ops:x:500:ben
`

// TestSshd: what root may do and which methods suffice, where a text search would be misled.
func TestSshd(t *testing.T) {
	for name, c := range map[string]struct {
		config  string
		root    []string // distinct "value@origin", with "-" before it when root is kept out all the same
		methods []string
	}{
		"nothing is set": {"LogLevel INFO\n", []string{"without-password@default"}, []string{"publickey", "password"}},
		"a Match block gives it back": {"PermitRootLogin no\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\n",
			[]string{"-no@1", "yes@3"}, []string{"publickey", "password"}},
		"a Match block for another user": {"PermitRootLogin no\nMatch User anna\n  PermitRootLogin yes\n", []string{"-no@1"}, []string{"publickey", "password"}},
		"Match all at the end":           {"PermitRootLogin no\nMatch all\nPermitRootLogin yes\n", []string{"yes@3"}, []string{"publickey", "password"}},
		"the first value wins":           {"PermitRootLogin no\nPermitRootLogin yes\n", []string{"-no@1"}, []string{"publickey", "password"}},
		"the first Match block wins": {"Match User root\nPermitRootLogin no\nMatch all\nPermitRootLogin yes\n", []string{"-no@2"},
			[]string{"publickey", "password"}},
		"a negated user":         {"PermitRootLogin no\nMatch User *,!root\nPermitRootLogin yes\n", []string{"-no@1"}, []string{"publickey", "password"}},
		"a negated address":      {"PermitRootLogin no\nMatch Address *,!10.0.0.0/8\nPermitRootLogin yes\n", []string{"-no@1", "yes@3"}, []string{"publickey", "password"}},
		"a port not listened on": {"PermitRootLogin no\nMatch LocalPort 2222\nPermitRootLogin yes\n", []string{"-no@1"}, []string{"publickey", "password"}},
		"a port listened on":     {"Port 22\nPort 2222\nPermitRootLogin no\nMatch LocalPort 2222\nPermitRootLogin yes\n", []string{"-no@3", "yes@5"}, []string{"publickey", "password"}},
		"root may not anyway":    {"PermitRootLogin yes\nDenyUsers root\n", []string{"-yes@1"}, []string{"publickey", "password"}},
		"quotes and equals":      {"PermitRootLogin=\"no\" # yes\nPasswordAuthentication = no\n", []string{"-no@1"}, []string{"publickey"}},
		"asked by PAM":           {"UsePAM yes\nPermitRootLogin no\nPasswordAuthentication no\n", []string{"-no@2"}, []string{"publickey", "keyboard-interactive"}},
		"the old name":           {"UsePAM yes\nPermitRootLogin no\nPasswordAuthentication no\nChallengeResponseAuthentication no\n", []string{"-no@2"}, []string{"publickey"}},
		"both are needed":        {"PermitRootLogin no\nAuthenticationMethods publickey,password\n", []string{"-no@1"}, []string{"publickey,password"}},
		"methods that are off":   {"PermitRootLogin no\nPasswordAuthentication no\nAuthenticationMethods publickey password\n", []string{"-no@1"}, []string{"publickey"}},
		"a group": {"PermitRootLogin no\nPasswordAuthentication no\nMatch Group ops\n PasswordAuthentication yes\n", []string{"-no@1"},
			[]string{"publickey", "password"}},
		"host names are not resolved": {"PermitRootLogin no\nMatch Host *.example.org\nPermitRootLogin yes\n", []string{"-no@1"}, []string{"publickey", "password"}},
		"host names are resolved":     {"UseDNS yes\nPermitRootLogin no\nMatch Host *.example.org\nPermitRootLogin yes\n", []string{"-no@2", "yes@4"}, []string{"publickey", "password"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := collect(t, people+"-- etc/ssh/sshd_config --\n"+c.config, facts.Config{})
			s, ok := f.Values["sshd"].(facts.Sshd)
			if !ok {
				t.Fatalf("missing: %v", f.Missing)
			}
			var root, methods []string
			for _, r := range s.Root {
				sign := "-"
				if r.Allowed {
					sign = ""
				}
				root = append(root, sign+r.Value+"@"+strings.TrimPrefix(r.Origin, "/etc/ssh/sshd_config:"))
			}
			for _, m := range s.Methods {
				if !slices.Contains(methods, m.Methods) {
					methods = append(methods, m.Methods)
				}
			}
			slices.Sort(root)
			if !slices.Equal(root, c.root) {
				t.Errorf("root: got %q, want %q; %+v", root, c.root, s.Contexts)
			}
			slices.Sort(methods)
			slices.Sort(c.methods)
			if !slices.Equal(methods, c.methods) {
				t.Errorf("methods: got %q, want %q; %+v", methods, c.methods, s.Methods)
			}
		})
	}
}

// TestSshdDirectory: a block for a name that is no account here matters where a directory may have it.
func TestSshdDirectory(t *testing.T) {
	const config = "-- etc/ssh/sshd_config --\nPasswordAuthentication no\nMatch User eve Group staff\nPasswordAuthentication yes\nMatch Group staff\nPasswordAuthentication yes\n"
	for nsswitch, want := range map[string]int{"passwd: files systemd # sss\n": 0, "passwd: files [NOTFOUND=return] sss\n": 1} {
		s, ok := collect(t, people+"-- etc/nsswitch.conf --\n"+nsswitch+config, facts.Config{}).Values["sshd"].(facts.Sshd)
		got := 0
		for _, m := range s.Methods {
			if m.Password {
				got++
			}
		}
		if !ok || got != want {
			t.Errorf("%q: got %d ways in by password, want %d; %+v", nsswitch, got, want, s.Methods)
		}
	}
}

func TestSshdListens(t *testing.T) {
	for name, c := range map[string]struct{ options, config, want string }{
		"nothing is set":   {"", "LogLevel INFO\n", "0.0.0.0 22 false, :: 22 false"},
		"two ports":        {"", "Port 22\nPort 2222\nAddressFamily inet\n", "0.0.0.0 22 false, 0.0.0.0 2222 false"},
		"-p wins":          {`SSHD_OPTS="-p 2022"`, "Port 22\nAddressFamily inet6\n", ":: 2022 false"},
		"an address":       {"", "ListenAddress 10.0.0.1\nListenAddress [::1]:23\nListenAddress 203.0.113.1:24 rdomain x\n", "10.0.0.1 22 true, ::1 23 true, 203.0.113.1 24 false"},
		"the last options": {"SSHD_OPTS=-p1\nSSHD_OPTS='-4 -oPort=2'", "ListenAddress 127.0.0.1\n", "127.0.0.1 2 true"},
		"another file":     {"SSHD_OPTS=-f/etc/ssh/other", "Port 22\n", "0.0.0.0 77 false, :: 77 false"},
	} {
		s, ok := collect(t, people+"-- etc/default/ssh --\n"+c.options+"\n-- etc/ssh/other --\nPort 77\n-- etc/ssh/sshd_config --\n"+c.config, facts.Config{}).Values["sshd"].(facts.Sshd)
		var got []string
		for _, l := range s.Listen {
			got = append(got, fmt.Sprintf("%s %d %v", l.Address, l.Port, l.Admin))
		}
		if !ok || strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestSshdThatCannotBeRead: a configuration that sshd refuses says nothing of what runs.
func TestSshdThatCannotBeRead(t *testing.T) {
	blocks := strings.Repeat("Match User x\n", 201)
	for name, c := range map[string]struct{ files, want string }{
		"no configuration":      {people, "sshd_config"},
		"Match without a value": {people + "-- etc/ssh/sshd_config --\nMatch User\n", "has no value"},
		"an unknown criterion":  {people + "-- etc/ssh/sshd_config --\nMatch Moon full\n", "not known"},
		"all and more":          {people + "-- etc/ssh/sshd_config --\nMatch all User root\n", "other criteria"},
		"a torn network":        {people + "-- etc/ssh/sshd_config --\nMatch Address 10.0.0.1/8\n", "behind its mask"},
		"an open quote":         {people + "-- etc/ssh/sshd_config --\nBanner \"x\n", "quote"},
		"an endless include":    {people + "-- etc/ssh/sshd_config --\nInclude /etc/ssh/sshd_config\n", "16 deep"},
		"many blocks":           {people + "-- etc/ssh/sshd_config --\n" + blocks, "more than 200 Match blocks"},
		"many lines":            {people + "-- etc/ssh/sshd_config --\n" + strings.Repeat("Banner x\n", 20_001), "more than 20000 directives"},
		"many kinds":            {people + "-- etc/nsswitch.conf --\npasswd: files sss\n-- etc/ssh/sshd_config --\n" + manyKinds(), "more kinds of clients"},
		"another server":        {"-- usr/sbin/dropbear --\n", "dropbear"},
	} {
		t.Run(name, func(t *testing.T) {
			f := collect(t, c.files, facts.Config{})
			if got := reason(f, "sshd"); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to tell %q", got, c.want)
			}
		})
	}
}

func manyKinds() string {
	var b strings.Builder
	for i := range 90 {
		fmt.Fprintf(&b, "Match User u%d\nMatch Address 10.0.%d.0/24\n", i, i)
	}
	return b.String()
}

func FuzzSshd(f *testing.F) {
	f.Add("PermitRootLogin no\nMatch User root Address 10.0.0.0/8,!10.1.0.0/16\nPermitRootLogin=yes\n")
	f.Add("Match all\n\"x\" = 'y' # z\nInclude *\nAllowUsers a@1.2.3.4/8 b@*\n")
	f.Add("ListenAddress [::1]:22 rdomain x\nMaxStartups 10\nLoginGraceTime 1h2m\nAuthenticationMethods a,,b any")
	f.Fuzz(func(t *testing.T, config string) {
		root := t.TempDir()
		for _, file := range txtar.Parse([]byte(people)).Files {
			write(t, root, file.Name, string(file.Data))
		}
		write(t, root, "etc/ssh/sshd_config", config)
		inTime(t, collectRoot(t, root, facts.Config{}))
	})
}
