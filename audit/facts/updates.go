package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const maxPending = 5000

// Updates is what newer versions there are for what is installed, and for how long there will be any.
type Updates struct {
	// Pending are the packages for which apt's lists have a newer version that apt would install.
	Pending []Upgrade `cel:"pending"`
	// Lists are apt's lists of packages, one an archive and component.
	Lists []AptList `cel:"sources"`
	// Refreshed is when the host last fetched its lists.
	Refreshed time.Time `cel:"refreshed"`
	// Security says that a list of security updates is among the lists.
	Security bool `cel:"security"`
	// RebootRequired says that what runs is older than what is installed. Reboot tells why.
	RebootRequired bool    `cel:"reboot_required"`
	Reboot         Setting `cel:"reboot"`
	// Release is the support of the operating system; PHP that of every installed PHP.
	Release Support   `cel:"release"`
	PHP     []Support `cel:"php"`
	Origin  string    `cel:"origin"`
}

// Upgrade is an installed package that has a newer version.
type Upgrade struct {
	Name      string `cel:"name"`
	Installed string `cel:"installed"`
	Candidate string `cel:"candidate"`
	// Security says that a security archive has a version above the installed one, be it the candidate or not.
	Security bool   `cel:"security"`
	Hold     bool   `cel:"hold"` // it is kept from upgrades
	Origin   string `cel:"origin"`
}

var phpPackage = regexp.MustCompile(`^(?:libapache2-mod-)?php([0-9]\.[0-9]{1,2})(?:-(?:cli|fpm|cgi|phpdbg|common))?$|^libphp([0-9]\.[0-9]{1,2})-embed$`)

func collectUpdates(ctx context.Context, h *Host, t Target) (Updates, []Missing) {
	u := Updates{Origin: aptLists}
	all, err := dpkgPackages(h)
	if err != nil {
		return u, missing("%s", because(err))
	}
	all = slices.DeleteFunc(all, func(p Package) bool { return p.Status == "config-files" || p.Status == "not-installed" })
	var gone []Missing
	wanted := map[string]bool{}
	for _, p := range all {
		wanted[p.Name] = true
	}
	lists, offered, err := aptAvailable(ctx, h, wanted)
	switch {
	case err != nil:
		for _, field := range []string{"pending", "sources", "security"} {
			gone = append(gone, Missing{field, because(err)})
		}
	case len(lists) == 0:
		gone = append(gone, Missing{"pending", "there are no lists of packages in " + aptLists + ": run apt-get update"})
	}
	u.Lists = lists
	for i := range lists {
		lists[i].Expired = !lists[i].ValidUntil.IsZero() && t.Now.After(lists[i].ValidUntil)
	}
	u.Security = slices.ContainsFunc(lists, func(l AptList) bool { return l.Security })
	u.pending(all, offered)
	if why := u.applyPins(ctx, h, offered); why != "" {
		gone = append(gone, Missing{"pending", why})
	}
	u.Refreshed = refreshed(h)
	if u.Refreshed.IsZero() {
		gone = append(gone, Missing{"refreshed", "nothing tells when the lists were fetched"})
	}
	u.reboot(h)
	if err := u.support(h, all, offered); err != nil {
		gone = append(gone, Missing{"release", because(err)}, Missing{"php", because(err)})
	}
	return u, gone
}

func (u *Updates) pending(all []Package, offered map[string][]available) {
	for _, p := range all {
		best, ok := candidate(p.Version, offered[p.Name])
		security := securityAbove(p.Version, offered[p.Name])
		if !ok && !security || len(u.Pending) == maxPending {
			continue
		}
		up := Upgrade{Name: p.Name, Installed: p.Version, Candidate: best.version, Security: security, Hold: p.Hold, Origin: best.list}
		if up.Origin == "" {
			up.Origin = p.Origin
		}
		u.Pending = append(u.Pending, up)
	}
}

var simulated = regexp.MustCompile(`^Inst (\S+) \[([^\]]+)\] \((\S+) ([^)]*)\)`)

// applyPins asks apt where preferences pin the versions of packages that are installed and in the lists, because only apt knows
// what they leave: apt-get -s changes nothing, and without cache files it writes none. It returns why the upgrades cannot be told.
func (u *Updates) applyPins(ctx context.Context, h *Host, offered map[string][]available) string {
	pinned, err := pinFile(h, offered)
	if err != nil {
		return because(err)
	}
	if pinned == "" {
		return ""
	}
	out, err := h.Run(ctx, "/usr/bin/apt-get", "-s", "-o", "Debug::NoLocking=1", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "dist-upgrade")
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("apt-get -s: %s", strings.TrimSpace(string(out.Stderr)))
	}
	if err != nil {
		return "pins in " + pinned + " decide which versions count, and apt could not be asked: " + because(err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(out.Stdout)) {
		if m := simulated.FindStringSubmatch(line); m != nil {
			names[trimArch(m[1])] = true
		}
	}
	// What a security archive has is pending, whatever a pin says: a pin that holds it back is what an audit is to find.
	u.Pending = slices.DeleteFunc(u.Pending, func(up Upgrade) bool { return !names[up.Name] && !up.Security })
	u.Origin = "apt-get -s dist-upgrade"
	return ""
}

func trimArch(name string) string { name, _, _ = strings.Cut(name, ":"); return name }

// pinFile returns the first preferences file that pins one of the packages (apt_preferences(5)).
func pinFile(h *Host, packages map[string][]available) (string, error) {
	names, err := h.Glob("/etc/apt/preferences.d/*")
	if err != nil {
		return "", err
	}
	for _, name := range append(names, "/etc/apt/preferences") {
		if ending := path.Ext(name); ending != "" && ending != ".pref" {
			continue
		}
		text, err := h.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		pins := false
		err = stanzas(bytes.NewReader(text), []string{"Package", "Pin"}, func(f map[string]string, _ int) bool {
			pins = f["Pin"] != "" && pinsOneOf(f["Package"], packages)
			return !pins
		})
		if err != nil || pins {
			return name, err
		}
	}
	return "", nil
}

// pinsOneOf says whether a Package field means one of the packages. What is no plain name or pattern is taken for one that does.
func pinsOneOf(field string, packages map[string][]available) bool {
	for word := range strings.FieldsSeq(field) {
		if strings.HasPrefix(word, "/") || strings.HasPrefix(word, "src:") {
			return true
		}
		word, _, _ = strings.Cut(word, ":")
		if !strings.ContainsAny(word, `*?[\`) {
			if packages[word] != nil {
				return true
			}
			continue
		}
		for name := range packages {
			if ok, err := path.Match(word, name); ok || err != nil {
				return true
			}
		}
	}
	return false
}

// refreshed is when lists were last fetched: apt gives the lists themselves the archive's time, so that only the folders and stamps
// tell.
func refreshed(h *Host) (last time.Time) {
	for _, name := range []string{"/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp", aptLists + "/partial", aptLists} {
		if t, ok := modified(h, name); ok && t.After(last) {
			last = t
		}
	}
	return last
}

func (u *Updates) reboot(h *Host) {
	for _, name := range []string{"/run/reboot-required", "/var/run/reboot-required"} {
		if h.Exists(name) {
			u.RebootRequired, u.Reboot = true, Setting{"an upgrade asks for it", name}
			return
		}
	}
	var uts unix.Utsname
	if !h.Live() || unix.Uname(&uts) != nil {
		return
	}
	running := unix.ByteSliceToString(uts.Release[:])
	kernels, err := h.Glob("/boot/vmlinuz-*")
	if err != nil || !slices.Contains(kernels, "/boot/vmlinuz-"+running) { // a kernel from outside, as in a container
		return
	}
	newest := slices.MaxFunc(kernels, compareDeb)
	u.Reboot = Setting{running + " runs", newest}
	if compareDeb(newest, "/boot/vmlinuz-"+running) > 0 {
		u.RebootRequired = true
	}
}

func (u *Updates) support(h *Host, all []Package, offered map[string][]available) error {
	table, err := readEOL()
	if err != nil {
		return err
	}
	values, name, err := osRelease(h)
	if err != nil {
		return err
	}
	u.Release = table.of(values["ID"], values["VERSION_ID"], values["VERSION_CODENAME"])
	u.Release.Origin = name
	own := map[string]bool{} // lists of the host's own distribution
	for _, l := range u.Lists {
		own[l.Origin] = strings.EqualFold(l.Maker, values["ID"]) || strings.HasPrefix(l.Maker, "UbuntuESM")
		if strings.HasPrefix(l.Maker, "UbuntuESM") && u.Release.subscription.After(u.Release.Ends) {
			u.Release.Ends = u.Release.subscription
		}
	}
	seen := map[string]bool{}
	for _, p := range all {
		m := phpPackage.FindStringSubmatch(p.Name)
		if m == nil || seen[m[1]+m[2]] {
			continue
		}
		version := m[1] + m[2]
		seen[version] = true
		s := table.of("php", version, "")
		s.Origin = p.Origin
		s.Distribution = len(offered[p.Name]) > 0 && !slices.ContainsFunc(offered[p.Name], func(o available) bool {
			return !own[o.list] && compareDeb(o.version, p.Version) >= 0
		})
		u.PHP = append(u.PHP, s)
	}
	return nil
}
