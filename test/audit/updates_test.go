package audit_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/audit/facts"
	"github.com/doorward/doorward/test/real"
)

// fact reads one fact off a root; the empty root is this machine.
func fact[T any](t *testing.T, root, name string) T {
	t.Helper()
	h, err := facts.OpenHost(facts.HostOptions{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(t.Context(), h, facts.Target{Now: time.Now()}, nil)
	value, ok := f.Values[name].(T)
	if !ok {
		t.Fatalf("the fact %s is missing: %+v", name, f.Missing)
	}
	return value
}

// TestVersionsAreComparedAsDpkgDoes makes a host of pairs of versions: a package is pending if and only if dpkg finds the one in the
// list newer than the installed one.
func TestVersionsAreComparedAsDpkgDoes(t *testing.T) {
	real.Require(t, "dpkg")
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{"0", "1", "9", "10", "007", ".", "-", "+", "~", "a", "b", "rc", "deb12u", "~bpo", "+b", "1:", "Z", "99999999999999999999"}
	version := func() string {
		v := "1"
		for range random.IntN(6) {
			v += parts[random.IntN(len(parts))]
		}
		return v
	}
	var status, list strings.Builder
	newer := map[string]string{}
	for i := range 600 {
		a, b := version(), version()
		if random.IntN(4) == 0 {
			b = a + parts[random.IntN(len(parts))]
		}
		if exec.CommandContext(t.Context(), "dpkg", "--validate-version", a).Run() != nil || exec.CommandContext(t.Context(), "dpkg", "--validate-version", b).Run() != nil {
			continue
		}
		name := fmt.Sprintf("p%d", i)
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nVersion: %s\n\n", name, a)
		fmt.Fprintf(&list, "Package: %s\nVersion: %s\n\n", name, b)
		if exec.CommandContext(t.Context(), "dpkg", "--compare-versions", b, "gt", a).Run() == nil {
			newer[name] = a + " " + b
		}
	}
	root := t.TempDir()
	real.Write(t, folder(t, root, "etc"), "os-release", "ID=debian\nVERSION_ID=12\n", 0o644)
	real.Write(t, folder(t, root, "var/lib/dpkg"), "status", status.String(), 0o644)
	real.Write(t, folder(t, root, "var/lib/apt/lists"), "x_dists_y_main_binary-amd64_Packages", list.String(), 0o644)
	got := map[string]string{}
	for _, u := range fact[facts.Updates](t, root, "updates").Pending {
		got[u.Name] = u.Installed + " " + u.Candidate
	}
	if diff := cmp.Diff(newer, got); diff != "" || len(newer) < 50 {
		t.Errorf("%d pairs (-dpkg +audit):\n%s", len(newer), diff)
	}
}

func folder(t *testing.T, root, name string) string {
	t.Helper()
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

var installs = regexp.MustCompile(`(?m)^Inst (\S+) \[`)

// TestPendingIsWhatAptWouldInstall holds the pending upgrades of this machine against apt's own simulation, read from the same files.
func TestPendingIsWhatAptWouldInstall(t *testing.T) {
	real.Require(t, "apt-get")
	out, err := exec.CommandContext(t.Context(), "apt-get", "-s", "-o", "Debug::NoLocking=1", "dist-upgrade").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range installs.FindAllStringSubmatch(string(out), -1) {
		name, _, _ := strings.Cut(m[1], ":")
		want = append(want, name)
	}
	var got []string
	u := fact[facts.Updates](t, "", "updates")
	if len(u.Lists) == 0 {
		real.Missing(t, "the lists of packages: run apt-get update")
	}
	for _, p := range u.Pending {
		got = append(got, p.Name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(got)); diff != "" {
		t.Errorf("(-apt-get +audit):\n%s", diff)
	}
}

// TestAptConfigurationIsReadAsAptReadsIt holds the settings of folders with configuration in every form against apt-config dump.
func TestAptConfigurationIsReadAsAptReadsIt(t *testing.T) {
	real.Require(t, "apt-config")
	debian, err := os.ReadFile("/etc/apt/apt.conf.d/50unattended-upgrades")
	if err != nil {
		real.Missing(t, "unattended-upgrades: %v", err)
	}
	auto := "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n"
	for name, files := range map[string]map[string]string{
		"Debian's own":         {"apt.conf.d/20auto-upgrades": auto, "apt.conf.d/50unattended-upgrades": string(debian)},
		"turned off later":     {"apt.conf.d/20auto": auto, "apt.conf.d/99x": "apt { PERIODIC { unattended-upgrade \"0\"; }; };\n"},
		"turned off by main":   {"apt.conf.d/20auto": auto, "apt.conf": "APT::Periodic::Enable \"0\";\n"},
		"files that are not":   {"apt.conf.d/20auto": auto, "apt.conf.d/99x.bak": "APT::Periodic::Enable \"0\";\n", "apt.conf.d/99 y": "APT::Periodic::Enable \"0\";\n", "apt.conf.d/98.conf": "APT::Periodic::Unattended-Upgrade \"7\";\n"},
		"cleared":              {"apt.conf.d/50u": string(debian), "apt.conf.d/60c": "#clear Unattended-Upgrade::Origins-Pattern;\n", "apt.conf.d/70d": "Unattended-Upgrade::Origins-Pattern:: \"o=x\";\n"},
		"lists that grow":      {"apt.conf.d/50u": string(debian), "apt.conf.d/60c": "Unattended-Upgrade { Origins-Pattern { \"o=a\"; \"o=b\"; }; Mail \"a@b\"; Package-Blacklist { \"vim\"; }; };\nUnattended-Upgrade::Package-Blacklist:: \"emacs\";"},
		"comments":             {"apt.conf.d/1": "/* APT::Periodic::Enable \"0\"; */ APT::Periodic::Enable \"1\"; // \"0\";\n# APT::Periodic::Enable \"0\";\nUnattended-Upgrade::Mail \"a//b#c\";\n"},
		"without quotes":       {"apt.conf.d/1": "APT::Periodic::Unattended-Upgrade always;\nUnattended-Upgrade::Mail root;\n"},
		"several on a line":    {"apt.conf.d/1": "APT { Periodic { Enable \"1\"; Unattended-Upgrade \"12h\" ; } ; } ; Unattended-Upgrade::Mail\n \"x\"\n;\n"},
		"a scope with a value": {"apt.conf.d/1": "Unattended-Upgrade \"x\" { Mail \"y\"; };\nUnattended-Upgrade::Allowed-Origins { \"Debian:stable\"; };\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range files {
				file = filepath.Join("etc/apt", file)
				real.Write(t, folder(t, root, filepath.Dir(file)), filepath.Base(file), text, 0o644)
			}
			real.Write(t, folder(t, root, "etc"), "os-release", "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n", 0o644)
			a := fact[facts.Apt](t, root, "apt")
			patterns, excluded := []string{}, []string{}
			for _, p := range a.Patterns {
				patterns = append(patterns, p.Pattern)
			}
			for _, p := range a.Excluded {
				excluded = append(excluded, p.Value)
			}
			got := map[string]string{"Enable": a.Enable.Value, "Refresh": a.Refresh.Value, "Upgrade": a.Upgrade.Value, "Mail": a.Mail.Value,
				"Patterns": strings.Join(patterns, "|"), "Excluded": strings.Join(excluded, "|")}
			dump := aptDump(t, root)
			want := map[string]string{"Enable": dump.last("APT::Periodic::Enable", "1"), "Refresh": dump.last("APT::Periodic::Update-Package-Lists", "0"),
				"Upgrade": dump.last("APT::Periodic::Unattended-Upgrade", "0"), "Mail": dump.last("Unattended-Upgrade::Mail", ""),
				"Patterns": dump.list("Unattended-Upgrade::Allowed-Origins::", "Unattended-Upgrade::Origins-Pattern::"), "Excluded": dump.list("Unattended-Upgrade::Package-Blacklist::")}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-apt-config +audit):\n%s", diff)
			}
		})
	}
}

// dumped are the lines of apt-config dump.
type dumpedApt [][2]string

var dumpLine = regexp.MustCompile(`(?m)^(\S+) "(.*)";$`)

func aptDump(t *testing.T, root string) (all dumpedApt) {
	t.Helper()
	// What this machine is set to must not come in between.
	own := real.Write(t, root, "apt-config", fmt.Sprintf("Dir::Etc::parts %q;\nDir::Etc::main %q;\n", filepath.Join(root, "etc/apt/apt.conf.d"), filepath.Join(root, "etc/apt/apt.conf")), 0o644)
	cmd := exec.CommandContext(t.Context(), "apt-config", "dump")
	cmd.Env = append(os.Environ(), "APT_CONFIG="+own)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("apt-config dump: %v %s", err, errs.String())
	}
	for _, m := range dumpLine.FindAllStringSubmatch(string(out), -1) {
		all = append(all, [2]string{m[1], m[2]})
	}
	return all
}

func (d dumpedApt) last(name, fallback string) string {
	for _, line := range d {
		if strings.EqualFold(line[0], name) && line[1] != "" {
			fallback = line[1]
		}
	}
	return fallback
}

func (d dumpedApt) list(names ...string) string {
	var all []string
	for _, name := range names {
		for _, line := range d {
			if strings.EqualFold(line[0], name) {
				all = append(all, line[1])
			}
		}
	}
	return strings.Join(all, "|")
}
